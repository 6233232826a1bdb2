import { assert, DormouseError, type Epoch, newEpoch, type RandomBytes } from '../../base/index.ts';
import type { Lsn } from '../../wire/index.ts';
import {
  type AppendBatch,
  type History,
  type LogState,
  type NotedTables,
  OMITTED,
  type Operation,
  type ReadRequest,
  type ReadResult,
  type Row,
  type StoredEvent,
  type TableFacts,
  type TableName,
} from './event-log.ts';
import { LogBounds, type LogLimits, rowBytes, STORED_BYTES } from './log-bounds.ts';
import { LogCursors } from './log-cursors.ts';
import { LogRelations } from './log-relations.ts';
import { comparePositions, type Position, positionOf } from './position.ts';
import { EVENT_CHARACTERS_MAX } from './slices.ts';
import { type PositionRow, SqlFile } from './sql-file.ts';

/**
 * Rows that one read scans, so that a read of tables without events cannot hold the worker (4096 rows: about 3 ms).
 */
const SCAN_ROWS_MAX = 4096;
/**
 * Bytes of rows that one read gives, unless a single event has more. A hundred readers that take nothing hold the bytes
 * of one read each.
 */
const READ_BYTES_MAX = 256 * 1024;
/**
 * A stored event over this is not loaded: it is given with every value left out. Older versions stored events of any
 * size.
 */
const LOADED_BYTES_MAX: number = 8 * EVENT_CHARACTERS_MAX;
const OPERATIONS: readonly Operation[] = ['insert', 'update', 'delete', 'truncate', 'gap'];
const GAP = OPERATIONS.indexOf('gap');

interface EventRow extends PositionRow {
  readonly xid: bigint;
  readonly at_ms: bigint;
  readonly operation: bigint;
  readonly relation: bigint | null;
  readonly before: string | null;
  readonly after: string | null;
  readonly bytes: bigint;
}
/**
 * The log's file, with synchronous methods, which are called in the worker thread. The journal is a WAL with
 * synchronous=FULL: once `append` has returned, its batch is on the disk.
 */
export class LogFile {
  readonly cursors: LogCursors;
  readonly #file: SqlFile;
  readonly #bounds: LogBounds;
  readonly #relations: LogRelations;
  readonly #random: RandomBytes;
  readonly #epochs = new Map<number, Epoch>();
  #ordinal = 1;
  #history: History | undefined;
  #storedLsn: Lsn | undefined;

  /** Opens the file, or creates it. Fails with `data_version` and errors of SQLite. */
  constructor(path: string, limits: LogLimits, random: RandomBytes) {
    this.#random = random;
    this.#file = new SqlFile(path, limits.synced);
    this.#bounds = new LogBounds(this.#file, limits);
    this.#relations = new LogRelations(this.#file);
    this.cursors = new LogCursors(this.#file, limits.cursorsMax);
    try {
      if (this.#file.get('SELECT 1 AS one FROM epochs LIMIT 1') === undefined) {
        this.#file.transaction(() => {
          this.#file.run('INSERT INTO epochs (ordinal, epoch) VALUES (?, ?)', 1, newEpoch(random));
          this.#file.run('UPDATE bounds SET tail_ordinal = 1, floor_ordinal = 1 WHERE only = ?', 1);
        });
      }
      this.#load();
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  state(): LogState {
    const epoch = this.#epochs.get(this.#ordinal);
    assert(epoch !== undefined, 'the current epoch is known');
    return {
      epoch,
      ordinal: this.#ordinal,
      history: this.#history,
      storedLsn: this.#storedLsn,
      tail: this.#bounds.tail,
      floor: this.#bounds.floor,
      events: this.#bounds.events,
      bytes: this.#bounds.bytes,
    };
  }

  epochs(): { ordinal: number; epoch: Epoch }[] {
    return [...this.#epochs].map(([ordinal, epoch]) => ({ ordinal, epoch }));
  }

  checkEpoch(position: Position, epoch: Epoch): void {
    if (this.#epochs.get(position.ordinal) !== epoch) throw new DormouseError('stream_gone');
  }

  begin(history: History, lsn: Lsn): LogState {
    this.#file.run(
      'UPDATE epochs SET system_id = ?, timeline = ?, plugin = ?, stored_lsn = ? WHERE ordinal = ?',
      history.systemId,
      history.timeline,
      history.plugin ?? null,
      lsn,
      this.#ordinal,
    );
    this.#load();
    return this.state();
  }

  newEpoch(nowMs: number): LogState {
    this.#transaction(() => {
      const ordinal = this.#ordinal + 1;
      this.#bounds.dropPending();
      this.#file.run('INSERT INTO epochs (ordinal, epoch) VALUES (?, ?)', ordinal, newEpoch(this.#random));
      this.#file.run('INSERT INTO events VALUES (?, 0, 0, 0, ?, ?, NULL, NULL, NULL)', ordinal, nowMs, GAP);
      this.#bounds.events += 1;
      this.#bounds.bytes += rowBytes(null, null);
      this.#bounds.tail = { ordinal, lsn: 0n, index: 0 };
      this.#bounds.save();
    });
    this.#load();
    return this.state();
  }

  discardPending(): LogState {
    this.#transaction(() => {
      this.#bounds.dropPending();
      this.#bounds.save();
    });
    return this.state();
  }

  tables(): TableFacts[] {
    return this.#relations.tables();
  }

  append(batch: AppendBatch): LogState {
    this.#transaction(() => {
      for (const facts of batch.tables ?? []) this.#relations.record(facts);
      const ids = batch.relations.map((definition) => this.#relations.idOf(definition));
      const insert = this.#file.statement('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
      for (const transaction of batch.transactions) {
        let index = transaction.firstIndex;
        for (const event of transaction.events) {
          const before = event.before === undefined ? null : JSON.stringify(event.before);
          const after = event.after === undefined ? null : JSON.stringify(event.after);
          const relation = event.relation === -1 ? null : ids[event.relation];
          assert(relation !== undefined, 'every event but a gap names a relation of its batch');
          insert.run(
            this.#ordinal,
            transaction.lsn,
            index,
            transaction.xid,
            transaction.committedAtMs,
            OPERATIONS.indexOf(event.operation),
            relation,
            before,
            after,
          );
          index += 1;
          this.#bounds.bytes += rowBytes(before, after);
        }
        this.#bounds.events += transaction.events.length;
        if (batch.endLsn !== undefined && index > 0) {
          this.#bounds.tail = { ordinal: this.#ordinal, lsn: transaction.lsn, index: index - 1 };
        }
      }
      if (batch.endLsn !== undefined) {
        this.#file.run('UPDATE epochs SET stored_lsn = ? WHERE ordinal = ?', batch.endLsn, this.#ordinal);
        this.#storedLsn = batch.endLsn;
      }
      this.#bounds.trimBySize();
      this.#bounds.trimByAge(batch.transactions[batch.transactions.length - 1]?.committedAtMs ?? 0);
      this.#bounds.save();
    });
    return this.state();
  }

  read(request: ReadRequest): ReadResult {
    const { after } = request;
    if (comparePositions(after, this.#bounds.floor) < 0) throw new DormouseError('stream_gone');
    const tail = this.#bounds.tail;
    if (comparePositions(after, tail) >= 0) return { events: [], upTo: after, atTail: true, largeNext: false };
    const range = [after.ordinal, after.lsn, after.index, tail.ordinal, tail.lsn, tail.index];
    const bound = this.#file.get<PositionRow>(
      `SELECT ordinal, lsn, position FROM events
       WHERE (ordinal, lsn, position) > (?, ?, ?) AND (ordinal, lsn, position) <= (?, ?, ?)
       ORDER BY ordinal, lsn, position LIMIT 1 OFFSET ${SCAN_ROWS_MAX - 1}`,
      ...range,
    );
    const scanned = bound === undefined ? tail : positionOf(bound);
    const wanted = request.tables === undefined ? null : JSON.stringify(this.#relations.idsOf(request.tables));
    const loadedMax = request.large === true ? LOADED_BYTES_MAX : READ_BYTES_MAX;
    const rows = this.#file
      .statement(
        // Values that are too large are not loaded: SQLite knows a value's length without reading it.
        `SELECT ordinal, lsn, position, xid, at_ms, operation, relation, bytes,
         iif(bytes > ?, NULL, before) AS before, iif(bytes > ?, NULL, after) AS after
       FROM (SELECT *, ${STORED_BYTES} AS bytes FROM events)
       WHERE (ordinal, lsn, position) > (?, ?, ?) AND (ordinal, lsn, position) <= (?, ?, ?)
         AND (? IS NULL OR relation IS NULL OR relation IN (SELECT value FROM json_each(?)))
       ORDER BY ordinal, lsn, position LIMIT ?`,
      )
      .iterate(
        loadedMax,
        loadedMax,
        after.ordinal,
        after.lsn,
        after.index,
        scanned.ordinal,
        scanned.lsn,
        scanned.index,
        wanted,
        wanted ?? '[]',
        request.limit,
      ) as Iterable<EventRow>;
    const events: StoredEvent[] = [];
    let bytes = 0;
    let full = false;
    let largeNext = false;
    let upTo = scanned;
    for (const row of rows) {
      // An event over the bound of large events is small here: none of its values is loaded.
      largeNext = request.large !== true && row.bytes > READ_BYTES_MAX && row.bytes <= LOADED_BYTES_MAX;
      if (largeNext) {
        upTo = events[events.length - 1]?.position ?? after;
        break;
      }
      events.push(this.#eventOf(row));
      bytes += Number(row.bytes);
      full = bytes >= READ_BYTES_MAX || events.length >= request.limit;
      if (full) {
        upTo = (events[events.length - 1] as StoredEvent).position;
        break;
      }
    }
    return { events, upTo, atTail: comparePositions(upTo, tail) >= 0, largeNext };
  }

  hasTable(table: TableName): boolean {
    return this.#relations.idsOf([table]).length > 0;
  }

  noteTables(text: string): void {
    this.#file.run('INSERT OR REPLACE INTO noted_tables VALUES (1, ?, ?)', text, this.#storedLsn ?? 0n);
  }

  notedTables(): NotedTables | undefined {
    const row = this.#file.get<{ text: string; stored_lsn: bigint }>('SELECT text, stored_lsn FROM noted_tables');
    return row && { text: row.text, storedLsn: row.stored_lsn };
  }

  trim(nowMs: number): LogState {
    this.#transaction(() => {
      this.#bounds.trimBySize();
      this.#bounds.trimByAge(nowMs);
      this.#bounds.save();
    });
    return this.state();
  }

  close(): void {
    this.#file.close();
  }

  #eventOf(row: EventRow): StoredEvent {
    const position = positionOf(row);
    const epoch = this.#epochs.get(position.ordinal);
    const operation = OPERATIONS[Number(row.operation)];
    assert(epoch !== undefined && operation !== undefined, 'a stored event has a known epoch and operation');
    const relation = row.relation === null ? undefined : this.#relations.get(Number(row.relation));
    const rowOf = (text: string | null, carried: boolean): Row | undefined => {
      if (row.bytes > LOADED_BYTES_MAX && carried) return relation?.columns.map(() => OMITTED);
      return text === null ? undefined : (JSON.parse(text) as Row);
    };
    return {
      position,
      epoch,
      xid: Number(row.xid),
      committedAtMs: Number(row.at_ms),
      operation,
      relation,
      before: rowOf(row.before, operation === 'delete'),
      after: rowOf(row.after, operation !== 'delete'),
    };
  }

  /** Reads the state from the file: when it is opened, and after a transaction failed. */
  #load(): void {
    this.#relations.forget();
    this.#epochs.clear();
    for (const row of this.#file.all<{
      ordinal: bigint;
      epoch: string;
      system_id: string | null;
      timeline: bigint | null;
      stored_lsn: bigint | null;
      plugin: string | null;
    }>('SELECT * FROM epochs ORDER BY ordinal')) {
      this.#epochs.set(Number(row.ordinal), row.epoch as Epoch);
      this.#ordinal = Number(row.ordinal);
      this.#history =
        row.system_id === null
          ? undefined
          : {
              ...{ systemId: row.system_id, timeline: Number(row.timeline) },
              ...(row.plugin === null ? {} : { plugin: row.plugin }),
            };
      this.#storedLsn = row.stored_lsn ?? undefined;
    }
    this.#bounds.load();
  }

  #transaction(work: () => void): void {
    try {
      this.#file.transaction(work);
    } catch (error) {
      this.#load();
      throw error;
    }
  }
}

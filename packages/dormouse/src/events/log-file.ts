import Database from 'libsql';
import { assert, DormouseError, type Epoch, newEpoch, type RandomBytes } from '../base/index.ts';
import type { Lsn } from '../wire/index.ts';
import type {
  AppendBatch,
  CursorKey,
  History,
  LogCursor,
  LogState,
  Operation,
  ReadRequest,
  ReadResult,
  RelationDefinition,
  Row,
  StoredEvent,
} from './event-log.ts';
import { migrate } from './log-schema.ts';
import { comparePositions, type Position } from './position.ts';

/** What one database's log may hold; the oldest events go first. */
export interface LogLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
  readonly ageMsMax: number;
  readonly cursorsMax: number;
}

/** A week of a small application, or a quarter of a GiB: what a reader may be away for without reading everything anew. */
export const DEFAULT_LOG_LIMITS: LogLimits = {
  eventsMax: 1_000_000,
  bytesMax: 256 * 1024 * 1024,
  ageMsMax: 7 * 24 * 60 * 60 * 1000,
  cursorsMax: 1000,
};

/** Rows one read looks at, so that a filter that lets nothing through cannot hold the worker (4096 rows: about 3 ms). */
const SCAN_ROWS_MAX = 4096;
/** Row bytes one read gives; at least one event is always given. */
const READ_BYTES_MAX = 1024 * 1024;
/** What a row costs beside its values. */
const ROW_BYTES = 64;
/** Rows looked at in one step of trimming. */
const TRIM_ROWS = 1000;
/** Age is looked at this often; the clock is the server's, by commit times. */
const AGE_TRIM_MS = 60_000;
/** Trimming goes on until this part of the bound is free, so that it runs seldom. */
const TRIM_SLACK = 1 / 16;

const OPERATIONS: readonly Operation[] = ['insert', 'update', 'delete', 'truncate', 'gap'];
const GAP = OPERATIONS.indexOf('gap');

interface PositionRow {
  readonly ordinal: bigint;
  readonly lsn: bigint;
  readonly position: bigint;
}
interface EventRow extends PositionRow {
  readonly xid: bigint;
  readonly at_ms: bigint;
  readonly operation: bigint;
  readonly relation: bigint | null;
  readonly before: string | null;
  readonly after: string | null;
}
interface SizedRow extends PositionRow {
  readonly at_ms: bigint;
  readonly bytes: bigint;
}

function positionOf(row: PositionRow): Position {
  return { ordinal: Number(row.ordinal), lsn: row.lsn, index: Number(row.position) };
}

function rowBytes(before: string | null, after: string | null): number {
  return ROW_BYTES + (before?.length ?? 0) + (after?.length ?? 0);
}

/** The log's file, synchronous: lives in the worker thread. WAL journal, synchronous=FULL: what append returned for is on the disk. */
export class LogFile {
  readonly #db: Database.Database;
  readonly #limits: LogLimits;
  readonly #random: RandomBytes;
  readonly #statements = new Map<string, Database.Statement>();
  readonly #relations = new Map<number, RelationDefinition>();
  readonly #relationIds = new Map<string, number>();
  readonly #epochs = new Map<number, Epoch>();
  #ordinal = 1;
  #history: History | undefined;
  #storedLsn: Lsn | undefined;
  #tail: Position = { ordinal: 1, lsn: 0n, index: 0 };
  #floor: Position = { ordinal: 1, lsn: 0n, index: 0 };
  #events = 0;
  #bytes = 0;
  #ageTrimmedAtMs = Number.NEGATIVE_INFINITY;

  /** Opens or makes the file. Fails with `data_version`, `data_unusable`, `disk_full`. */
  constructor(path: string, limits: LogLimits, random: RandomBytes) {
    this.#limits = limits;
    this.#random = random;
    this.#db = new Database(path);
    try {
      this.#db.pragma('journal_mode = WAL');
      this.#db.pragma('synchronous = FULL');
      migrate(this.#db);
      if (this.#get('SELECT 1 AS one FROM epochs LIMIT 1') === undefined) {
        this.#transaction(() => {
          this.#run('INSERT INTO epochs (ordinal, epoch) VALUES (?, ?)', 1, newEpoch(random));
          this.#run('UPDATE bounds SET tail_ordinal = 1, floor_ordinal = 1 WHERE only = ?', 1);
        });
      }
      this.#load();
    } catch (error) {
      this.#db.close();
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
      tail: this.#tail,
      floor: this.#floor,
      events: this.#events,
      bytes: this.#bytes,
    };
  }

  epochs(): { ordinal: number; epoch: Epoch }[] {
    return [...this.#epochs].map(([ordinal, epoch]) => ({ ordinal, epoch }));
  }

  checkEpoch(position: Position, epoch: Epoch): void {
    if (this.#epochs.get(position.ordinal) !== epoch) throw new DormouseError('stream_gone');
  }

  begin(history: History, lsn: Lsn): LogState {
    this.#run(
      'UPDATE epochs SET system_id = ?, timeline = ?, stored_lsn = ? WHERE ordinal = ?',
      history.systemId,
      history.timeline,
      lsn,
      this.#ordinal,
    );
    this.#load();
    return this.state();
  }

  newEpoch(nowMs: number): LogState {
    this.#transaction(() => {
      const ordinal = this.#ordinal + 1;
      this.#dropPending();
      this.#run('INSERT INTO epochs (ordinal, epoch) VALUES (?, ?)', ordinal, newEpoch(this.#random));
      this.#run('INSERT INTO events VALUES (?, 0, 0, 0, ?, ?, NULL, NULL, NULL)', ordinal, nowMs, GAP);
      this.#events += 1;
      this.#bytes += ROW_BYTES;
      this.#tail = { ordinal, lsn: 0n, index: 0 };
      this.#saveBounds();
    });
    this.#load();
    return this.state();
  }

  discardPending(): LogState {
    this.#transaction(() => {
      this.#dropPending();
      this.#saveBounds();
    });
    return this.state();
  }

  append(batch: AppendBatch): LogState {
    this.#transaction(() => {
      const ids = batch.relations.map((definition) => this.#relationId(definition));
      const insert = this.#statement('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
      for (const transaction of batch.transactions) {
        let index = transaction.firstIndex;
        for (const event of transaction.events) {
          const before = event.before === undefined ? null : JSON.stringify(event.before);
          const after = event.after === undefined ? null : JSON.stringify(event.after);
          const relation = event.relation === -1 ? null : ids[event.relation];
          assert(relation !== undefined, 'every event but a gap names a relation of its batch');
          insert.run(
            this.#ordinal,
            transaction.commitLsn,
            index,
            transaction.xid,
            transaction.committedAtMs,
            OPERATIONS.indexOf(event.operation),
            relation,
            before,
            after,
          );
          index += 1;
          this.#bytes += rowBytes(before, after);
        }
        this.#events += transaction.events.length;
        if (batch.endLsn !== undefined && index > 0) {
          this.#tail = { ordinal: this.#ordinal, lsn: transaction.commitLsn, index: index - 1 };
        }
      }
      if (batch.endLsn !== undefined) {
        this.#run('UPDATE epochs SET stored_lsn = ? WHERE ordinal = ?', batch.endLsn, this.#ordinal);
        this.#storedLsn = batch.endLsn;
      }
      this.#trimBySize();
      this.#trimByAge(batch.transactions[batch.transactions.length - 1]?.committedAtMs ?? 0);
      this.#saveBounds();
    });
    return this.state();
  }

  read(request: ReadRequest): ReadResult {
    const { after } = request;
    if (comparePositions(after, this.#floor) < 0) throw new DormouseError('stream_gone');
    const tail = this.#tail;
    if (comparePositions(after, tail) >= 0) return { events: [], upTo: after, atTail: true };
    const range = [after.ordinal, after.lsn, after.index, tail.ordinal, tail.lsn, tail.index];
    const bound = this.#get<PositionRow>(
      `SELECT ordinal, lsn, position FROM events
       WHERE (ordinal, lsn, position) > (?, ?, ?) AND (ordinal, lsn, position) <= (?, ?, ?)
       ORDER BY ordinal, lsn, position LIMIT 1 OFFSET ${SCAN_ROWS_MAX - 1}`,
      ...range,
    );
    const scanned = bound === undefined ? tail : positionOf(bound);
    const wanted =
      request.tables === undefined
        ? null
        : JSON.stringify(
            request.tables.flatMap((table) =>
              this.#all<{ id: bigint }>(
                'SELECT id FROM relations WHERE schema = ? AND name = ?',
                table.schema,
                table.name,
              ).map((row) => Number(row.id)),
            ),
          );
    const rows = this.#statement(
      `SELECT ordinal, lsn, position, xid, at_ms, operation, relation, before, after FROM events
       WHERE (ordinal, lsn, position) > (?, ?, ?) AND (ordinal, lsn, position) <= (?, ?, ?)
         AND (? IS NULL OR relation IS NULL OR relation IN (SELECT value FROM json_each(?)))
       ORDER BY ordinal, lsn, position LIMIT ?`,
    ).iterate(
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
    for (const row of rows) {
      events.push(this.#eventOf(row));
      bytes += rowBytes(row.before, row.after);
      full = bytes >= READ_BYTES_MAX || events.length >= request.limit;
      if (full) break;
    }
    const upTo = full ? (events[events.length - 1] as StoredEvent).position : scanned;
    return { events, upTo, atTail: comparePositions(upTo, tail) >= 0 };
  }

  cursor(key: CursorKey): LogCursor | undefined {
    const row = this.#get<PositionRow & { updated_at_ms: bigint }>(
      'SELECT ordinal, lsn, position, updated_at_ms FROM cursors WHERE kind = ? AND subject = ? AND name = ?',
      key.kind,
      key.subject,
      key.name,
    );
    return row && { key, position: positionOf(row), updatedAtMs: Number(row.updated_at_ms) };
  }

  saveCursor(key: CursorKey, position: Position, nowMs: number): LogCursor {
    const known = this.cursor(key);
    if (known === undefined) {
      const count = this.#get<{ count: bigint }>('SELECT count(*) AS count FROM cursors');
      if (Number(count?.count) >= this.#limits.cursorsMax) {
        throw new DormouseError('quota_exceeded', {
          message: `This database keeps ${this.#limits.cursorsMax} named streams already. Delete those that nobody reads.`,
        });
      }
    } else if (comparePositions(position, known.position) < 0) {
      return known;
    }
    this.#run(
      'INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?, ?)',
      key.kind,
      key.subject,
      key.name,
      position.ordinal,
      position.lsn,
      position.index,
      nowMs,
    );
    return { key, position, updatedAtMs: nowMs };
  }

  deleteCursor(key: CursorKey): void {
    this.#run('DELETE FROM cursors WHERE kind = ? AND subject = ? AND name = ?', key.kind, key.subject, key.name);
  }

  cursors(): LogCursor[] {
    const rows = this.#all<PositionRow & { kind: string; subject: string; name: string; updated_at_ms: bigint }>(
      'SELECT * FROM cursors ORDER BY kind, subject, name',
    );
    return rows.map((row) => ({
      key: { kind: row.kind as CursorKey['kind'], subject: row.subject, name: row.name },
      position: positionOf(row),
      updatedAtMs: Number(row.updated_at_ms),
    }));
  }

  trim(nowMs: number): void {
    this.#transaction(() => {
      this.#trimByAge(nowMs);
      this.#saveBounds();
    });
  }

  close(): void {
    this.#db.close();
  }

  #eventOf(row: EventRow): StoredEvent {
    const position = positionOf(row);
    const epoch = this.#epochs.get(position.ordinal);
    const operation = OPERATIONS[Number(row.operation)];
    assert(epoch !== undefined && operation !== undefined, 'a stored event has a known epoch and operation');
    return {
      position,
      epoch,
      xid: Number(row.xid),
      committedAtMs: Number(row.at_ms),
      operation,
      relation: row.relation === null ? undefined : this.#relation(Number(row.relation)),
      before: row.before === null ? undefined : (JSON.parse(row.before) as Row),
      after: row.after === null ? undefined : (JSON.parse(row.after) as Row),
    };
  }

  #relation(id: number): RelationDefinition {
    let definition = this.#relations.get(id);
    if (definition === undefined) {
      const row = this.#get<{ schema: string; name: string; columns: string }>(
        'SELECT schema, name, columns FROM relations WHERE id = ?',
        id,
      );
      assert(row !== undefined, 'a stored event has a known relation');
      definition = { schema: row.schema, name: row.name, columns: JSON.parse(row.columns) };
      this.#relations.set(id, definition);
    }
    return definition;
  }

  #relationId(definition: RelationDefinition): number {
    const columns = JSON.stringify(definition.columns);
    const key = JSON.stringify([definition.schema, definition.name, columns]);
    let id = this.#relationIds.get(key);
    if (id === undefined) {
      const { schema, name } = definition;
      this.#run('INSERT OR IGNORE INTO relations (schema, name, columns) VALUES (?, ?, ?)', schema, name, columns);
      const row = this.#get<{ id: bigint }>(
        'SELECT id FROM relations WHERE schema = ? AND name = ? AND columns = ?',
        schema,
        name,
        columns,
      );
      id = Number(row?.id);
      this.#relationIds.set(key, id);
    }
    return id;
  }

  #dropPending(): void {
    const { ordinal, lsn, index } = this.#tail;
    const pending = this.#get<{ events: bigint; bytes: bigint | null }>(
      `SELECT count(*) AS events,
              sum(${ROW_BYTES} + coalesce(length(before), 0) + coalesce(length(after), 0)) AS bytes
       FROM events WHERE (ordinal, lsn, position) > (?, ?, ?)`,
      ordinal,
      lsn,
      index,
    );
    if (pending === undefined || pending.events === 0n) return;
    this.#run('DELETE FROM events WHERE (ordinal, lsn, position) > (?, ?, ?)', ordinal, lsn, index);
    this.#events -= Number(pending.events);
    this.#bytes = Math.max(0, this.#bytes - Number(pending.bytes));
  }

  #trimByAge(nowMs: number): void {
    if (nowMs < this.#ageTrimmedAtMs + AGE_TRIM_MS) return;
    this.#ageTrimmedAtMs = nowMs;
    const oldestMs = nowMs - this.#limits.ageMsMax;
    this.#trimWhile((row) => Number(row.at_ms) < oldestMs);
  }

  #trimBySize(): void {
    const { eventsMax, bytesMax } = this.#limits;
    if (this.#events <= eventsMax && this.#bytes <= bytesMax) return;
    const events = eventsMax * (1 - TRIM_SLACK);
    const bytes = bytesMax * (1 - TRIM_SLACK);
    this.#trimWhile(() => this.#events > events || this.#bytes > bytes);
  }

  /** Drops visible events, oldest first, as long as the condition holds of the oldest. */
  #trimWhile(goes: (oldest: SizedRow) => boolean): void {
    for (;;) {
      const rows = this.#all<SizedRow>(
        `SELECT ordinal, lsn, position, at_ms,
                ${ROW_BYTES} + coalesce(length(before), 0) + coalesce(length(after), 0) AS bytes
         FROM events WHERE (ordinal, lsn, position) <= (?, ?, ?)
         ORDER BY ordinal, lsn, position LIMIT ${TRIM_ROWS}`,
        this.#tail.ordinal,
        this.#tail.lsn,
        this.#tail.index,
      );
      let cut: Position | undefined;
      let kept = false;
      for (const row of rows) {
        kept = !goes(row);
        if (kept) break;
        cut = positionOf(row);
        this.#events -= 1;
        this.#bytes = Math.max(0, this.#bytes - Number(row.bytes));
      }
      if (cut !== undefined) {
        this.#run('DELETE FROM events WHERE (ordinal, lsn, position) <= (?, ?, ?)', cut.ordinal, cut.lsn, cut.index);
        this.#floor = cut;
      }
      if (kept || rows.length < TRIM_ROWS) return;
    }
  }

  #saveBounds(): void {
    this.#run(
      `UPDATE bounds SET tail_ordinal = ?, tail_lsn = ?, tail_index = ?, floor_ordinal = ?, floor_lsn = ?, floor_index = ?,
         events = ?, bytes = ? WHERE only = 1`,
      this.#tail.ordinal,
      this.#tail.lsn,
      this.#tail.index,
      this.#floor.ordinal,
      this.#floor.lsn,
      this.#floor.index,
      this.#events,
      this.#bytes,
    );
  }

  /** Memory as the file has it: at open, and after a transaction failed. */
  #load(): void {
    this.#relationIds.clear();
    this.#epochs.clear();
    for (const row of this.#all<{
      ordinal: bigint;
      epoch: string;
      system_id: string | null;
      timeline: bigint | null;
      stored_lsn: bigint | null;
    }>('SELECT * FROM epochs ORDER BY ordinal')) {
      this.#epochs.set(Number(row.ordinal), row.epoch as Epoch);
      this.#ordinal = Number(row.ordinal);
      this.#history = row.system_id === null ? undefined : { systemId: row.system_id, timeline: Number(row.timeline) };
      this.#storedLsn = row.stored_lsn ?? undefined;
    }
    const bounds = this.#get<Record<string, bigint>>('SELECT * FROM bounds') as Record<string, bigint>;
    this.#tail = {
      ordinal: Number(bounds.tail_ordinal),
      lsn: bounds.tail_lsn as bigint,
      index: Number(bounds.tail_index),
    };
    this.#floor = {
      ordinal: Number(bounds.floor_ordinal),
      lsn: bounds.floor_lsn as bigint,
      index: Number(bounds.floor_index),
    };
    this.#events = Number(bounds.events);
    this.#bytes = Number(bounds.bytes);
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      this.#load();
      throw error;
    }
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql).safeIntegers(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
  #run(sql: string, ...values: unknown[]): void {
    this.#statement(sql).run(...values);
  }
  #get<T>(sql: string, ...values: unknown[]): T | undefined {
    return this.#statement(sql).get(...values) as T | undefined;
  }
  #all<T>(sql: string, ...values: unknown[]): T[] {
    return this.#statement(sql).all(...values) as T[];
  }
}

import { type Position, positionOf } from './position.ts';
import type { PositionRow, SqlFile } from './sql-file.ts';

/** What one database's log may hold; beyond that the oldest events are dropped. */
export interface LogLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
  readonly ageMsMax: number;
  readonly cursorsMax: number;
  /** False: committed events may be lost when the machine loses power. Absent: true. */
  readonly synced?: boolean;
}

/**
 * A week of a small application, or a quarter of a GiB: how long a reader may be away without having to read everything
 * anew.
 */
export const DEFAULT_LOG_LIMITS: LogLimits = {
  eventsMax: 1_000_000,
  bytesMax: 256 * 1024 * 1024,
  ageMsMax: 7 * 24 * 60 * 60 * 1000,
  cursorsMax: 1000,
};

/** What a row costs besides its values. */
const ROW_BYTES = 64;
/** Bytes of an event's values, without reading the values; `length` would read them, to count characters. */
export const STORED_BYTES = 'coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)';
/** Rows read in one step of trimming. */
const TRIM_ROWS = 1000;
/**
 * What one call drops at most: more than a slice brings in, so that appending keeps the bounds, and little enough for a
 * short turn. When more is over the bounds for another reason (a limit that was made smaller, many events that became
 * too old at once), the next calls drop the rest.
 */
const TRIM_STEPS_MAX = 4;
const TRIM_BYTES_MAX = 8 * 1024 * 1024;
/** How often ages are checked; the time is the server's, by commit times. */
const AGE_TRIM_MS = 60_000;
/** Trimming goes on until this part of the bound is free, so that trimming runs seldom. */
const TRIM_SLACK = 1 / 16;

interface SizedRow extends PositionRow {
  readonly at_ms: bigint;
  readonly bytes: bigint;
}

export function rowBytes(before: string | null, after: string | null): number {
  return ROW_BYTES + Buffer.byteLength(before ?? '') + Buffer.byteLength(after ?? '');
}

/**
 * Where a log begins and ends and how much it holds; drops events beyond the limits. Every change has to be made inside
 * a transaction of the file.
 */
export class LogBounds {
  /** The last visible event. */
  tail: Position = { ordinal: 1, lsn: 0n, index: 0 };
  /** The last event that was dropped. */
  floor: Position = { ordinal: 1, lsn: 0n, index: 0 };
  events = 0;
  bytes = 0;
  readonly #file: SqlFile;
  readonly #limits: LogLimits;
  #ageTrimmedAtMs = Number.NEGATIVE_INFINITY;

  constructor(file: SqlFile, limits: LogLimits) {
    this.#file = file;
    this.#limits = limits;
  }

  /** Reads the bounds from the file: when it is opened, and after a transaction failed. */
  load(): void {
    const bounds = this.#file.get<Record<string, bigint>>('SELECT * FROM bounds') as Record<string, bigint>;
    this.tail = {
      ordinal: Number(bounds.tail_ordinal),
      lsn: bounds.tail_lsn as bigint,
      index: Number(bounds.tail_index),
    };
    this.floor = {
      ordinal: Number(bounds.floor_ordinal),
      lsn: bounds.floor_lsn as bigint,
      index: Number(bounds.floor_index),
    };
    this.events = Number(bounds.events);
    this.bytes = Number(bounds.bytes);
  }

  /** Drops the events behind the tail, which are pieces of a transaction that was not completed. */
  dropPending(): void {
    const { ordinal, lsn, index } = this.tail;
    const pending = this.#file.get<{ events: bigint; bytes: bigint | null }>(
      `SELECT count(*) AS events,
              sum(${ROW_BYTES} + ${STORED_BYTES}) AS bytes
       FROM events WHERE (ordinal, lsn, position) > (?, ?, ?)`,
      ordinal,
      lsn,
      index,
    );
    if (pending === undefined || pending.events === 0n) return;
    this.#file.run('DELETE FROM events WHERE (ordinal, lsn, position) > (?, ?, ?)', ordinal, lsn, index);
    this.events -= Number(pending.events);
    this.bytes = Math.max(0, this.bytes - Number(pending.bytes));
  }

  trimByAge(nowMs: number): void {
    // A clock that was ahead and has been set back shows the last check in the future: the distance counts, not the
    // sign.
    if (Math.abs(nowMs - this.#ageTrimmedAtMs) < AGE_TRIM_MS) return;
    const oldestMs = nowMs - this.#limits.ageMsMax;
    // If more may be too old than one call drops, the next call goes on at once.
    if (this.#trimWhile((row) => Number(row.at_ms) < oldestMs)) this.#ageTrimmedAtMs = nowMs;
  }

  trimBySize(): void {
    const { eventsMax, bytesMax } = this.#limits;
    if (this.events <= eventsMax && this.bytes <= bytesMax) return;
    const events = eventsMax * (1 - TRIM_SLACK);
    const bytes = bytesMax * (1 - TRIM_SLACK);
    this.#trimWhile(() => this.events > events || this.bytes > bytes);
  }

  /** Drops visible events, oldest first, while the condition holds for the oldest; false if it may hold for more. */
  #trimWhile(goes: (oldest: SizedRow) => boolean): boolean {
    let dropped = 0;
    for (let step = 0; step < TRIM_STEPS_MAX && dropped < TRIM_BYTES_MAX; step++) {
      const rows = this.#file.all<SizedRow>(
        `SELECT ordinal, lsn, position, at_ms,
                ${ROW_BYTES} + ${STORED_BYTES} AS bytes
         FROM events WHERE (ordinal, lsn, position) <= (?, ?, ?)
         ORDER BY ordinal, lsn, position LIMIT ${TRIM_ROWS}`,
        this.tail.ordinal,
        this.tail.lsn,
        this.tail.index,
      );
      let cut: Position | undefined;
      let kept = false;
      for (const row of rows) {
        kept = !goes(row);
        if (kept) break;
        cut = positionOf(row);
        this.events -= 1;
        this.bytes = Math.max(0, this.bytes - Number(row.bytes));
        dropped += Number(row.bytes);
        if (dropped >= TRIM_BYTES_MAX) break;
      }
      if (cut !== undefined) {
        this.#file.run(
          'DELETE FROM events WHERE (ordinal, lsn, position) <= (?, ?, ?)',
          cut.ordinal,
          cut.lsn,
          cut.index,
        );
        this.floor = cut;
      }
      if (kept || rows.length < TRIM_ROWS) return kept || dropped < TRIM_BYTES_MAX;
    }
    return false;
  }

  save(): void {
    this.#file.run(
      `UPDATE bounds SET tail_ordinal = ?, tail_lsn = ?, tail_index = ?, floor_ordinal = ?, floor_lsn = ?, floor_index = ?,
         events = ?, bytes = ? WHERE only = 1`,
      this.tail.ordinal,
      this.tail.lsn,
      this.tail.index,
      this.floor.ordinal,
      this.floor.lsn,
      this.floor.index,
      this.events,
      this.bytes,
    );
  }
}

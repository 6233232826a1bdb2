import { type Position, positionOf } from './position.ts';
import type { PositionRow, SqlFile } from './sql-file.ts';

/** What one database's log may hold; the oldest events go first. */
export interface LogLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
  readonly ageMsMax: number;
  readonly cursorsMax: number;
  /** False: what is committed may be lost with the machine's power. */
  readonly synced?: boolean;
}

/**
 * A week of a small application, or a quarter of a GiB: what a reader may be away for without reading everything anew.
 */
export const DEFAULT_LOG_LIMITS: LogLimits = {
  eventsMax: 1_000_000,
  bytesMax: 256 * 1024 * 1024,
  ageMsMax: 7 * 24 * 60 * 60 * 1000,
  cursorsMax: 1000,
};

/** What a row costs beside its values. */
const ROW_BYTES = 64;
/** Bytes of an event's values, without reading them: `length` counts characters, and would. */
export const STORED_BYTES = 'coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)';
/** Rows looked at in one step of trimming. */
const TRIM_ROWS = 1000;
/**
 * What one call drops at most: more than a slice brings in, so that appending keeps the bounds, and little enough for a
 * short turn. What is over the bounds for another reason (a smaller limit, a week's events that grew old at once) goes
 * over the next calls.
 */
const TRIM_STEPS_MAX = 4;
const TRIM_BYTES_MAX = 8 * 1024 * 1024;
/** Age is looked at this often; the clock is the server's, by commit times. */
const AGE_TRIM_MS = 60_000;
/** Trimming goes on until this part of the bound is free, so that it runs seldom. */
const TRIM_SLACK = 1 / 16;

interface SizedRow extends PositionRow {
  readonly at_ms: bigint;
  readonly bytes: bigint;
}

export function rowBytes(before: string | null, after: string | null): number {
  return ROW_BYTES + Buffer.byteLength(before ?? '') + Buffer.byteLength(after ?? '');
}

/**
 * Where a log begins and ends and how much it holds; drops what is too much. Every change belongs into a transaction of
 * the file.
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

  /** Reads them from the file: at open, and after a transaction failed. */
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

  /** Drops what lies behind the tail: pieces of a transaction that was never completed. */
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
    // Also soon after a clock that was ahead is back: by it the last look lies in the future.
    if (Math.abs(nowMs - this.#ageTrimmedAtMs) < AGE_TRIM_MS) return;
    const oldestMs = nowMs - this.#limits.ageMsMax;
    // What is left of a long look is done by the next call.
    if (this.#trimWhile((row) => Number(row.at_ms) < oldestMs)) this.#ageTrimmedAtMs = nowMs;
  }

  trimBySize(): void {
    const { eventsMax, bytesMax } = this.#limits;
    if (this.events <= eventsMax && this.bytes <= bytesMax) return;
    const events = eventsMax * (1 - TRIM_SLACK);
    const bytes = bytesMax * (1 - TRIM_SLACK);
    this.#trimWhile(() => this.events > events || this.bytes > bytes);
  }

  /** Drops visible events, oldest first, as long as the condition holds of the oldest; false if it may hold of more. */
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

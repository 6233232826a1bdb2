import type { Clock, DatabaseId, KeyId, Logger, Timer } from '../../base/index.ts';
import type { Registry, UsageRow } from './registry.ts';

/** How much a kill -9 may lose of the counts, and how often the registry is written. */
const FLUSH_MS = 5_000;
/** Days kept in the registry: a year to bill and compare by, and a month to do it in. */
const USAGE_DAYS_KEPT = 400;
/** Days kept in memory for display. */
export const USAGE_DAYS_SHOWN = 31;
const DAY_MS = 86_400_000;

/** One day of one key. */
interface Count {
  readonly keyId: KeyId;
  readonly databaseId: DatabaseId;
  readonly day: string;
  /** All of that day. */
  operations: number;
  /** What of it the registry does not have yet. */
  unwritten: number;
}

export interface UsageOptions {
  readonly registry: Pick<Registry, 'addUsage' | 'usageSince' | 'forgetUsageBefore'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Counts operations by key, database and UTC day: in memory where queries pass, written every few seconds and on close.
 * A kill -9 loses at most the last seconds of counts, never a count already written.
 */
export class Usage {
  readonly #options: UsageOptions;
  readonly #counts = new Map<string, Count>();
  /** Where the last operation was counted; the next one is mostly of the same key. */
  #last: Count | undefined;
  #dirty = new Set<Count>();
  #timer: Timer | undefined;
  #today = '';
  #todayEndsMs = 0;

  constructor(options: UsageOptions) {
    this.#options = options;
    options.registry.forgetUsageBefore(dayOf(options.clock.now() - USAGE_DAYS_KEPT * DAY_MS));
    const since = dayOf(options.clock.now() - (USAGE_DAYS_SHOWN - 1) * DAY_MS);
    for (const row of options.registry.usageSince(since)) {
      this.#counts.set(`${row.keyId} ${row.day}`, { ...row, unwritten: 0 });
    }
  }

  /** The hot path: a map look-up and two additions. */
  count(keyId: KeyId, databaseId: DatabaseId, operations: number): void {
    const day = this.today();
    let count = this.#last;
    if (count?.keyId !== keyId || count.day !== day) {
      count = this.#countOf(keyId, databaseId, day);
      this.#last = count;
    }
    count.operations += operations;
    count.unwritten += operations;
    this.#dirty.add(count);
    this.#timer ??= this.#options.clock.after(FLUSH_MS, () => this.#flushLater());
  }

  #countOf(keyId: KeyId, databaseId: DatabaseId, day: string): Count {
    const key = `${keyId} ${day}`;
    let count = this.#counts.get(key);
    if (!count) {
      count = { keyId, databaseId, day, operations: 0, unwritten: 0 };
      this.#counts.set(key, count);
    }
    return count;
  }

  today(): string {
    const now = this.#options.clock.now();
    if (now >= this.#todayEndsMs || now < this.#todayEndsMs - DAY_MS) {
      this.#today = dayOf(now);
      this.#todayEndsMs = (Math.floor(now / DAY_MS) + 1) * DAY_MS;
      this.#forgetOld();
    }
    return this.#today;
  }

  /** Operations a day of one database, newest first. */
  ofDatabase(databaseId: DatabaseId): readonly { readonly day: string; readonly operations: number }[] {
    const days = new Map<string, number>();
    for (const count of this.#counts.values()) {
      if (count.databaseId === databaseId) days.set(count.day, (days.get(count.day) ?? 0) + count.operations);
    }
    return [...days].map(([day, operations]) => ({ day, operations })).sort((a, b) => (a.day < b.day ? 1 : -1));
  }

  /** Today's operations of all keys, by what `select` says of each. */
  todayBy(
    select: (count: { readonly keyId: KeyId; readonly databaseId: DatabaseId }) => string,
  ): ReadonlyMap<string, number> {
    const today = this.today();
    const sums = new Map<string, number>();
    for (const count of this.#counts.values()) {
      if (count.day === today) sums.set(select(count), (sums.get(select(count)) ?? 0) + count.operations);
    }
    return sums;
  }

  /** Writes what is not written yet; throws what the registry throws, and keeps the counts then. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#dirty.size === 0) return;
    const counts = [...this.#dirty];
    const rows: UsageRow[] = counts.map(({ keyId, databaseId, day, unwritten }) => ({
      keyId,
      databaseId,
      day,
      operations: unwritten,
    }));
    this.#options.registry.addUsage(rows);
    for (const count of counts) count.unwritten = 0;
    this.#dirty = new Set();
  }

  #flushLater(): void {
    this.#timer = undefined;
    try {
      this.flush();
    } catch (cause) {
      // A full disk must not end the platform over a count: it stays in memory for the next time.
      this.#options.log.log('warn', 'usage could not be written; it is tried again', { cause });
      this.#timer = this.#options.clock.after(FLUSH_MS, () => this.#flushLater());
    }
  }

  #forgetOld(): void {
    const since = dayOf(this.#options.clock.now() - (USAGE_DAYS_SHOWN - 1) * DAY_MS);
    for (const [key, count] of this.#counts) if (count.day < since && count.unwritten === 0) this.#counts.delete(key);
  }
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

import type { Clock, DatabaseId, KeyId, Logger, Timer } from '../../base/index.ts';
import type { Registry, UsageRow } from './registry.ts';

/** Time between two writes of the registry: a kill -9 loses the counts of this time at most. */
const FLUSH_MS = 5_000;
/** Days kept in the registry: a year for bills and comparisons, and a month to write the bills in. */
const USAGE_DAYS_KEPT = 400;
/** Days kept in memory for display. */
export const USAGE_DAYS_SHOWN = 31;
const DAY_MS = 86_400_000;

/** The operations of one key on one day. */
interface Count {
  readonly keyId: KeyId;
  readonly databaseId: DatabaseId;
  readonly day: string;
  /** All operations of that day. */
  operations: number;
  /** The part that is not in the registry yet. */
  unwritten: number;
}

export interface UsageOptions {
  readonly registry: Pick<Registry, 'addUsage' | 'usageSince' | 'forgetUsageBefore'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Counts operations per key, database and UTC day. Counts are kept in memory and written every few seconds and on
 * close; a kill -9 loses the counts of the last seconds only.
 */
export class Usage {
  readonly #options: UsageOptions;
  readonly #counts = new Map<string, Count>();
  /** The count of the last operation; the next operation is mostly of the same key. */
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

  /** Called for every query: a look-up in a map and two additions. */
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

  /** Operations per day of one database, newest day first. */
  ofDatabase(databaseId: DatabaseId): readonly { readonly day: string; readonly operations: number }[] {
    const days = new Map<string, number>();
    for (const count of this.#counts.values()) {
      if (count.databaseId === databaseId) days.set(count.day, (days.get(count.day) ?? 0) + count.operations);
    }
    return [...days].map(([day, operations]) => ({ day, operations })).sort((a, b) => (a.day < b.day ? 1 : -1));
  }

  /** Today's operations of all keys, added up per value of `select`. */
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

  /**
   * Writes the counts that are not written yet. When the registry throws, the counts are kept and the error passes on.
   */
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
      // A full disk must not end the platform because of counts: they stay in memory until the next write.
      this.#options.log.log('warn', 'usage could not be written; the write is tried again', { cause });
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

import type { Clock } from '../../base/index.ts';

/** What an owner may use at once: two hundred shapes of usual queries, or one that is hostile. */
const CREDIT_MS = 200;
/** Part of the time that an owner may use for long. */
const SHARE = 0.1;
/** Owners noted; beyond it those that owe nothing any more are forgotten. */
const OWNERS_MAX = 1_000;

interface Debt {
  readonly ms: number;
  readonly atMs: number;
}

/** How much of a shared thread's time each owner has used lately. */
export class CompileQuota {
  readonly #clock: Clock;
  readonly #debts = new Map<string, Debt>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes what a job of the owner took. */
  add(owner: string, ms: number): void {
    this.#debts.set(owner, { ms: this.#owed(owner) + ms, atMs: this.#clock.monotonic() });
    if (this.#debts.size <= OWNERS_MAX) return;
    for (const each of this.#debts.keys()) if (this.#owed(each) === 0) this.#debts.delete(each);
  }

  /** Whether the owner has used more than others should wait for. */
  isDeep(owner: string): boolean {
    return this.#owed(owner) > CREDIT_MS;
  }

  #owed(owner: string): number {
    const debt = this.#debts.get(owner);
    return debt === undefined ? 0 : Math.max(0, debt.ms - (this.#clock.monotonic() - debt.atMs) * SHARE);
  }
}

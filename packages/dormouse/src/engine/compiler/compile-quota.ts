import type { Clock } from '../../base/index.ts';

/** Compile time that an owner may use at once: enough for 200 shapes of usual queries, or for one hostile query. */
const BURST_MS = 200;
/** The part of the elapsed time that an owner may use in the long run. */
const SHARE = 0.1;
/** Owners that are recorded. Beyond this number, owners without recent use are forgotten. */
const OWNERS_MAX = 1_000;

interface Usage {
  readonly ms: number;
  readonly atMs: number;
}

/**
 * The time of the shared compiler thread that each owner has used lately. An owner is a database, by its id. Use
 * decreases by a tenth of the time that passes.
 */
export class CompileQuota {
  readonly #clock: Clock;
  readonly #usage = new Map<string, Usage>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records the time that a job of the owner took. */
  add(owner: string, ms: number): void {
    this.#usage.set(owner, { ms: this.#used(owner) + ms, atMs: this.#clock.monotonic() });
    if (this.#usage.size <= OWNERS_MAX) return;
    for (const each of this.#usage.keys()) if (this.#used(each) === 0) this.#usage.delete(each);
  }

  /** Whether the owner has used more than its quota, so that its jobs should not delay those of others. */
  isExceeded(owner: string): boolean {
    return this.#used(owner) > BURST_MS;
  }

  #used(owner: string): number {
    const usage = this.#usage.get(owner);
    return usage === undefined ? 0 : Math.max(0, usage.ms - (this.#clock.monotonic() - usage.atMs) * SHARE);
  }
}

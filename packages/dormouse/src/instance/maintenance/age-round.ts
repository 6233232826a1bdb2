import type { Clock, Timer } from '../../base/index.ts';
import type { InstanceState } from '../contract/index.ts';

/** How often the running databases are searched for ones whose age is due; no timer ticks while none runs. */
const ROUND_MS = 5000;
/**
 * Looks per round, one after the other: 7 200 databases per hour. Databases that started together come due in small
 * groups.
 */
const LOOKS_A_ROUND_MAX = 10;

/** A database whose transaction age is shown. */
export interface Ageing {
  /** When the next look is worthwhile, on the monotonic clock. */
  readonly ageDueAtMs: number;
  /** Looks at the age, for a bounded time. Never rejects. */
  lookAtAge(): Promise<void>;
}

/**
 * Has the age of running databases read now and then: a database that never rests has no maintenance before a rest,
 * which reads the age of the others. A look neither wakes a database nor counts as a use of it.
 */
export class AgeRound {
  readonly #clock: Clock;
  readonly #running = new Set<Ageing>();
  #timer: Timer | undefined;
  #looking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Told of every change of a database's state. */
  changed(one: Ageing, state: InstanceState): void {
    if (state !== 'running') this.#running.delete(one);
    else {
      this.#running.add(one);
      if (this.#timer === undefined) this.#arm();
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#running.clear();
  }

  #arm(): void {
    this.#timer = this.#clock.after(ROUND_MS, () => {
      this.#timer = undefined;
      if (this.#running.size === 0) return;
      this.#arm();
      if (!this.#looking) void this.#round();
    });
  }

  async #round(): Promise<void> {
    this.#looking = true;
    const nowMs = this.#clock.monotonic();
    const due = [...this.#running].filter(({ ageDueAtMs }) => ageDueAtMs <= nowMs);
    due.sort((one, other) => one.ageDueAtMs - other.ageDueAtMs);
    for (const one of due.slice(0, LOOKS_A_ROUND_MAX)) {
      // This database may have come to rest during the look at another.
      if (this.#running.has(one)) await one.lookAtAge();
    }
    this.#looking = false;
  }
}

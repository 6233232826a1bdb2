import type { Clock, Timer } from '../../base/index.ts';
import type { InstanceState } from '../contract/index.ts';

/** So often running databases are looked through for ones whose age is due; nothing ticks while none runs. */
const ROUND_MS = 5000;
/**
 * Looks in one round, one after the other: 7 200 databases an hour, and what began together comes due in small groups.
 */
const LOOKS_A_ROUND_MAX = 10;

/** A database whose transaction age is shown. */
export interface Ageing {
  /** Monotonic: when the next look is worth it. */
  readonly ageDueAtMs: number;
  /** Bounded, and never rejects. */
  lookAtAge(): Promise<void>;
}

/**
 * Has the age of running databases read now and then: one that never rests has no chores before a rest, which read it
 * elsewhere. It neither wakes a database nor counts as use of one.
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
      // It may have come to rest during the look at another.
      if (this.#running.has(one)) await one.lookAtAge();
    }
    this.#looking = false;
  }
}

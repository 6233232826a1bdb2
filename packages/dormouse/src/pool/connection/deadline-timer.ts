import type { Clock, Timer } from '../../base/index.ts';

/** The longest time that a timer of the platform can run, in milliseconds. */
const TIMER_MS_MAX = 0x7fff_ffff;

/**
 * One timer for many deadlines. It is armed for the earliest deadline that it was told of, and when it fires, for the
 * next one that is open. So a query costs a comparison, not a timer.
 */
export class DeadlineTimer {
  readonly #clock: Clock;
  /** Acts on what is due at the given monotonic time; gives the next deadline, or Infinity for none. */
  readonly #fire: (nowMs: number) => number;
  #timer: Timer | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, fire: (nowMs: number) => number) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Makes sure that the timer fires at or before `atMs`. */
  cover(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.#timer?.cancel();
    this.#atMs = atMs;
    const inMs = Math.min(Math.max(0, atMs - this.#clock.monotonic()), TIMER_MS_MAX);
    this.#timer = this.#clock.after(inMs, () => {
      this.#atMs = Number.POSITIVE_INFINITY;
      // A timer may fire a fraction of a millisecond early by the monotonic clock.
      this.cover(this.#fire(this.#clock.monotonic() + 0.5));
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#atMs = Number.NEGATIVE_INFINITY;
  }
}

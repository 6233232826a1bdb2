import type { Clock, Timer } from '../../base/index.ts';

/**
 * After a failed start the next one waits at least this long, so that a storm of queries does not spawn without end.
 */
export const BACKOFF_MS_MIN = 100;
export const BACKOFF_MS_MAX = 5000;

/** The pause after a failure: doubles with each failure, and is forgotten after a success. */
export class Backoff {
  readonly #clock: Clock;
  #ms = 0;
  #failedAtMs = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  failed(): void {
    this.#failedAtMs = this.#clock.monotonic();
    this.#ms = Math.min(BACKOFF_MS_MAX, Math.max(BACKOFF_MS_MIN, this.#ms * 2));
  }

  succeeded(): void {
    this.#ms = 0;
  }

  /** Whether the pause is over; if not, `again` is called once when it is, in place of any earlier `again`. */
  over(again: () => void): boolean {
    this.cancel();
    const leftMs = this.#failedAtMs + this.#ms - this.#clock.monotonic();
    if (leftMs <= 0) return true;
    this.#timer = this.#clock.after(leftMs, () => {
      this.#timer = undefined;
      again();
    });
    return false;
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

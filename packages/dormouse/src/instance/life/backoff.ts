import type { Clock, Timer } from '../../base/index.ts';

/** After a start that failed the next one waits, so that a storm of queries does not spawn without end. */
export const BACKOFF_MS_MIN = 100;
export const BACKOFF_MS_MAX = 5000;

/** The time between failures: doubles with each, and is forgotten with a success. */
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

  /** True if it is time to try again; else `again` is called when it is, once for the last who asked. */
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

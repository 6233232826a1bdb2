import type { Clock } from '../../base/index.ts';
import { Backoff } from './backoff.ts';

/** A server that lasted this long is not one that crashes at once again. */
const STEADY_MS = 60_000;

/**
 * Paces how a database that is always on comes up by itself: at once, and after crashes that follow each other ever
 * later, so that one that dies of its own start does not spin.
 */
export class RestartBackoff {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #upSinceMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#backoff = new Backoff(clock);
  }

  up(): void {
    this.#upSinceMs = this.#clock.monotonic();
    this.#backoff.cancel();
  }

  crashed(): void {
    if (this.#clock.monotonic() - this.#upSinceMs >= STEADY_MS) this.#backoff.succeeded();
    this.#backoff.failed();
  }

  /** True if it may come up now; else `again` is called when it may. */
  due(again: () => void): boolean {
    return this.#backoff.over(again);
  }

  cancel(): void {
    this.#backoff.cancel();
  }
}

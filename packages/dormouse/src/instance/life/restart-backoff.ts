import type { Clock } from '../../base/index.ts';
import { Backoff } from './backoff.ts';

/** A server that ran for this long is not one that crashes again as soon as it starts. */
const STEADY_MS = 60_000;

/**
 * Paces how a database that is always on comes up by itself after a crash: at once, and after crashes that follow each
 * other ever later, so that a server that crashes as soon as it starts does not spin.
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

  /** Whether the database may come up now; if not, `again` is called when it may. */
  over(again: () => void): boolean {
    return this.#backoff.over(again);
  }

  cancel(): void {
    this.#backoff.cancel();
  }
}

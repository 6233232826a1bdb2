import type { Clock } from '../../base/index.ts';

/** Large events that readers of one database hold at a time, each some megabytes until its socket has taken it. */
const PLACES = 4;
/**
 * A reader who has not taken a large event in this time is let go: others wait for its place. It comes back with its
 * offset.
 */
const TAKEN_WITHIN_MS = 30_000;

/**
 * Places for events that alone are more than one read gives. A hundred readers of a database that take nothing would
 * hold a hundred of them; a reader that comes to one waits for a place here, and others go on.
 */
export class LargeReads {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #free = PLACES;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits for a place; the result gives it back. Once it is held for too long, `late` is called. Fails with the
   * signal's reason.
   */
  async enter(signal: AbortSignal, late: () => void): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(signal);
    const timer = this.#clock.after(TAKEN_WITHIN_MS, late);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      timer.cancel();
      const [next] = this.#waiting;
      if (next === undefined) this.#free += 1;
      else next();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = (): void => {
        this.#waiting.delete(enter);
        signal.removeEventListener('abort', leave);
        resolve();
      };
      this.#waiting.add(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}

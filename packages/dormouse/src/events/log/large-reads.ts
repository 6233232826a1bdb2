import type { Clock } from '../../base/index.ts';

/** Large events that the readers of one database may hold at a time: each is some megabytes until its socket has it. */
const PLACES = 4;
/**
 * A reader that has not taken a large event in this time is disconnected, since other readers wait for its place. The
 * reader can come back with its offset.
 */
const TAKEN_WITHIN_MS = 30_000;

/**
 * Places for events that alone are more than one read gives. Without them, a hundred readers that take nothing would
 * hold a hundred such events. A reader that comes to a large event waits here for a place, while other readers go on.
 */
export class LargeReads {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #free = PLACES;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Waits for a place; the returned function gives the place back. `late` is called once the place is held for too
   * long. Fails with the signal's reason.
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

import type { Clock } from '../../base/index.ts';

/** Lets callers wait for a condition that is looked at again after every step. */
export class Progress {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something has changed. */
  step(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves when the condition holds, or when `ms` (Infinity: never) have passed. */
  until(condition: () => boolean, ms: number): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(look);
        timer?.cancel();
        resolve();
      };
      const look = (): void => {
        if (condition()) done();
      };
      const timer = Number.isFinite(ms) ? this.#clock.after(ms, done) : undefined;
      this.#waiting.add(look);
    });
  }
}

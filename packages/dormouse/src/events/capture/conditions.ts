import type { Clock } from '../../base/index.ts';

/** Lets callers wait for a condition, which is checked again after every change of what it is about. */
export class Conditions {
  readonly #clock: Clock;
  readonly #checks = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something has changed: every awaited condition is checked. */
  changed(): void {
    for (const check of [...this.#checks]) check();
  }

  /** Resolves when the condition holds, or when `ms` (Infinity: never) have passed. */
  until(condition: () => boolean, ms: number = Number.POSITIVE_INFINITY): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#checks.delete(check);
        timer?.cancel();
        resolve();
      };
      const check = (): void => {
        if (condition()) done();
      };
      const timer = Number.isFinite(ms) ? this.#clock.after(ms, done) : undefined;
      this.#checks.add(check);
    });
  }
}

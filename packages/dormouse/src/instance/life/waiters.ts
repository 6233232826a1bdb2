import type { Clock, Deadline, DormouseError, Timer } from '../../base/index.ts';
import type { Hold } from '../contract/index.ts';

interface Waiter {
  readonly timer: Timer;
  resolve(hold: Hold): void;
  reject(error: DormouseError): void;
}

/** A timer holds no more; a deadline beyond this fires early, after 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Callers that wait for a hold, each with a deadline of its own. */
export class Waiters {
  readonly #clock: Clock;
  readonly #late: () => DormouseError;
  readonly #waiting = new Set<Waiter>();

  /** `late` makes the error for a caller whose deadline has passed. */
  constructor(clock: Clock, late: () => DormouseError) {
    this.#clock = clock;
    this.#late = late;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(deadline: Deadline): Promise<Hold> {
    return new Promise<Hold>((resolve, reject) => {
      const waiter: Waiter = {
        timer: this.#clock.after(Math.min(deadline.remainingMs(), TIMER_MS_MAX), () => {
          this.#waiting.delete(waiter);
          reject(this.#late());
        }),
        resolve,
        reject,
      };
      this.#waiting.add(waiter);
    });
  }

  /** Gives each waiter a hold of its own. */
  serve(take: () => Hold): void {
    for (const waiter of this.#drain()) waiter.resolve(take());
  }

  refuse(error: DormouseError): void {
    for (const waiter of this.#drain()) waiter.reject(error);
  }

  #drain(): Waiter[] {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const { timer } of all) timer.cancel();
    return all;
  }
}

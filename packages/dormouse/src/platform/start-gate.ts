import { type Deadline, DormouseError } from '../base/index.ts';

function starting(): DormouseError {
  return new DormouseError('shutting_down', { message: 'Dormouse is starting. Try again in a moment.' });
}

/** Holds calls while the platform starts, because some clients never try again after an error. */
export class StartGate<T> {
  #value: T | undefined;
  #failed = false;
  readonly #waiters = new Set<() => void>();

  /** The value, or `shutting_down` while there is none. */
  now(): T {
    if (this.#value === undefined) throw starting();
    return this.#value;
  }

  get isOpen(): boolean {
    return this.#value !== undefined;
  }

  /** The value once there is one. Fails with `shutting_down` when the start fails or the deadline passes first. */
  async wait(deadline: Deadline): Promise<T> {
    if (this.#value === undefined && !this.#failed) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          timer.cancel();
          this.#waiters.delete(done);
          resolve();
        };
        const timer = deadline.clock.after(deadline.remainingMs(), done);
        this.#waiters.add(done);
      });
    }
    return this.now();
  }

  open(value: T): void {
    this.#value = value;
    this.#release();
  }

  /** The start failed, or the platform closes before the start was over: all waiting calls fail. */
  fail(): void {
    this.#failed = true;
    this.#release();
  }

  #release(): void {
    for (const done of [...this.#waiters]) done();
  }
}

import type { Clock, Timer } from '../../base/index.ts';

/** A body on its way. */
export interface ArrivingBody {
  /** When its headers were read; monotonic. */
  readonly sinceMs: number;
  /** Its time is up. */
  expire(): void;
}

/** Ends bodies that take too long. One timer for all of them: a body that comes with its headers costs none. */
export class SlowBodies {
  readonly #clock: Clock;
  readonly #bodyMs: number;
  /** In order of arrival, which is the order of their ends. */
  readonly #arriving = new Set<ArrivingBody>();
  #timer: Timer | undefined;

  constructor(clock: Clock, bodyMs: number) {
    this.#clock = clock;
    this.#bodyMs = bodyMs;
  }

  get size(): number {
    return this.#arriving.size;
  }

  add(body: ArrivingBody): void {
    this.#arriving.add(body);
    this.#timer ??= this.#clock.after(this.#bodyMs, () => this.#look());
  }

  delete(body: ArrivingBody): void {
    this.#arriving.delete(body);
  }

  /** Lets go of the timer; called when no body can come any more. */
  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonic();
    for (const body of this.#arriving) {
      const leftMs = body.sinceMs + this.#bodyMs - nowMs;
      if (leftMs > 0) {
        this.#timer = this.#clock.after(Math.ceil(leftMs), () => this.#look());
        return;
      }
      this.#arriving.delete(body);
      body.expire();
    }
  }
}

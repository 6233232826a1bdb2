import type { Clock } from './clock.ts';

/** A moment on the monotonic clock by which something must be done. Cheap: it has no timer. */
export class Deadline {
  readonly clock: Clock;
  /** Monotonic milliseconds; Infinity for none. */
  readonly atMs: number;

  constructor(clock: Clock, atMs: number) {
    this.clock = clock;
    this.atMs = atMs;
  }

  static in(clock: Clock, ms: number): Deadline {
    return new Deadline(clock, clock.monotonic() + ms);
  }

  /** Milliseconds left, never negative. */
  remainingMs(): number {
    return Math.max(0, this.atMs - this.clock.monotonic());
  }

  expired(): boolean {
    return this.clock.monotonic() >= this.atMs;
  }

  /** The earlier of this and `ms` from now. */
  within(ms: number): Deadline {
    const atMs = this.clock.monotonic() + ms;
    return atMs < this.atMs ? new Deadline(this.clock, atMs) : this;
  }
}

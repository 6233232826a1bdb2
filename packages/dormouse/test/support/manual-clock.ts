import type { Clock, Timer } from '../../src/base/index.ts';

interface PendingTimer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** A clock that stands still between the moments to which a test moves it; timers fire in order of their times. */
class TestClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<PendingTimer>();

  constructor(nowMs: number = Date.UTC(2026, 10, 23, 12)) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  after(ms: number, fire: () => void): Timer {
    const timer = { atMs: this.#monotonicMs + ms, fire };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Moves to the earliest timer that is due until `endMs` and fires it; says whether there was one. */
  protected fireNext(endMs: number): boolean {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= endMs && (next === undefined || timer.atMs < next.atMs)) next = timer;
    }
    if (next === undefined) return false;
    this.#timers.delete(next);
    this.moveTo(Math.max(next.atMs, this.#monotonicMs));
    next.fire();
    return true;
  }

  protected moveTo(toMs: number): void {
    this.#nowMs += toMs - this.#monotonicMs;
    this.#monotonicMs = toMs;
  }
}

/** A clock for code that a timer calls: `advance` fires the due timers one after the other, and awaits nothing. */
export class ManualClock extends TestClock {
  advance(ms: number): void {
    const endMs = this.monotonic() + ms;
    while (this.fireNext(endMs));
    this.moveTo(endMs);
  }
}

/** A clock for code that awaits timers: `advance` lets promises settle before the first timer and after each one. */
export class SettlingClock extends TestClock {
  async advance(ms: number): Promise<void> {
    const endMs = this.monotonic() + ms;
    await settled();
    while (this.fireNext(endMs)) await settled();
    this.moveTo(endMs);
  }
}

/** Lets everything run that needs no time to pass. */
export function settled(): Promise<void> {
  return new Promise<void>((resolve) => setImmediate(resolve));
}

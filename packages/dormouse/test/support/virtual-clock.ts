import type { Clock, Timer } from '../../src/base/index.ts';

/** A clock that stands still until it is advanced, and lets promises settle at every moment that it passes. */
export interface VirtualClock extends Clock {
  /**
   * Fires due timers in order, letting everything that can run without time passing run between them; ends `ms` later.
   */
  advance(ms: number): Promise<void>;
}

/** Lets everything that can run without time passing run. */
export function turn(): Promise<void> {
  return new Promise<void>((resolve) => setImmediate(resolve));
}

export function virtualClock(): VirtualClock {
  let nowMs = 0;
  let sequence = 0;
  const timers = new Map<number, { readonly atMs: number; readonly fire: () => void }>();
  const next = (limitMs: number): number | undefined => {
    let first: number | undefined;
    let firstMs = limitMs;
    for (const [id, { atMs }] of timers) {
      if (atMs > firstMs || (first !== undefined && atMs === firstMs)) continue;
      first = id;
      firstMs = atMs;
    }
    return first;
  };
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    after(ms, fire): Timer {
      const id = sequence++;
      timers.set(id, { atMs: nowMs + ms, fire });
      return { cancel: () => timers.delete(id) };
    },
    async advance(ms) {
      const limitMs = nowMs + ms;
      await turn();
      for (let id = next(limitMs); id !== undefined; id = next(limitMs)) {
        const due = timers.get(id);
        timers.delete(id);
        nowMs = Math.max(nowMs, due?.atMs ?? nowMs);
        due?.fire();
        await turn();
      }
      nowMs = limitMs;
    },
  };
}

/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** Time as an argument, so that tests decide it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970 UTC. For what people and protocols see. */
  now(): number;
  /** Monotonic, milliseconds with fractions, arbitrary origin. For durations and deadlines. */
  monotonic(): number;
  /** Calls `fire` once after `ms` (0 to 2^31-1). The timer does not keep a process alive. */
  after(ms: number, fire: () => void): Timer;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fire) {
    const handle: unknown = setTimeout(fire, ms);
    (handle as { unref?: () => void }).unref?.();
    return { cancel: () => clearTimeout(handle as number) };
  },
};

/** The longest interval of a timer. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * Keeps the process alive until `work` has ended. The timers of a `Clock` do not: without this a process that has
 * closed its ports would end while it waits for its servers to stop.
 */
export async function keepAlive<T>(work: () => Promise<T>): Promise<T> {
  const handle = setInterval(() => {}, NEVER_MS);
  try {
    return await work();
  } finally {
    clearInterval(handle);
  }
}

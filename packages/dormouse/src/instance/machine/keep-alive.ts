/** Longest interval of a timer. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * Keeps the process alive until `work` has ended. Clocks and watches of ours do not: without this a process that has
 * closed its doors would end while it waits for its servers to stop.
 */
export async function keepAlive<T>(work: () => Promise<T>): Promise<T> {
  const handle = setInterval(() => {}, NEVER_MS);
  try {
    return await work();
  } finally {
    clearInterval(handle);
  }
}

import { existsSync, readFileSync } from 'node:fs';

/** CPU time of the calling thread alone, which a busy machine does not lengthen; Linux only. */
const SCHEDSTAT = '/proc/thread-self/schedstat';

/** Whether this system says how much CPU time a thread has had. */
export const countsThreadTime: boolean = existsSync(SCHEDSTAT);

/** Milliseconds of CPU that this thread has had. */
function threadMs(): number {
  return Number(readFileSync(SCHEDSTAT, 'latin1').split(' ', 1)[0]) / 1e6;
}

/** CPU milliseconds of this thread that `work` takes in one go. */
export function inOneGo(work: () => void): number {
  const before = threadMs();
  work();
  return threadMs() - before;
}

/** Does `work`, and gives with its result how long this thread's longest turn was meanwhile, in CPU milliseconds. */
export async function longestTurn<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly longestMs: number }> {
  let longestMs = 0;
  let before = threadMs();
  let running = true;
  const turn = (): void => {
    const now = threadMs();
    longestMs = Math.max(longestMs, now - before);
    before = now;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    const result = await work();
    turn();
    return { result, longestMs };
  } finally {
    running = false;
  }
}

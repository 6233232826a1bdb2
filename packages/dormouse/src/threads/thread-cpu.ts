import { readFileSync, readlinkSync } from 'node:fs';

/** The unit of processor times in /proc: Linux shows programs 100 ticks per second on every machine. */
const TICKS_PER_SECOND = 100;

/** The kernel's id of the calling thread; undefined where there is no /proc. */
export function ownKernelId(): number | undefined {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return undefined;
  }
}

/** Processor time that a thread of this process has used, in ms; undefined where there is no /proc. */
export function threadCpuMs(kernelId: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${kernelId}/stat`, 'latin1');
    // The second field is the thread's name in parentheses, which may itself hold spaces and parentheses.
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    return ((Number(user) + Number(system)) * 1000) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

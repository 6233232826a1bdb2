import { readFileSync, readlinkSync } from 'node:fs';

/** Clock ticks of the kernel, as Linux tells them to programs on every machine. */
const TICKS_PER_SECOND = 100;

/** What the kernel calls the calling thread; undefined where there is no /proc. */
export function ownKernelId(): number | undefined {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return undefined;
  }
}

/** Processor time that a thread of this process has used, in ms; undefined where the kernel does not tell. */
export function threadCpuMs(kernelId: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/self/task/${kernelId}/stat`, 'latin1');
    // The second field is the name, in parentheses, with whatever is in it.
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    return ((Number(user) + Number(system)) * 1000) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

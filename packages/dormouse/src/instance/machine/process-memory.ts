import { readFile } from 'node:fs/promises';
import type { ProcessTable } from './process-table.ts';

/**
 * The memory of a tree of processes: the sum of their proportional set sizes (PSS), in which a page that several
 * processes share counts once among them. Undefined where the kernel does not report it (macOS), or if the tree is
 * gone. The reads do not block the main thread.
 */
export async function treeMemoryBytes(table: ProcessTable, pid: number): Promise<number | undefined> {
  const pids = [pid];
  for (const one of pids) pids.push(...table.children(one));
  const sizes = await Promise.all(pids.map(processBytes));
  if (sizes[0] === undefined) return undefined;
  // A child that has ended meanwhile counts as nothing.
  return sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
}

async function processBytes(pid: number): Promise<number | undefined> {
  try {
    const kib = /^Pss:\s+(?<kib>\d+) kB$/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'latin1'))?.groups?.kib;
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}

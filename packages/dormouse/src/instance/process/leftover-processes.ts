import { type Clock, DormouseError } from '../../base/index.ts';
import { SANDBOX_PROGRAM } from '../confinement/index.ts';
import type { Freezer, LifelineWatch } from '../machine/index.ts';
import { type ProcessIdentity, type ProcessTable, signal } from '../machine/index.ts';
import { readRecord } from './process-record.ts';

/** After SIGKILL only the kernel is left to wait for. */
const KILL_MS = 10_000;
/** How often the kill is repeated: new holders may be forked between a look and the kill. */
const KILL_ROUNDS = 10;

/**
 * The postmaster of a server that is alive: the recorded process if it still is that process, else the holder of the
 * lifeline whose parent is no holder. Undefined if the postmaster is gone and its children were given to init.
 */
export async function findPostmaster(
  table: ProcessTable,
  recordPath: string,
  lifeline: string,
): Promise<ProcessIdentity | undefined> {
  const record = await readRecord(recordPath);
  if (record !== undefined && record.bootId === table.bootId) {
    const now = table.identify(record.pid);
    // In another pid namespace the same pid may be another process, so it must hold the lifeline too.
    if (now?.startTime === record.startTime && table.holds(record.pid, lifeline)) return now;
  }
  const holders = new Set(table.holders(lifeline));
  // Process 1 of a sandbox. The program that made the sandbox may be its parent and hold the lifeline for a moment, but
  // signals to that program would not reach the postmaster.
  const confined = [...holders].find((pid) => isNamespaceRoot(table, pid));
  if (confined !== undefined) return table.identify(confined);
  const roots = [...holders].filter((pid) => !holders.has(table.parent(pid) ?? 0));
  return roots.length === 1 && roots[0] !== undefined ? table.identify(roots[0]) : undefined;
}

/** Whether a process is process 1 of a pid namespace below ours: with it the whole namespace ends. */
export function isNamespaceRoot(table: ProcessTable, pid: number): boolean {
  return pid !== 1 && table.innerPid(pid) === 1;
}

/**
 * The process that made the sandbox of this postmaster; undefined if there is no sandbox, or the process has ended
 * first.
 */
export function keeperOf(table: ProcessTable, postmaster: number): ProcessIdentity | undefined {
  const parent = table.parent(postmaster);
  if (parent === undefined || table.name(parent) !== SANDBOX_PROGRAM) return undefined;
  return table.identify(parent);
}

/**
 * Kills every process that holds the lifeline, frozen or not. Rejects if one of them lives on: then no server may start
 * on its data.
 */
export async function killHolders(
  table: ProcessTable,
  freezer: Freezer,
  clock: Clock,
  lifeline: string,
  life: LifelineWatch,
): Promise<void> {
  for (let round = 0; round < KILL_ROUNDS; round++) {
    for (const pid of table.holders(lifeline)) {
      freezer.thawForeign(pid);
      signal(pid, 'SIGKILL');
    }
    if (await goneWithin(clock, life, KILL_MS / KILL_ROUNDS)) return;
  }
  throw new DormouseError('start_failed', {
    message: `Processes that hold ${lifeline} do not end, even by SIGKILL. Until they do, this database does not start.`,
  });
}

/** Whether the last process of a server ends within `ms`. */
export function goneWithin(clock: Clock, life: LifelineWatch, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.after(ms, () => resolve(false));
    void life.gone.then(() => {
      timer.cancel();
      resolve(true);
    });
  });
}

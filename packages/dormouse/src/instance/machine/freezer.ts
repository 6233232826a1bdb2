import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../base/index.ts';
import {
  CGROUP_PREFIX,
  type CgroupPlace,
  descendants,
  gather,
  removeEmptyGroups,
  removeGroup,
  serverGroup,
} from './cgroup.ts';
import { type ProcessTable, signal } from './process-table.ts';

/**
 * Continues the tree that was frozen, without waiting. A query waits for this call, so it looks nothing up: the kernel
 * does not reuse the pids of a frozen tree while its root lives, because only the root reaps them.
 */
export type Thaw = () => void;

/** Stops and continues a whole tree of processes. Knows nothing of Postgres. */
export interface Freezer {
  readonly kind: 'cgroup' | 'signal';
  /**
   * Freezes the tree of `name` below `pid`. Resolves once every process stands still; if that fails, thaws what it
   * froze and rejects.
   */
  freeze(name: string, pid: number): Promise<Thaw>;
  /** Continues one process that an earlier platform may have frozen, by either way. */
  thawForeign(pid: number): void;
  /** Forgets a tree that has ended. */
  release(name: string): void;
  close(): Promise<void>;
}

/** How long a freeze waits: a process in an uninterruptible wait (a slow disk) stands still only when the wait ends. */
const FREEZE_MS_MAX = 5000;

/** The pause between two looks at whether all processes stand still; usually the first look is enough. */
const LOOK_MS = 1;

async function until(clock: Clock, condition: () => boolean): Promise<boolean> {
  const atMs = clock.monotonic() + FREEZE_MS_MAX;
  while (!condition()) {
    if (clock.monotonic() > atMs) return false;
    await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }
  return true;
}

function thawForeign(place: CgroupPlace | undefined, table: ProcessTable, pid: number): void {
  const group = place && serverGroup(place, pid);
  if (group !== undefined) writeFileSync(join(group, 'cgroup.freeze'), '0');
  continueTree(table, pid);
}

/** Children first: a query that waits for the thaw waits for one of them. */
function continueTree(table: ProcessTable, pid: number): void {
  for (const child of descendants(table, pid)) signal(child, 'SIGCONT');
  signal(pid, 'SIGCONT');
}

/**
 * Freezes by SIGSTOP and SIGCONT, which works everywhere. `close` removes the groups in `name` that an earlier platform
 * left which froze by groups.
 */
export function signalFreezer(table: ProcessTable, clock: Clock, place?: CgroupPlace, name?: string): Freezer {
  return {
    kind: 'signal',
    async freeze(_name, pid) {
      // The parent first: once it stands still it forks no more children, so the enumeration ends.
      const frozen = new Set<number>();
      for (let fresh = [pid]; fresh.length > 0; fresh = descendants(table, pid).filter((child) => !frozen.has(child))) {
        for (const one of fresh) {
          signal(one, 'SIGSTOP');
          frozen.add(one);
        }
        if (await until(clock, () => fresh.every((one) => table.stopped(one)))) continue;
        continueTree(table, pid);
        throw new Error(`processes did not stand still within ${FREEZE_MS_MAX} ms`);
      }
      // Children first: a query that waits for the thaw waits for one of them.
      const order = [...frozen].reverse();
      return () => {
        for (const one of order) signal(one, 'SIGCONT');
      };
    },
    thawForeign: (pid) => thawForeign(place, table, pid),
    release() {},
    async close() {
      if (place !== undefined && name !== undefined) await removeEmptyGroups(join(place.mount, place.own, name), clock);
    },
  };
}

/**
 * Freezes by the freezer of cgroup version 2, with one group per server in the group `name` below our own. A tree moves
 * into its group before its first freeze and not at its start: a move waits for a grace period of the kernel (5 to 20
 * ms) and delays every fork on the machine meanwhile. A tree that cannot be moved is frozen by signals. Undefined where
 * groups cannot be made or have no freezer.
 */
export function cgroupFreezer(
  table: ProcessTable,
  clock: Clock,
  place: CgroupPlace,
  name: string,
): Freezer | undefined {
  const parent = join(place.mount, place.own);
  const base = join(parent, name);
  try {
    // Groups that killed platforms left. A group that has members cannot be removed and stays.
    for (const other of readdirSync(parent)) {
      if (other.startsWith(CGROUP_PREFIX)) void removeEmptyGroups(join(parent, other), clock, 0);
    }
    mkdirSync(base, { recursive: true });
    writeFileSync(join(base, 'cgroup.freeze'), '0');
  } catch {
    return undefined;
  }
  const signals = signalFreezer(table, clock, place);
  const read = (group: string, file: string): string => readFileSync(join(group, file), 'latin1');
  return {
    kind: 'cgroup',
    async freeze(server, pid) {
      const group = serverGroup(place, pid) ?? join(base, server);
      if (!(await gather(table, group, pid))) return signals.freeze(server, pid);
      writeFileSync(join(group, 'cgroup.freeze'), '1');
      const thaw = (): void => writeFileSync(join(group, 'cgroup.freeze'), '0');
      if (await until(clock, () => /^frozen 1$/m.test(read(group, 'cgroup.events')))) return thaw;
      thaw();
      throw new Error(`processes did not stand still within ${FREEZE_MS_MAX} ms`);
    },
    thawForeign: (pid) => thawForeign(place, table, pid),
    release(server) {
      void removeGroup(join(base, server), clock);
    },
    async close() {
      await removeEmptyGroups(base, clock);
    },
  };
}

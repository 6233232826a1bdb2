import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../base/index.ts';
import { type ProcessTable, signal } from './process-table.ts';

/** Stops and continues a whole tree of processes. Knows nothing of Postgres. */
export interface Freezer {
  readonly kind: 'cgroup' | 'signal';
  /** Takes a process that has just been spawned, before it has children. */
  enroll(name: string, pid: number): void;
  /** Done once every process of the tree stands still; if it cannot be, thaws what it froze and rejects. */
  freeze(pid: number): Promise<void>;
  /** Continues a tree that this freezer froze. Does not wait. */
  thaw(pid: number): void;
  /** Continues one process that an earlier platform may have frozen, in whichever way. */
  thawForeign(pid: number): void;
  /** Forgets a tree that has ended. */
  release(name: string): void;
  close(): Promise<void>;
}

/** A process in an uninterruptible wait (a slow disk) does not stand still until it ends. */
const FREEZE_MS_MAX = 5000;

/** Between two looks at whether all stand still; usually the first is enough. */
const LOOK_MS = 1;

function descendants(table: ProcessTable, pid: number): number[] {
  const found: number[] = [];
  for (const child of table.children(pid)) found.push(child, ...descendants(table, child));
  return found;
}

async function until(clock: Clock, condition: () => boolean): Promise<boolean> {
  const atMs = clock.monotonic() + FREEZE_MS_MAX;
  while (!condition()) {
    if (clock.monotonic() > atMs) return false;
    await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }
  return true;
}

/** Where cgroup version 2 is mounted, and the path of our own group in it. */
export interface CgroupPlace {
  readonly mount: string;
  readonly own: string;
}

/** Undefined where there is no cgroup version 2. */
export function findCgroup(): CgroupPlace | undefined {
  try {
    const mount = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find((fields) => fields[2] === 'cgroup2')?.[1];
    const own = /^0::(?<path>.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.groups?.path;
    // A group outside of our namespace shows as a path upwards: not ours to make groups below.
    return mount === undefined || own === undefined || own.includes('..') ? undefined : { mount, own };
  } catch {
    return undefined;
  }
}

/** Groups of ours are called so, followed by a mark of the data directory. */
export const CGROUP_PREFIX = 'dormouse-';

/** The group of a process if some platform made it for a server, else undefined. */
function serverGroup(place: CgroupPlace, pid: number): string | undefined {
  try {
    const path = /^0::(?<path>.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))?.groups?.path ?? '';
    return basename(dirname(path)).startsWith(CGROUP_PREFIX) ? join(place.mount, path) : undefined;
  } catch {
    return undefined;
  }
}

function thawForeign(place: CgroupPlace | undefined, table: ProcessTable, pid: number): void {
  const group = place && serverGroup(place, pid);
  if (group !== undefined) writeFileSync(join(group, 'cgroup.freeze'), '0');
  continueTree(table, pid);
}

/** Children first: the query that waits for the thaw is with one of them. */
function continueTree(table: ProcessTable, pid: number): void {
  for (const child of descendants(table, pid)) signal(child, 'SIGCONT');
  signal(pid, 'SIGCONT');
}

/** By SIGSTOP and SIGCONT: works everywhere. */
export function signalFreezer(table: ProcessTable, clock: Clock, place?: CgroupPlace): Freezer {
  return {
    kind: 'signal',
    enroll() {},
    async freeze(pid) {
      // The parent first: once it stands still it makes no new children, so the enumeration ends.
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
    },
    thaw: (pid) => continueTree(table, pid),
    thawForeign: (pid) => thawForeign(place, table, pid),
    release() {},
    async close() {},
  };
}

/**
 * By the freezer of cgroup version 2, one group a server below our own group, in `name`. A tree that is not all in its group (spawned by a
 * platform that was killed before it enrolled it) is left to signals.
 * Undefined where groups cannot be made or have no freezer.
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
    // What killed platforms left. A group that has members stays: it cannot be removed.
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
    enroll(server, pid) {
      try {
        mkdirSync(join(base, server), { recursive: true });
        writeFileSync(join(base, server, 'cgroup.procs'), String(pid));
      } catch {
        // Not ours to move: signals do.
      }
    },
    async freeze(pid) {
      const group = serverGroup(place, pid);
      if (group === undefined) return signals.freeze(pid);
      // In this order: a child that is forked in between is a member by birth, one that ends in between is no more.
      const tree = descendants(table, pid);
      const members = new Set(read(group, 'cgroup.procs').split('\n').filter(Boolean).map(Number));
      const outside = tree.filter((child) => !members.has(child) && table.identify(child) !== undefined);
      if (outside.length > 0) return signals.freeze(pid);
      writeFileSync(join(group, 'cgroup.freeze'), '1');
      if (await until(clock, () => /^frozen 1$/m.test(read(group, 'cgroup.events')))) return;
      writeFileSync(join(group, 'cgroup.freeze'), '0');
      throw new Error(`processes did not stand still within ${FREEZE_MS_MAX} ms`);
    },
    thaw(pid) {
      const group = serverGroup(place, pid);
      if (group !== undefined) writeFileSync(join(group, 'cgroup.freeze'), '0');
      // The tree was left to signals.
      if (group === undefined || table.stopped(pid)) continueTree(table, pid);
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

/** A process leaves its group a little after its files are closed, which is when we hear of its end. */
const LEAVE_MS_MAX = 500;

async function removeGroup(group: string, clock: Clock, waitMs: number = LEAVE_MS_MAX): Promise<void> {
  for (const untilMs = clock.monotonic() + waitMs; ; ) {
    try {
      rmdirSync(group);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || clock.monotonic() >= untilMs) return;
    }
    await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }
}

/** Removes the groups of servers that have ended, and `base` if none is left. */
async function removeEmptyGroups(base: string, clock: Clock, waitMs: number = LEAVE_MS_MAX): Promise<void> {
  try {
    for (const entry of readdirSync(base, { withFileTypes: true })) {
      if (entry.isDirectory()) await removeGroup(join(base, entry.name), clock, waitMs);
    }
  } catch {
    return;
  }
  await removeGroup(base, clock, waitMs);
}

import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../base/index.ts';
import type { ProcessTable } from './process-table.ts';

/** Where cgroup version 2 is mounted, and the path of the platform's own group in it. */
export interface CgroupPlace {
  readonly mount: string;
  readonly own: string;
}

/**
 * The group below our own that the platform itself moves to when our own is divided for limits. No group of servers has
 * this name.
 */
export const PLATFORM_GROUP = 'dormouse-platform';

/** Undefined where there is no cgroup version 2. */
export function findCgroup(): CgroupPlace | undefined {
  try {
    const mount = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find((fields) => fields[2] === 'cgroup2')?.[1];
    const own = groupPath('self');
    // A group outside of our namespace shows as a path upwards: we may not make groups below it.
    if (mount === undefined || own === undefined || own.includes('..')) return undefined;
    return { mount, own: basename(own) === PLATFORM_GROUP ? dirname(own) : own };
  } catch {
    return undefined;
  }
}

function groupPath(pid: number | 'self'): string | undefined {
  return /^0::(?<path>.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))?.groups?.path;
}

/** The start of the names of our groups; after it come 12 hexadecimal digits that stand for the data directory. */
export const CGROUP_PREFIX = 'dormouse-';
/** The whole name is matched, because a service's own group may be called dormouse-something too. */
const BASE_NAME = new RegExp(`^${CGROUP_PREFIX}[0-9a-f]{12}$`);

/** The group of a process if a platform made it for a server, else undefined. */
export function serverGroup(place: CgroupPlace, pid: number): string | undefined {
  try {
    const path = groupPath(pid) ?? '';
    return BASE_NAME.test(basename(dirname(path))) ? join(place.mount, path) : undefined;
  } catch {
    return undefined;
  }
}

export function descendants(table: ProcessTable, pid: number): number[] {
  const found: number[] = [];
  for (const child of table.children(pid)) found.push(child, ...descendants(table, child));
  return found;
}

/** The most rounds of moving one tree. A process that is forked by a parent in the group is a member from its start. */
const MOVE_ROUNDS = 10;

/** The processes of a group; empty if there is no such group. */
export async function membersOf(group: string): Promise<number[]> {
  const text = await readFile(join(group, 'cgroup.procs'), 'latin1').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

/**
 * Moves one process; does nothing for a process that has ended meanwhile. The wait for a grace period of the kernel is
 * not on this thread.
 */
export async function moveProcess(group: string, pid: number): Promise<void> {
  await writeFile(join(group, 'cgroup.procs'), String(pid)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ESRCH') throw error;
  });
}

/** Moves the whole tree into the group, off this thread; false if that is not possible. */
export async function gather(table: ProcessTable, group: string, pid: number): Promise<boolean> {
  try {
    await mkdir(group, { recursive: true });
    for (let round = 0; round < MOVE_ROUNDS; round++) {
      // The tree is read before the members: a child that is forked in between is a member from its start, and one that
      // ends in between is no longer in either.
      const tree = [pid, ...descendants(table, pid)];
      const members = new Set(await membersOf(group));
      const outside = tree.filter((one) => !members.has(one) && table.identify(one) !== undefined);
      if (outside.length === 0) return true;
      for (const one of outside) await moveProcess(group, one);
    }
  } catch {
    // These processes are not ours to move.
  }
  return false;
}

/** A process leaves its group a little after its files are closed, and their close is what tells us of its end. */
const LEAVE_MS_MAX = 500;
const LOOK_MS = 1;

export async function removeGroup(group: string, clock: Clock, waitMs: number = LEAVE_MS_MAX): Promise<void> {
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

/** Removes the groups of servers that have ended, and `base` if no group is left. */
export async function removeEmptyGroups(base: string, clock: Clock, waitMs: number = LEAVE_MS_MAX): Promise<void> {
  try {
    for (const entry of readdirSync(base, { withFileTypes: true })) {
      if (entry.isDirectory()) await removeGroup(join(base, entry.name), clock, waitMs);
    }
  } catch {
    return;
  }
  await removeGroup(base, clock, waitMs);
}

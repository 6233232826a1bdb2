import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../base/index.ts';
import type { ProcessTable } from './process-table.ts';

/** Where cgroup version 2 is mounted, and the path of our own group in it. */
export interface CgroupPlace {
  readonly mount: string;
  readonly own: string;
}

/**
 * Below our own group: the platform itself, once that had to move out of the way of limits. No group of servers is
 * called so.
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
    // A group outside of our namespace shows as a path upwards: not ours to make groups below.
    if (mount === undefined || own === undefined || own.includes('..')) return undefined;
    return { mount, own: basename(own) === PLATFORM_GROUP ? dirname(own) : own };
  } catch {
    return undefined;
  }
}

function groupPath(pid: number | 'self'): string | undefined {
  return /^0::(?<path>.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))?.groups?.path;
}

/** Groups of ours are called so, followed by a mark of the data directory: 12 hexadecimal digits. */
export const CGROUP_PREFIX = 'dormouse-';
/** Not merely the prefix: a service's own group may be called dormouse-something too. */
const BASE_NAME = new RegExp(`^${CGROUP_PREFIX}[0-9a-f]{12}$`);

/** The group of a process if some platform made it for a server, else undefined. */
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

/** Moves of one tree: what is forked in between by a parent that is moved already is a member by birth. */
const MOVE_ROUNDS = 10;

/** The processes of a group; empty if there is no such group. */
export async function membersOf(group: string): Promise<number[]> {
  const text = await readFile(join(group, 'cgroup.procs'), 'latin1').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

/**
 * Moves one process; one that has ended meanwhile is none. Waits for a grace period of the kernel, away from our
 * thread.
 */
export async function moveProcess(group: string, pid: number): Promise<void> {
  await writeFile(join(group, 'cgroup.procs'), String(pid)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ESRCH') throw error;
  });
}

/** Moves the whole tree into the group, away from our thread; false if that cannot be. */
export async function gather(table: ProcessTable, group: string, pid: number): Promise<boolean> {
  try {
    await mkdir(group, { recursive: true });
    for (let round = 0; round < MOVE_ROUNDS; round++) {
      // In this order: a child that is forked in between is a member by birth, one that ends in between is no more.
      const tree = [pid, ...descendants(table, pid)];
      const members = new Set(await membersOf(group));
      const outside = tree.filter((one) => !members.has(one) && table.identify(one) !== undefined);
      if (outside.length === 0) return true;
      for (const one of outside) await moveProcess(group, one);
    }
  } catch {
    // Not ours to move.
  }
  return false;
}

/** A process leaves its group a little after its files are closed, which is when we hear of its end. */
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

/** Removes the groups of servers that have ended, and `base` if none is left. */
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

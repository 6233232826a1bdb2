import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { MachineMemory } from '../contract/index.ts';

/** Reads a file whole; undefined if it cannot be read. */
export type ReadFile = (path: string) => string | undefined;

/** A group without a limit shows `max` (version 2) or a huge number of bytes (version 1). */
const NO_LIMIT_BYTES = 2 ** 62;

/** A control group with a memory limit. */
interface LimitedGroup {
  readonly limitBytes: number;
  readonly usagePath: string;
  readonly statPath: string;
  /** The part of the usage that the kernel gives back first: cached files that were not used lately. */
  readonly reclaimable: RegExp;
}

const systemFile: ReadFile = (path) => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
};

/**
 * Linux: by /proc/meminfo and the memory limits of our control group and of the groups above it, version 1 or 2. On
 * other systems nothing is known.
 */
export function machineMemory(read: ReadFile = systemFile): MachineMemory {
  const meminfo = (name: string): number | undefined => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(read('/proc/meminfo') ?? '')?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  };
  const groups = limitedGroups(read);
  return {
    totalBytes: least([meminfo('MemTotal'), ...groups.map(({ limitBytes }) => limitBytes)]),
    availableBytes: () => least([meminfo('MemAvailable'), ...groups.map((group) => left(group, read))]),
  };
}

function least(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function left(group: LimitedGroup, read: ReadFile): number | undefined {
  const usage = Number(read(group.usagePath) ?? Number.NaN);
  if (!Number.isFinite(usage)) return undefined;
  const reclaimable = Number(group.reclaimable.exec(read(group.statPath) ?? '')?.[1] ?? 0);
  return Math.max(0, group.limitBytes - usage + reclaimable);
}

function limitedGroups(read: ReadFile): readonly LimitedGroup[] {
  const mounts = (read('/proc/self/mounts') ?? '').split('\n').map((line) => line.split(' '));
  const own = (read('/proc/self/cgroup') ?? '').split('\n');
  const groups: LimitedGroup[] = [];
  const add = (
    mount: string | undefined,
    path: string | undefined,
    files: Omit<LimitedGroup, 'limitBytes'>,
    limit: string,
  ) => {
    if (mount === undefined || path === undefined) return;
    // In a container our own path may be the path outside of the container: groups that do not exist are passed over,
    // and the root of the mount is always looked at.
    for (let at = path.includes('..') ? '/' : path; ; at = dirname(at)) {
      const limitBytes = Number.parseInt(read(join(mount, at, limit)) ?? '', 10);
      if (limitBytes < NO_LIMIT_BYTES) {
        groups.push({
          limitBytes,
          usagePath: join(mount, at, files.usagePath),
          statPath: join(mount, at, files.statPath),
          reclaimable: files.reclaimable,
        });
      }
      if (at === '/' || at === '.') return;
    }
  };
  add(
    mounts.find((fields) => fields[2] === 'cgroup2')?.[1],
    own.find((line) => line.startsWith('0::'))?.slice(3),
    { usagePath: 'memory.current', statPath: 'memory.stat', reclaimable: /^inactive_file (\d+)$/m },
    'memory.max',
  );
  add(
    mounts.find((fields) => fields[2] === 'cgroup' && fields[3]?.split(',').includes('memory'))?.[1],
    own.find((line) => line.split(':')[1]?.split(',').includes('memory'))?.split(':')[2],
    { usagePath: 'memory.usage_in_bytes', statPath: 'memory.stat', reclaimable: /^total_inactive_file (\d+)$/m },
    'memory.limit_in_bytes',
  );
  return groups;
}

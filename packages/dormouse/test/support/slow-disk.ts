import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratch } from './scratch.ts';
import { NoMount } from './small-disk.ts';

/** A real file system on a block device whose operations per second can be limited, like those of a cloud volume. */
export interface SlowDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** From now on the disk is slow for this process, and for those it starts. */
  join(pid: number): void;
  /**
   * Limits the writes, and the reads that miss the page cache, per second of all joined processes together; undefined
   * means no limit.
   */
  limit(perSecond: number | undefined): void;
  /** Unmounts it; what still runs on it is killed. */
  remove(): void;
}

const BLKIO = '/sys/fs/cgroup/blkio';
const PREFIX = 'dormouse-test-';

/**
 * By the block throttle of cgroup version 1, on a loop device. Throws {@link NoMount} where there is none, or no right
 * to it.
 */
export function slowDisk(mib: number): SlowDisk {
  if (!existsSync(join(BLKIO, 'cgroup.procs'))) throw new NoMount(`no cgroup version 1 with blkio at ${BLKIO}`);
  const home = scratch('slow-disk');
  const path = join(home.path, 'disk');
  const image = join(home.path, 'image');
  const group = join(BLKIO, `${PREFIX}${process.pid}`);
  try {
    removeStale();
    mkdirSync(path);
    execFileSync('truncate', ['-s', `${mib}M`, image], { stdio: 'pipe' });
    execFileSync('mkfs.ext4', ['-q', '-F', image], { stdio: 'pipe' });
    execFileSync('mount', ['-o', 'loop', image, path], { stdio: 'pipe' });
    mkdirSync(group);
  } catch (error) {
    home.remove();
    const { stderr, message } = error as Error & { stderr?: Buffer };
    throw new NoMount(stderr?.toString().trim() || message);
  }
  const { dev } = statSync(path);
  // As the kernel's headers pack it, for the numbers that loop devices have.
  const device = `${(dev >> 8) & 0xfff}:${dev & 0xff}`;
  const limit = (perSecond: number | undefined): void => {
    for (const what of ['read', 'write']) {
      writeFileSync(join(group, `blkio.throttle.${what}_iops_device`), `${device} ${perSecond ?? 0}`);
    }
  };
  return {
    path,
    join: (pid) => writeFileSync(join(group, 'cgroup.procs'), String(pid)),
    limit,
    remove() {
      limit(undefined);
      execFileSync('umount', ['-l', path]);
      home.remove();
      removeStale(group);
    },
  };
}

/** Groups that have no member: ours, and what killed test runs left. */
function removeStale(mine?: string): void {
  for (const name of readdirSync(BLKIO)) {
    const group = join(BLKIO, name);
    if (!name.startsWith(PREFIX) && group !== mine) continue;
    try {
      if (readFileSync(join(group, 'cgroup.procs'), 'latin1') === '') rmdirSync(group);
    } catch {
      // Another run's, or gone.
    }
  }
}

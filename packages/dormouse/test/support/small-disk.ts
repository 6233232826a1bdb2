import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Scratch, scratch } from './scratch.ts';

/** A separate file system that a test can fill up. */
export interface SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  /** Fills the file system to the last byte. */
  fill(): void;
  /** Removes the file that `fill` wrote. */
  drain(): void;
  /** Unmounts it; what still runs on it is killed. */
  remove(): void;
}

/** Says why a file system could not be mounted: for the line that a skipped test prints. */
export class NoMount extends Error {}

/** A file system in memory. Throws {@link NoMount} where this account may not mount. */
export function memoryDisk(mib: number): SmallDisk {
  return mounted((disk) => ['-t', 'tmpfs', '-o', `size=${mib}m,mode=0755`, 'tmpfs', disk]);
}

/**
 * A file system of this kind in a file, on which files can share blocks. Throws {@link NoMount} where there is none.
 */
export function reflinkDisk(kind: 'xfs' | 'btrfs', mib: number): SmallDisk {
  return mounted((disk, home) => {
    const image = join(home.path, 'image');
    execFileSync('truncate', ['-s', `${mib}M`, image], { stdio: 'pipe' });
    execFileSync(`mkfs.${kind}`, kind === 'xfs' ? ['-q', '-m', 'reflink=1', image] : ['-q', image], { stdio: 'pipe' });
    return ['-o', 'loop', image, disk];
  });
}

function mounted(prepare: (disk: string, home: Scratch) => readonly string[]): SmallDisk {
  const home = scratch('disk');
  const path = join(home.path, 'disk');
  try {
    mkdirSync(path);
    execFileSync('mount', prepare(path, home), { stdio: 'pipe' });
  } catch (error) {
    home.remove();
    const { stderr, message } = error as Error & { stderr?: Buffer };
    throw new NoMount(stderr?.toString().trim() || message);
  }
  const ballast = join(path, 'ballast');
  return {
    path,
    fill() {
      const file = openSync(ballast, 'a');
      try {
        for (let block = Buffer.alloc(1024 * 1024); block.length >= 512; ) {
          try {
            if (writeSync(file, block) < block.length) block = block.subarray(0, block.length / 2);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
            block = block.subarray(0, block.length / 2);
          }
        }
      } finally {
        closeSync(file);
      }
    },
    drain: () => rmSync(ballast, { force: true }),
    remove() {
      execFileSync('umount', ['-l', path]);
      home.remove();
    },
  };
}

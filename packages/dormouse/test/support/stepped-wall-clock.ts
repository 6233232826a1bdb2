import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Scratch, scratch } from './scratch.ts';

/** A wall clock that steps, as by an operator's hand or a late time server; what is monotonic goes on evenly. */
export interface SteppedWallClock {
  /** The environment variables of a process that uses this clock. */
  readonly env: Readonly<Record<string, string>>;
  /** Moves it to so many days from the true time. */
  stepTo(days: number): void;
  /** Removes the files that the library keeps for a killed process. */
  killed(pid: number): void;
  remove(): void;
}

/** By libfaketime, which replaces the calls that ask for the time; undefined where it is not installed. */
export function steppedWallClock(): SteppedWallClock | undefined {
  const library = libraryPath();
  if (library === undefined) return undefined;
  const home: Scratch = scratch('clock');
  const file = join(home.path, 'offset');
  const stepTo = (days: number): void => {
    // Whole at any moment: a process may read it with every look at its clock.
    writeFileSync(`${file}.new`, `${days < 0 ? '' : '+'}${days}d\n`);
    renameSync(`${file}.new`, file);
  };
  stepTo(0);
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    stepTo,
    killed(pid) {
      for (const name of ['faketime_shm', 'sem.faketime_sem']) rmSync(`/dev/shm/${name}_${pid}`, { force: true });
    },
    remove: () => home.remove(),
  };
}

/** Where Debian and its kin keep it: under the folder of the machine's architecture. */
function libraryPath(): string | undefined {
  for (const folder of readdirSync('/usr/lib')) {
    try {
      if (readdirSync(`/usr/lib/${folder}/faketime`).includes('libfaketime.so.1'))
        return `/usr/lib/${folder}/faketime/libfaketime.so.1`;
    } catch {}
  }
  return undefined;
}

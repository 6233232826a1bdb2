import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';

/** One process. Its start time distinguishes it from a later process with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process only, within one boot. */
  readonly startTime: string;
}

/** What the platform asks the operating system about processes. */
export interface ProcessTable {
  /** Changes with every boot of the machine. */
  readonly bootId: string;
  /** Undefined if there is no such process, or only a zombie. */
  identify(pid: number): ProcessIdentity | undefined;
  /** Pids of the direct children. */
  children(pid: number): number[];
  /** True once the process is stopped by a signal or gone. */
  stopped(pid: number): boolean;
  /** True if the process holds `path` open for writing. */
  holds(pid: number, path: string): boolean;
  /** Pids of all other processes that hold `path` open for writing. Slow: looks at every process. */
  holders(path: string): number[];
  parent(pid: number): number | undefined;
  /** The name of the program that the process runs, without its directory. */
  name(pid: number): string | undefined;
  /** The pid that the process itself sees, which is another one in a pid namespace of its own. */
  innerPid(pid: number): number | undefined;
}

/** The fields of /proc/PID/stat after the command's closing parenthesis; field 3 (state) is the first. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Linux: /proc. */
export function procProcessTable(): ProcessTable {
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    identify(pid) {
      const fields = statFields(pid);
      if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined;
      // Field 22, clock ticks since boot.
      return { pid, startTime: fields[19] ?? '' };
    },
    children(pid) {
      try {
        return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
      } catch {
        // The process is gone, or the kernel does not have this file.
        return statFields(pid) === undefined ? [] : allPids().filter((other) => statFields(other)?.[1] === String(pid));
      }
    },
    stopped(pid) {
      const state = statFields(pid)?.[0];
      return state === undefined || state === 'T' || state === 't' || state === 'Z' || state === 'X';
    },
    holds: (pid, path) => holds(pid, statSync(path), basename(path)),
    holders(path) {
      const file = statSync(path);
      const name = basename(path);
      return allPids().filter((pid) => pid !== process.pid && holds(pid, file, name));
    },
    parent(pid) {
      const fields = statFields(pid);
      return fields === undefined ? undefined : Number(fields[1]);
    },
    name(pid) {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
      } catch {
        return undefined;
      }
    },
    innerPid(pid) {
      try {
        // The first pid is that in our namespace, then one per nested namespace follows.
        const pids = /^NSpid:\s*(?<pids>.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.groups?.pids;
        return pids === undefined ? pid : Number(pids.split('\t').at(-1));
      } catch {
        return undefined;
      }
    },
  };
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function holds(pid: number, file: { readonly dev: number; readonly ino: number }, name: string): boolean {
  const directory = `/proc/${pid}/fd`;
  let numbers: string[];
  try {
    numbers = readdirSync(directory);
  } catch {
    // The process is gone or of another account, and so is none of our servers.
    return false;
  }
  return numbers.some((number) => {
    try {
      // The name is compared first, because asking every socket and file for its inode would be slow. The last part of
      // the name stays when a directory above is renamed.
      if (basename(readlinkSync(`${directory}/${number}`)) !== name) return false;
      const { dev, ino } = statSync(`${directory}/${number}`);
      return dev === file.dev && ino === file.ino && opensForWriting(pid, number);
    } catch {
      return false;
    }
  });
}

/** Read from the octal open flags: O_WRONLY is 1, O_RDWR is 2. */
function opensForWriting(pid: number, number: string): boolean {
  const flags = /^flags:\s*(?<octal>[0-7]+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${number}`, 'latin1'));
  return (Number.parseInt(flags?.groups?.octal ?? '0', 8) & 3) !== 0;
}

/** Systems other than Linux (macOS): the programs `ps` and `lsof`, which give the same answers more slowly. */
export function psProcessTable(): ProcessTable {
  const ask = (program: string, ...args: string[]): string => {
    try {
      return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return '';
    }
  };
  const field = (pid: number, name: string): string => ask('ps', '-o', `${name}=`, '-p', String(pid)).trim();
  const bootId =
    process.platform === 'darwin'
      ? ask('sysctl', '-n', 'kern.bootsessionuuid')
      : readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const holders = (path: string): number[] => {
    const writers = new Set<number>();
    let pid = 0;
    for (const line of ask('lsof', '-F', 'pa', '--', path).split('\n')) {
      if (line.startsWith('p')) pid = Number(line.slice(1));
      else if ((line === 'aw' || line === 'au') && pid !== process.pid) writers.add(pid);
    }
    return [...writers];
  };
  return {
    bootId,
    identify(pid) {
      const state = field(pid, 'stat');
      return state === '' || state.startsWith('Z') ? undefined : { pid, startTime: field(pid, 'lstart') };
    },
    children(pid) {
      return ask('ps', '-ax', '-o', 'pid=,ppid=')
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
        .flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []));
    },
    stopped: (pid) => /^($|T|Z)/.test(field(pid, 'stat')),
    holds: (pid, path) => holders(path).includes(pid),
    holders,
    parent(pid) {
      const parent = field(pid, 'ppid');
      return parent === '' ? undefined : Number(parent);
    },
    name: (pid) => basename(field(pid, 'comm')) || undefined,
    // These systems have no pid namespaces.
    innerPid: (pid) => pid,
  };
}

/** The fastest process table that this system has. */
export function systemProcessTable(): ProcessTable {
  return process.platform === 'linux' ? procProcessTable() : psProcessTable();
}

/** Identifies this boot of the machine: differs after each boot. */
export function machineBootId(): string {
  return systemProcessTable().bootId;
}

/** Sends a signal; false if there is no such process. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Owner } from './instance-owner.ts';
import { processesOf } from './reaper.mjs';
import type { Seeded } from './seeded.ts';

/** What a fault may act on. */
export interface Scene {
  readonly owner: Owner;
  readonly id: string;
  /** The database's own directory, and the platform's. */
  readonly directory: string;
  readonly data: string;
  readonly random: Seeded;
}

/** The state in which a round starts, and the operation that is under way when its fault strikes. */
export interface Situation {
  readonly name: string;
  readonly prepare: (owner: Owner, id: string) => Promise<unknown>;
  readonly begin?: (owner: Owner, id: string) => Promise<unknown>;
  /** Longest time from the beginning to the fault, milliseconds: about what it takes on a quiet machine. */
  readonly lasts: number;
}

export const SITUATIONS: readonly Situation[] = [
  { name: 'starting', prepare: (owner, id) => owner.stop(id), begin: (owner, id) => owner.wake(id), lasts: 40 },
  { name: 'running', prepare: (owner, id) => owner.wake(id), lasts: 0 },
  { name: 'suspending', prepare: (owner, id) => owner.wake(id), begin: (owner, id) => owner.suspend(id), lasts: 4 },
  { name: 'suspended', prepare: (owner, id) => owner.suspend(id), lasts: 0 },
  { name: 'waking', prepare: (owner, id) => owner.suspend(id), begin: (owner, id) => owner.wake(id), lasts: 2 },
  { name: 'stopping', prepare: (owner, id) => owner.wake(id), begin: (owner, id) => owner.stop(id), lasts: 20 },
  {
    name: 'stopping from its sleep',
    prepare: (owner, id) => owner.wake(id).then(() => owner.suspend(id)),
    begin: (owner, id) => owner.stop(id),
    lasts: 20,
  },
  {
    name: 'suspended, stopped and woken at once',
    prepare: (owner, id) => owner.wake(id),
    begin: (owner, id) => Promise.allSettled([owner.suspend(id), owner.stop(id), owner.wake(id)]),
    lasts: 60,
  },
  { name: 'stopped', prepare: (owner, id) => owner.stop(id), lasts: 0 },
];

/** A failure to cause. Says whether it found the process or file that it acts on. */
export interface InstanceFault {
  readonly name: string;
  /** The owner is dead afterwards. */
  readonly ownerDies?: true;
  /** The only situation in which there is such a victim. */
  readonly only?: string;
  readonly run: (scene: Scene) => boolean | Promise<boolean>;
  /** Undoes lasting effects of the fault after the operation has ended. */
  readonly after?: (scene: Scene) => void | Promise<void>;
}

interface Member {
  readonly pid: number;
  readonly title: string;
}

/** The processes of one server. */
export function membersOf(directory: string): Member[] {
  return processesOf(directory).flatMap((pid) => {
    try {
      return [{ pid, title: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
    } catch {
      return [];
    }
  });
}

/** Postmasters on a data directory: more than one is the end of the data. */
export function postmastersOf(directory: string): number[] {
  const all = processesOf(directory);
  // A child that has just been forked still bears its parent's command line.
  return all.filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const command = (of: number): string[] => readFileSync(`/proc/${of}/cmdline`, 'latin1').split('\0');
      // Who made a sandbox is the postmaster's parent, and bears its command too.
      const child = all.includes(parent) && !command(parent)[0]?.endsWith('bwrap');
      return !child && command(pid)[0]?.endsWith('/postgres') && command(pid).includes('-D');
    } catch {
      return false;
    }
  });
}

/** False if the process is gone: when the first process of a sandbox ends, all others end. */
export function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Sends a signal to one process of the server whose title matches. */
const strike =
  (title: RegExp, signal: NodeJS.Signals = 'SIGKILL') =>
  ({ directory, random }: Scene): boolean => {
    const found = membersOf(directory).filter((member) => title.test(member.title));
    return found.length > 0 && send(random.pick(found).pid, signal);
  };

const strikePostmaster = ({ directory }: Scene): boolean =>
  postmastersOf(directory).some((pid) => send(pid, 'SIGKILL'));

const BALLAST = 'ballast';
/** How long a paused process stays paused, as if a disk did not answer. */
const STILL_MS = 300;

/** How long a starting server is looked at for its startup process. */
const STARTUP_MS = 500;

/** Writes until the disk is full. Only for a file system of the test's own. */
function fill(data: string): boolean {
  const piece = Buffer.alloc(1 << 20);
  try {
    for (;;) writeFileSync(join(data, BALLAST), piece, { flag: 'a' });
  } catch {
    try {
      for (;;) writeFileSync(join(data, BALLAST), piece.subarray(0, 4096), { flag: 'a' });
    } catch {
      return true;
    }
  }
}

export const INSTANCE_FAULTS: readonly InstanceFault[] = [
  { name: 'kill -9 of the platform', ownerDies: true, run: (scene) => scene.owner.kill().then(() => true) },
  { name: 'kill -9 of the postmaster', run: strikePostmaster },
  {
    name: 'kill -9 of platform and postmaster',
    ownerDies: true,
    async run(scene) {
      const killed = scene.owner.kill();
      strikePostmaster(scene);
      await killed;
      return true;
    },
  },
  {
    name: 'kill -9 of the whole tree',
    run: ({ directory }) => membersOf(directory).filter(({ pid }) => send(pid, 'SIGKILL')).length > 0,
  },
  { name: 'kill -9 of a backend', run: strike(/ owner postgres /) },
  { name: 'kill -9 of the checkpointer', run: strike(/checkpointer/) },
  {
    name: 'kill -9 of the startup process',
    only: 'starting',
    async run(scene) {
      // It lives for some milliseconds, a little after the spawn.
      const untilMs = performance.now() + STARTUP_MS;
      while (performance.now() < untilMs) {
        if (strike(/startup/)(scene)) return true;
        await new Promise((resolve) => setImmediate(resolve));
      }
      return false;
    },
  },
  {
    name: 'a disk that does not answer',
    async run(scene) {
      if (!strike(/checkpointer|walwriter/, 'SIGSTOP')(scene)) return false;
      await new Promise((resolve) => setTimeout(resolve, STILL_MS));
      return true;
    },
    async after({ owner, id, directory }) {
      // What a platform has frozen by signals this would thaw; its own thaw continues all.
      const { state } = await owner.state(id);
      if (state === 'suspended') await owner.wake(id);
      for (const { pid, title } of membersOf(directory)) if (/checkpointer|walwriter/.test(title)) send(pid, 'SIGCONT');
    },
  },
  {
    name: 'a full disk',
    run: ({ data }) => fill(data),
    after: ({ data }) => rmSync(join(data, BALLAST), { force: true }),
  },
  {
    name: 'a removed socket',
    run({ directory }) {
      const run = join(directory, 'run');
      const names = readdirSync(run);
      for (const name of names) rmSync(join(run, name), { force: true });
      return names.length > 0;
    },
  },
  {
    name: 'a removed run directory',
    run({ directory }) {
      rmSync(join(directory, 'run'), { recursive: true, force: true });
      return true;
    },
  },
  {
    name: 'a removed record',
    run({ directory }) {
      rmSync(join(directory, 'process.json'), { force: true });
      return true;
    },
  },
];

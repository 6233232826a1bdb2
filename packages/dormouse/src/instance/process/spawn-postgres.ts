import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Deadline } from '../../base/index.ts';
import type { Isolation } from '../confinement/index.ts';
import type { DatabaseLayout, ProcessIdentity, ProcessTable } from '../machine/index.ts';
import { type Account, type LifelineWatch, openLifeline, spawnIdentity } from '../machine/index.ts';
import type { Binaries } from '../postgres/index.ts';
import { logSize, openLog } from '../postgres/index.ts';
import { isNamespaceRoot } from './leftover-processes.ts';

/** A clean start takes some 15 ms: for so long we look every millisecond. A recovery takes seconds. */
const EAGER_MS = 100;
const EAGER_LOOK_MS = 1;
const PATIENT_LOOK_MS = 10;

export interface Spawned {
  readonly child: ChildProcess;
  readonly life: LifelineWatch;
  /** What the log holds from here on is of this start. */
  readonly logOffset: number;
  /** Lets a held start go on. */
  readonly go: (() => void) | undefined;
}

/**
 * Becomes the program after it was told to: it keeps the pid. Without the word, because we have died, it ends. A group
 * must be entered before, by us: the account of the server may not, and what was charged elsewhere stays charged there.
 */
const GATE: readonly string[] = ['/bin/sh', '-c', 'read -r go && exec "$@" </dev/null', 'sh'];

/** What every start of one machine shares. */
export interface SpawnWorld {
  readonly account: Account;
  readonly isolation: Isolation;
}

/**
 * What is lost when the machine loses power is not worth a wait; what is lost when only Postgres dies is nothing still.
 */
const THROW_AWAY: readonly string[] = ['-c', 'fsync=off', '-c', 'full_page_writes=off'];

export interface SpawnOptions {
  readonly throwAway: boolean;
  /** Whether it waits for `go`. */
  readonly held: boolean;
}

/** Starts a postmaster in a session of its own. Before: proof that none is alive on this data. */
export function spawnPostgres(
  name: string,
  layout: DatabaseLayout,
  binaries: Binaries,
  { account, isolation }: SpawnWorld,
  { throwAway, held }: SpawnOptions,
): Spawned {
  clearTraces(layout);
  const lifeline = openLifeline(layout.lifeline);
  let log: number;
  try {
    log = openLog(layout.log);
  } catch (error) {
    lifeline.closeWrite();
    lifeline.watch().close();
    throw error;
  }
  const logOffset = logSize(log);
  try {
    const command = isolation.command(binaries, layout, [
      ...['-D', layout.data, '-c', `cluster_name=${name}`],
      ...(throwAway ? THROW_AWAY : []),
    ]);
    const [program = '', ...args] = held ? [...GATE, ...command] : command;
    const child = spawn(program, args, {
      ...spawnIdentity(account),
      // A session of its own: Ctrl-C does not reach it, and our death does not thaw it.
      detached: true,
      stdio: [held ? 'pipe' : 'ignore', log, log, lifeline.writeFd],
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    });
    child.unref();
    const { stdin } = child;
    // It ends before it has read: its exit says so.
    stdin?.on('error', () => {});
    return { child, logOffset, life: lifeline.watch(), go: stdin === null ? undefined : () => stdin.end('go\n') };
  } finally {
    lifeline.closeWrite();
    closeSync(log);
  }
}

/** What an ended postmaster left would make the next one ask whether its pid is alive: the proof has answered that. */
function clearTraces(layout: DatabaseLayout): void {
  rmSync(join(layout.data, 'postmaster.pid'), { force: true });
  for (const name of readdirSync(layout.run)) rmSync(join(layout.run, name), { force: true });
}

/** What a wait for a step of a start ends by. */
export interface StartWait {
  readonly clock: Clock;
  readonly deadline: Deadline;
  /** Gives an error once the start has failed. */
  failure(): Error | undefined;
}

/**
 * Waits until the process that was spawned has made the postmaster: its one child, in a sandbox. Rejects with
 * `failure()` once that gives an error, and at the deadline.
 */
export async function untilConfined(table: ProcessTable, keeperPid: number, wait: StartWait): Promise<ProcessIdentity> {
  return until(wait, () => {
    const pid = table.children(keeperPid).find((child) => isNamespaceRoot(table, child));
    return pid === undefined ? undefined : table.identify(pid);
  });
}

/** Waits until the postmaster accepts connections; `innerPid` is what it calls itself. Rejects as above. */
export async function untilReady(innerPid: number, layout: DatabaseLayout, wait: StartWait): Promise<void> {
  await until(wait, () => isReady(innerPid, layout) || undefined);
}

async function until<T>({ clock, deadline, failure }: StartWait, look: () => T | undefined): Promise<T> {
  const startedAtMs = clock.monotonic();
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    const error = failure();
    if (error !== undefined) throw error;
    if (deadline.expired()) throw new Error('postgres was not ready in time');
    const lookMs = clock.monotonic() - startedAtMs < EAGER_MS ? EAGER_LOOK_MS : PATIENT_LOOK_MS;
    await new Promise<void>((resolve) => clock.after(lookMs, resolve));
  }
}

function isReady(innerPid: number, layout: DatabaseLayout): boolean {
  return postmasterSays(innerPid, layout) === 'ready';
}

/**
 * What a postmaster says of itself in the eighth line of its pid file, `ready` once it accepts; undefined where the
 * first line is not the one that was spawned, or nothing is said yet.
 */
export function postmasterSays(innerPid: number, layout: DatabaseLayout): string | undefined {
  try {
    const lines = readFileSync(join(layout.data, 'postmaster.pid'), 'latin1').split('\n');
    return lines[0] === String(innerPid) ? lines[7]?.trim() : undefined;
  } catch {
    return undefined;
  }
}

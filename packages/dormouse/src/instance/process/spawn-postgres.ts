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

/** A clean start takes some 15 ms: at first the wait looks every millisecond. A recovery takes seconds. */
const EAGER_MS = 100;
const EAGER_LOOK_MS = 1;
const PATIENT_LOOK_MS = 10;

export interface Spawned {
  readonly child: ChildProcess;
  readonly life: LifelineWatch;
  /** The part of the log from this offset on is of this start. */
  readonly logOffset: number;
  /** Lets a held start go on; undefined where the start was not held. */
  readonly go: (() => void) | undefined;
}

/**
 * A shell that waits for a line and then becomes the program, with the same pid. Without the line, because the platform
 * has died, it ends. It waits so that the platform can move it into its control group first: the server's account may
 * not do that, and memory that was charged to another group stays charged there.
 */
const GATE: readonly string[] = ['/bin/sh', '-c', 'read -r go && exec "$@" </dev/null', 'sh'];

/** What all starts on one machine share. */
export interface SpawnWorld {
  readonly account: Account;
  readonly isolation: Isolation;
}

/**
 * Settings of a database that may be thrown away: a power cut may lose its data, so nothing waits for the disk. A crash
 * of Postgres alone still loses nothing.
 */
const THROW_AWAY: readonly string[] = ['-c', 'fsync=off', '-c', 'full_page_writes=off'];

export interface SpawnOptions {
  readonly throwAway: boolean;
  /** Whether the start waits for `go`. */
  readonly held: boolean;
}

/** Starts a postmaster in a session of its own. The caller has proven that no other is alive on this data. */
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
      // A session of its own, so that Ctrl-C does not reach the server and the platform's death does not thaw it.
      detached: true,
      stdio: [held ? 'pipe' : 'ignore', log, log, lifeline.writeFd],
      cwd: '/',
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    });
    child.unref();
    const { stdin } = child;
    // If the process ends before it has read the line, its exit tells.
    stdin?.on('error', () => {});
    return { child, logOffset, life: lifeline.watch(), go: stdin === null ? undefined : () => stdin.end('go\n') };
  } finally {
    lifeline.closeWrite();
    closeSync(log);
  }
}

/**
 * The files that an ended postmaster left would make the next one check whether that pid is alive, which the caller has
 * done.
 */
function clearTraces(layout: DatabaseLayout): void {
  rmSync(join(layout.data, 'postmaster.pid'), { force: true });
  for (const name of readdirSync(layout.run)) rmSync(join(layout.run, name), { force: true });
}

/** What ends the wait for a step of a start. */
export interface StartWait {
  readonly clock: Clock;
  readonly deadline: Deadline;
  /** Gives an error once the start has failed. */
  failure(): Error | undefined;
}

/**
 * Waits until the process that was spawned has made the sandbox's postmaster, its one child. Rejects with `failure()`
 * once that gives an error, and at the deadline.
 */
export async function untilConfined(table: ProcessTable, keeperPid: number, wait: StartWait): Promise<ProcessIdentity> {
  return until(wait, () => {
    const pid = table.children(keeperPid).find((child) => isNamespaceRoot(table, child));
    return pid === undefined ? undefined : table.identify(pid);
  });
}

/**
 * Waits until the postmaster accepts connections; `innerPid` is the pid that it sees itself. Rejects as `untilConfined`
 * does.
 */
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
 * The status that a postmaster writes into the eighth line of its pid file: `ready` once it accepts connections.
 * Undefined where the first line names another process, or no status was written yet.
 */
export function postmasterSays(innerPid: number, layout: DatabaseLayout): string | undefined {
  try {
    const lines = readFileSync(join(layout.data, 'postmaster.pid'), 'latin1').split('\n');
    return lines[0] === String(innerPid) ? lines[7]?.trim() : undefined;
  } catch {
    return undefined;
  }
}

import { accessSync, constants, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import type { Account, DatabaseLayout } from '../machine/index.ts';
import { runAs } from '../machine/index.ts';
import type { Binaries } from '../postgres/index.ts';
import { sandboxArguments } from './sandbox.ts';

/**
 * What keeps a server apart from the others: a sandbox (bubblewrap) of its own, or only that it is a process of an
 * unprivileged account.
 */
export type IsolationKind = 'sandbox' | 'process';

/** How servers are started on this machine. */
export interface Isolation {
  readonly kind: IsolationKind;
  /** Why servers are not in sandboxes, for the user; undefined where they are, or where processes were asked for. */
  readonly reason: string | undefined;
  /**
   * The command that runs `postgres` of this build on this database. The process that it starts may be the keeper of a
   * sandbox, whose child is the postmaster (see process-tree).
   */
  command(binaries: Binaries, layout: DatabaseLayout, args: readonly string[]): readonly [string, ...string[]];
}

/** The program that makes a sandbox, and stays as the parent of the server inside. */
export const SANDBOX_PROGRAM = 'bwrap';

/** The exit code of a start that found the lock of the data taken. No exit code of Postgres itself. */
export const DATA_LOCKED_EXIT = 75;

/**
 * A server in a pid namespace of its own needs a lock: Postgres looks for another server on its data by pid and by
 * shared memory, and sees neither from there. The lock (flock(2)) is on a file of the data itself, is inherited by the
 * whole tree of processes, and ends with its last process. It is on a file and not on the directory, because a
 * descriptor of a directory would lead out of the sandbox.
 */
function lockCommand(flock: string, layout: DatabaseLayout): readonly string[] {
  return [flock, '--nonblock', '--no-fork', '--conflict-exit-code', String(DATA_LOCKED_EXIT), lockFile(layout)];
}

/** The file in the data directory that a running server's processes hold a lock on. */
export function lockFile(layout: DatabaseLayout): string {
  return join(layout.data, 'PG_VERSION');
}

export interface IsolationOptions {
  readonly wanted?: IsolationKind;
  readonly account: Account;
  readonly binaries: Binaries;
}

/**
 * Chooses the best isolation that works here, which is tried with the arguments and programs of a real start. Fails
 * with `usage_invalid` if the sandbox is asked for and does not work.
 */
export async function chooseIsolation({ wanted, account, binaries }: IsolationOptions): Promise<Isolation> {
  const flock = await findFlock(account);
  const sandbox =
    wanted === 'process' ? { reason: undefined } : await trySandbox(account, binaries, flock !== undefined);
  if (sandbox.prefix === undefined && wanted === 'sandbox') {
    throw new DormouseError('usage_invalid', {
      message: `--isolation sandbox does not work here: ${sandbox.reason}. Mend that, or leave the flag out.`,
    });
  }
  return {
    kind: sandbox.prefix === undefined ? 'process' : 'sandbox',
    reason: sandbox.reason,
    command(build, layout, args) {
      const program = programOf(build);
      const locked = flock === undefined ? [] : lockCommand(flock, layout);
      const confined =
        sandbox.prefix === undefined
          ? []
          : [
              ...sandbox.prefix,
              ...sandboxArguments(
                program,
                [layout.data, layout.run],
                build.extensions === undefined ? [] : [build.extensions],
              ),
              '--',
            ];
      return [...locked, ...confined, program, ...args] as unknown as readonly [string, ...string[]];
    },
  };
}

/** The path without symlinks: a sandbox shows only the tree of the symlink's target. */
function programOf({ bin }: Binaries): string {
  return realpathSync(join(bin, 'postgres'));
}

interface SandboxTrial {
  readonly prefix?: readonly string[];
  readonly reason: string | undefined;
}

async function trySandbox(account: Account, binaries: Binaries, lockable: boolean): Promise<SandboxTrial> {
  if (process.platform !== 'linux') return { reason: 'it needs Linux' };
  const bwrap = findProgram(SANDBOX_PROGRAM);
  if (bwrap === undefined) return { reason: 'bwrap is not installed (package bubblewrap)' };
  if (!lockable) return { reason: 'flock of util-linux is not installed' };
  const program = programOf(binaries);
  let reason = '';
  // To forbid further user namespaces needs bwrap 0.8; everything else works with older versions.
  for (const more of [['--disable-userns'], []]) {
    try {
      const said = await runAs(account, bwrap, [...more, ...sandboxArguments(program, []), '--', program, '--version']);
      if (said.includes('PostgreSQL')) return { prefix: [bwrap, ...more], reason: undefined };
      reason = `postgres in a sandbox says "${said.trim().slice(0, 200)}"`;
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      reason = (stderr?.trim() || message).split('\n').at(-1)?.slice(0, 300) ?? '';
    }
  }
  return { reason: `${reason} (user namespaces may be switched off for the account "${account.name}")` };
}

/**
 * Only the flock of util-linux replaces itself by the program that it starts, which the lifeline and the record of the
 * pid rely on.
 */
async function findFlock(account: Account): Promise<string | undefined> {
  const flock = findProgram('flock');
  if (flock === undefined) return undefined;
  try {
    return (await runAs(account, flock, ['--version'])).includes('util-linux') ? flock : undefined;
  } catch {
    return undefined;
  }
}

/** Directories of system programs that the short PATH of a service may leave out. */
const PROGRAM_DIRECTORIES = ['/usr/bin', '/bin', '/usr/local/bin'] as const;

function findProgram(name: string): string | undefined {
  for (const directory of [...(process.env.PATH ?? '').split(':'), ...PROGRAM_DIRECTORIES]) {
    if (!directory.startsWith('/')) continue;
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there.
    }
  }
  return undefined;
}

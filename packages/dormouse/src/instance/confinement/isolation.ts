import { accessSync, constants, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import type { Account, DatabaseLayout } from '../machine/index.ts';
import { runAs } from '../machine/index.ts';
import type { Binaries } from '../postgres/index.ts';
import { sandboxArguments } from './sandbox.ts';

/**
 * What a server is kept apart by: a sandbox (bubblewrap) of its own, or only by being a process of an unprivileged
 * account.
 */
export type IsolationKind = 'sandbox' | 'process';

/** How servers are started on this machine. */
export interface Isolation {
  readonly kind: IsolationKind;
  /** Why it is not the sandbox, for the user; undefined where it is, or where he asked for processes. */
  readonly reason: string | undefined;
  /**
   * The command that runs `postgres` of this build on this database. Its first process may be another's: see `keeper`.
   */
  command(binaries: Binaries, layout: DatabaseLayout, args: readonly string[]): readonly [string, ...string[]];
}

/** The program that makes a sandbox, and stays as the parent of the server in it. */
export const SANDBOX_PROGRAM = 'bwrap';

/** The exit code of a start that found the lock of the data held by somebody: none of Postgres's own. */
export const DATA_LOCKED_EXIT = 75;

/**
 * Why a server in a pid namespace of its own needs a lock: Postgres looks for another by pid and by shared memory, and
 * sees neither from there. The lock (flock(2)) is on a file of the data itself, is inherited by the whole tree, and
 * ends with its last process. A file, not the directory: a descriptor of a directory would lead out of the sandbox.
 */
function lockCommand(flock: string, layout: DatabaseLayout): readonly string[] {
  return [flock, '--nonblock', '--no-fork', '--conflict-exit-code', String(DATA_LOCKED_EXIT), lockFile(layout)];
}

/** The file of the data that a running server's processes hold a lock on. */
export function lockFile(layout: DatabaseLayout): string {
  return join(layout.data, 'PG_VERSION');
}

export interface IsolationOptions {
  readonly wanted?: IsolationKind;
  readonly account: Account;
  readonly binaries: Binaries;
}

/**
 * Takes the best isolation that works here, tried with the very arguments and binaries of a start. Fails with
 * `usage_invalid` if the sandbox is asked for and does not work.
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

/** Through symlinks: only the target's own tree is to be seen in a sandbox. */
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
  // Closing the door to further user namespaces needs bwrap 0.8; the rest works with older ones.
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

/** Only that of util-linux becomes the program it starts, which a lifeline and a record of its pid need. */
async function findFlock(account: Account): Promise<string | undefined> {
  const flock = findProgram('flock');
  if (flock === undefined) return undefined;
  try {
    return (await runAs(account, flock, ['--version'])).includes('util-linux') ? flock : undefined;
  } catch {
    return undefined;
  }
}

/** Where programs of the system lie that a service's short PATH may leave out. */
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

import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { DormouseError } from '../../base/index.ts';

const run = promisify(execFile);

/** The account that Postgres runs as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** True if the platform is root and drops to this account; false if it is this account already. */
  readonly dropped: boolean;
}

/** What `spawn` needs to run a program as the account; nothing when this process runs as that account already. */
export function spawnIdentity(account: Account): { uid: number; gid: number } | Record<string, never> {
  return account.dropped ? { uid: account.uid, gid: account.gid } : {};
}

/** Tried in this order when root names no account. */
const DEFAULT_NAMES = ['postgres', 'nobody'] as const;

async function lookUp(name: string): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', '--', name]), run('id', ['-g', '--', name])]);
    return { name, uid: Number(uid.stdout), gid: Number(gid.stdout), dropped: true };
  } catch {
    return undefined;
  }
}

/**
 * Decides which account runs Postgres: this process's own, or, if that is root, `wanted`, else `postgres`, else
 * `nobody`. Fails with `account_unusable`.
 */
export async function resolveAccount(wanted?: string): Promise<Account> {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  if (uid === undefined || gid === undefined) {
    throw new DormouseError('account_unusable', { message: 'Dormouse runs on Linux and macOS; on Windows use WSL.' });
  }
  if (uid !== 0) {
    const own: Account = { name: process.env.USER ?? String(uid), uid, gid, dropped: false };
    if (wanted === undefined) return own;
    const named = await lookUp(wanted);
    if (named?.uid === uid) return own;
    throw new DormouseError('account_unusable', {
      message: `Only root can run Postgres as another account ("${wanted}"). Leave --pg-user out, or start Dormouse as root.`,
    });
  }
  for (const name of wanted === undefined ? DEFAULT_NAMES : [wanted]) {
    const account = await lookUp(name);
    if (account === undefined) continue;
    if (account.uid === 0) {
      throw new DormouseError('account_unusable', {
        message: `Postgres refuses to run as root, and the account "${name}" is root. Name another with --pg-user.`,
      });
    }
    return account;
  }
  throw new DormouseError('account_unusable', {
    message:
      wanted === undefined
        ? 'Postgres refuses to run as root, and there is no account "postgres" or "nobody". Create one, and name it with --pg-user.'
        : `There is no account "${wanted}". Create it, or name another with --pg-user.`,
  });
}

/**
 * Checks that the account may pass through every directory down to `path`. Fails with `account_unusable`, naming the
 * first directory that is closed to the account; `instead` says what else to choose.
 */
export async function checkReachable(
  account: Account,
  path: string,
  instead = 'Choose another data directory with --data (such as /var/lib/dormouse)',
): Promise<void> {
  const chain: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    chain.unshift(at);
    if (at === dirname(at)) break;
  }
  for (const directory of chain) {
    const { mode, uid, gid } = await stat(directory);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) !== 0) continue;
    throw new DormouseError('account_unusable', {
      message: `The account "${account.name}", which runs Postgres, cannot enter ${directory} and so does not reach ${path}. ${instead}, open that directory to it (chmod o+x), or name another account with --pg-user.`,
      meta: { account: account.name, path: directory },
    });
  }
}

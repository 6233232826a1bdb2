import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { DormouseError, diskFailure, toDormouseError } from '../../base/index.ts';
import { type Account, spawnIdentity } from './account.ts';
import { UNFINISHED_PREFIX } from './layout.ts';

const run = promisify(execFile);

/** The most output that is kept of a program: enough for every error message of initdb. */
const OUTPUT_BYTES_MAX = 256 * 1024;

/** Makes the entries of a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Renames and makes the new name durable. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncDirectory(dirname(to));
}

/** Writes a small file so that after a power cut either the old or the new content is there. */
export async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await renameDurably(temporary, path);
}

/**
 * Removes a tree. A program that a killed platform had started may still write into it: what the program adds is
 * removed by a retry, and once its directory is gone the program fails.
 */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 25 });
}

/** Removes what earlier attempts left half-made below `directory`. */
export async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await readdir(directory))
    if (name.startsWith(UNFINISHED_PREFIX)) await removeTree(join(directory, name));
}

/** A name below `directory` for something half-made, unlike that of any earlier attempt. */
export function unfinishedPath(directory: string, name: string): string {
  return join(directory, `${UNFINISHED_PREFIX}${name}-${randomBytes(4).toString('hex')}`);
}

/** Reads a file; undefined if it does not exist. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes a file unless it has that content already. Not durable: for files that are written again before each use. */
export async function writeIfChanged(path: string, content: string, account: Account): Promise<void> {
  if ((await readIfPresent(path)) === content) return;
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  await writeFile(temporary, content, { mode: 0o600, flag: 'wx' });
  if (account.dropped) {
    const handle = await open(temporary, 'r');
    try {
      await handle.chown(account.uid, account.gid);
    } finally {
      await handle.close();
    }
  }
  await rename(temporary, path);
}

/**
 * Makes everything below `path` durable at once, by a sync of its whole file system: one flush instead of a thousand.
 */
export async function syncTree(path: string): Promise<void> {
  // coreutils' `sync -f` is syncfs(2); elsewhere plain sync(2).
  await run('sync', process.platform === 'linux' ? ['-f', path] : []);
}

/**
 * Copies a tree with its owners and modes, sharing blocks where the file system can. A process of the account does the
 * work, so no thread of ours waits.
 */
export async function copyTree(from: string, to: string, account: Account, signal?: AbortSignal): Promise<void> {
  await runCopy(process.platform === 'darwin' ? ['-cRp'] : ['-a', '--reflink=auto'], from, to, account, signal);
}

/**
 * A clone whose program is started and waits to be told: a server that stands still for the clone does not wait for the
 * program's start, which takes half of the time.
 */
export interface ReadyClone {
  /** Clones now. Called once. */
  go(): Promise<void>;
  /** Ends a clone that was not begun; does nothing after the clone is done. */
  cancel(): void;
}

/** Prepares a copy of a tree that shares all blocks. Where the file system cannot share blocks, `go` fails. */
export async function readyClone(from: string, to: string, account: Account): Promise<ReadyClone> {
  const flags = process.platform === 'darwin' ? ['-cRp'] : ['-a', '--reflink=always'];
  // The program ends when its input ends without a line: at `cancel`, and when the platform is killed.
  const pending = run('sh', ['-c', 'echo && read -r word && exec cp "$@"', 'sh', ...flags, from, to], {
    ...spawnIdentity(account),
    maxBuffer: OUTPUT_BYTES_MAX,
    cwd: '/',
  });
  pending.catch(() => {});
  const { stdin, stdout } = pending.child;
  stdin?.on('error', () => {});
  const waits = new Promise<void>((resolve) => stdout?.once('data', () => resolve()));
  await Promise.race([waits, pending]);
  return {
    async go() {
      stdin?.end('go\n');
      await pending;
    },
    cancel: () => void stdin?.end(),
  };
}

async function runCopy(
  flags: readonly string[],
  from: string,
  to: string,
  account: Account,
  signal?: AbortSignal,
): Promise<void> {
  await run('cp', [...flags, from, to], {
    ...spawnIdentity(account),
    ...(signal ? { signal } : {}),
    maxBuffer: OUTPUT_BYTES_MAX,
    cwd: '/',
  });
}

/** Bytes of all files below `path`, as they are now. */
export async function treeBytes(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

/** Runs a program as the account; gives its stdout. Rejects with its stderr in the message. */
export async function runAs(
  account: Account,
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly signal?: AbortSignal } = {},
): Promise<string> {
  const pending = run(program, [...args], {
    ...spawnIdentity(account),
    ...(options.signal ? { signal: options.signal } : {}),
    maxBuffer: OUTPUT_BYTES_MAX,
    cwd: '/',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  });
  pending.child.stdin?.on('error', () => {});
  pending.child.stdin?.end(options.input ?? '');
  return (await pending).stdout;
}

/** A disk with less room than this counts as full: a server neither starts nor goes on. */
const ROOM_BYTES_MIN = 2 ** 20;

/**
 * Whether the file system of a path, or of the directory that would hold it, is as good as full for accounts other than
 * root.
 */
function isFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize < ROOM_BYTES_MIN;
  } catch {
    return dirname(path) !== path && isFull(dirname(path));
  }
}

/**
 * Whether a full disk is why an operation failed at `path`. Decided by the code of the operating system or of SQLite,
 * by what a program wrote to stderr, or, where the failure could not name the cause (a server whose log is on that
 * disk; SQLite when it maps its index), by a look at the disk.
 */
function isForLackOfRoom(thrown: unknown, path: string): boolean {
  const { code, stderr } = (thrown ?? {}) as { code?: unknown; stderr?: unknown };
  const name = typeof code === 'string' ? code : '';
  if (diskFailure(name) === 'disk_full') return true;
  if (/No space left on device|Disk quota exceeded/.test(String(stderr ?? ''))) return true;
  return (name === '' || name.startsWith('SQLITE_IOERR')) && isFull(path);
}

/** Turns an error of the operating system into a `DormouseError`: `disk_full` for a full disk, else `otherwise`. */
export function diskError(thrown: unknown, otherwise: 'data_unusable' | 'start_failed', path: string): DormouseError {
  if (thrown instanceof DormouseError) return thrown;
  const { code, stderr } = thrown as NodeJS.ErrnoException & { stderr?: string };
  if (isForLackOfRoom(thrown, path)) return new DormouseError('disk_full', { cause: thrown });
  if (typeof code !== 'string' && stderr === undefined) return toDormouseError(thrown);
  const detail = stderr?.trim() || (thrown as Error).message;
  return new DormouseError(otherwise, { message: `${path} cannot be used: ${detail.slice(-500)}`, cause: thrown });
}

/**
 * Turns a failure of SQLite on a file into a `DormouseError`: `disk_full`, or `data_unusable` for a file that cannot be
 * read or written. Any other error is returned as it is.
 */
export function sqliteError(thrown: unknown, file: string): unknown {
  const code = String((thrown as { code?: unknown } | null)?.code);
  if (thrown instanceof DormouseError || !code.startsWith('SQLITE_') || diskFailure(code) === undefined) return thrown;
  if (isForLackOfRoom(thrown, dirname(file))) return new DormouseError('disk_full', { cause: thrown });
  return new DormouseError('data_unusable', {
    message: `${file} cannot be used (${code}). Check the disk and who owns the file, or restore it from a backup.`,
    cause: thrown,
  });
}

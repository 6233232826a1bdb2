import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { DormouseError, diskFailure } from '../../base/index.ts';
import { lockDirectory } from '../../instance/index.ts';

/** Version of the directory's layout; a directory of another version is refused. */
export const DATA_FORMAT = 1;

const LOCK_FILE = 'dormouse.lock';
const FORMAT_FILE = 'format';
const MASTER_KEY_FILE = 'master.key';
const ADMIN_FILE = 'admin.json';
const MASTER_KEY_BYTES = 32;
/** Mode of directories that are made above the data directory, as `mkdir -p` makes them. */
const PARENT_MODE = 0o777;

export interface DataDirectoryOptions {
  /** The account of this process. The directory of root must let the unprivileged account of Postgres pass through. */
  readonly userId: number | undefined;
}

/** The data directory of a platform, locked by this process until it is closed. */
export interface DataDirectory {
  readonly path: string;
  /** 32 bytes from which every other secret is derived. Backups must include the file of the master key. */
  readonly masterKey: Uint8Array;
  /** Path of the registry's file, which is made with mode 0600 before SQLite opens it. */
  readonly registryFile: string;
  /** Writes the platform's URL and admin token for the CLI; only this account can read the file. */
  writeAdminFile(content: { readonly url: string; readonly adminToken: string }): void;
  /** Removes the admin file and releases the lock. Idempotent. */
  close(): void;
}

/**
 * Opens a data directory and makes it first if it is missing. Fails with `data_locked` (another platform uses it),
 * `data_version`, `data_unusable` (files of another program, no permission, master key lost).
 */
export function openDataDirectory(directory: string, options: DataDirectoryOptions): DataDirectory {
  const root = path.resolve(directory);
  makeDirectory(root, options.userId === 0 ? 0o711 : 0o700);
  // Checked before the lock file is made, so that a directory of another program stays untouched.
  checkOwnership(root);
  const lock = lockDirectory(path.join(root, LOCK_FILE), root);
  try {
    const masterKey = openContents(root);
    const registryFile = path.join(root, 'registry.db');
    within(root, () => closeSync(openSync(registryFile, 'a', 0o600)));
    const adminFile = path.join(root, ADMIN_FILE);
    let open = true;
    return {
      path: root,
      masterKey,
      registryFile,
      writeAdminFile: (content) => within(root, () => writeDurably(root, ADMIN_FILE, `${JSON.stringify(content)}\n`)),
      close() {
        if (!open) return;
        open = false;
        rmSync(adminFile, { force: true });
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function makeDirectory(root: string, mode: number): void {
  within(root, () => {
    // The umask restricts the mode of mkdir, but the account of Postgres must be able to pass through root's directory.
    if (makeWithParents(root, mode)) chmodSync(root, mode);
    const { mode: present } = statSync(root);
    if (mode === 0o711 && (present & 0o111) !== 0o111) chmodSync(root, (present & 0o777) | 0o111);
  });
}

/**
 * Makes a directory and the missing ones above it, and tells whether it was missing. Node's own `recursive` never
 * returns where a file system answers ENOENT for a parent that is there (`/proc`).
 */
function makeWithParents(directory: string, mode: number): boolean {
  if (existsSync(directory)) return false;
  const parent = path.dirname(directory);
  if (parent !== directory) makeWithParents(parent, PARENT_MODE);
  try {
    mkdirSync(directory, mode);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function checkOwnership(root: string): void {
  const names = within(root, () => readdirSync(root));
  if (names.includes(FORMAT_FILE) || names.includes(LOCK_FILE)) return;
  const foreign = names.filter((name) => name !== 'lost+found');
  if (foreign.length === 0) return;
  throw new DormouseError('data_unusable', {
    message: `${root} holds files that are not Dormouse's (${foreign.slice(0, 3).join(', ')}). Name an empty or new directory with --data.`,
  });
}

/**
 * Reads the format and the master key, or makes both. The format is written last, so a directory without it was never
 * completed.
 */
function openContents(root: string): Uint8Array {
  const format = readIfThere(root, FORMAT_FILE)?.toString('utf8').trim();
  if (format !== undefined && format !== String(DATA_FORMAT)) {
    throw new DormouseError('data_version', {
      message: `${root} has data format ${format.slice(0, 20)}; this Dormouse reads format ${DATA_FORMAT}. Use the version that made it, or choose another directory with --data.`,
      meta: { found: format.slice(0, 20), expected: DATA_FORMAT },
    });
  }
  const present = readIfThere(root, MASTER_KEY_FILE);
  if (present && present.length === MASTER_KEY_BYTES) {
    if (format === undefined) within(root, () => writeDurably(root, FORMAT_FILE, `${DATA_FORMAT}\n`));
    return new Uint8Array(present);
  }
  if (format !== undefined) {
    // A new master key would make every URL of a database invalid without any message.
    throw new DormouseError('data_unusable', {
      message: `${path.join(root, MASTER_KEY_FILE)} is ${present ? 'damaged' : 'missing'}. Restore it from a backup: every key and URL derives from it.`,
    });
  }
  const masterKey = randomBytes(MASTER_KEY_BYTES);
  within(root, () => {
    writeDurably(root, MASTER_KEY_FILE, masterKey);
    writeDurably(root, FORMAT_FILE, `${DATA_FORMAT}\n`);
  });
  return new Uint8Array(masterKey);
}

function readIfThere(root: string, name: string): Buffer | undefined {
  return within(root, () => {
    try {
      return readFileSync(path.join(root, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  });
}

/**
 * Writes a file of mode 0600 completely or not at all, also when the power fails: it is written beside its place,
 * synced and renamed, and the directory is synced.
 */
function writeDurably(root: string, name: string, content: string | Uint8Array): void {
  const target = path.join(root, name);
  const beside = `${target}.new`;
  rmSync(beside, { force: true });
  const file = openSync(beside, 'wx', 0o600);
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    writeSync(file, bytes, 0, bytes.length);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, target);
  const folder = openSync(root, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Runs work on files; an error of the system becomes one message that says what to do. */
function within<T>(root: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException;
    if (diskFailure(code) === 'disk_full') throw new DormouseError('disk_full', { cause });
    throw new DormouseError('data_unusable', { message: `${root}: ${reasonOf(code, syscall)}`, cause });
  }
}

function reasonOf(code: string | undefined, syscall: string | undefined): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'this account may not read or write there. Change its owner, run as another account, or choose another directory with --data.';
    case 'EROFS':
      return 'the file system is read-only. Choose another directory with --data.';
    case 'ENOENT':
      return 'a directory cannot be made there. Choose another with --data.';
    case 'ENOTDIR':
    case 'EEXIST':
      return 'this is not a directory. Choose another with --data.';
    default:
      return `${syscall ?? 'file access'} failed (${code ?? 'unknown'}). Check the disk, or choose another directory with --data.`;
  }
}

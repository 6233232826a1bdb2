import { closeSync, openSync } from 'node:fs';
import Database from 'libsql';
import { DormouseError } from '../../base/index.ts';

/**
 * The right to be the only platform on a data directory, until `release` or the end of the process, whatever ends it.
 */
export interface DirectoryLock {
  release(): void;
}

/**
 * Takes the lock `file` of the data directory `root`. Fails with `data_locked`, `data_unusable`. SQLite's file locks
 * end with the process that holds them, whatever ends it: no stale lock, no pid to trust. The file must never be opened
 * by other means in this process: closing any descriptor of it would drop the lock.
 */
export function lockDirectory(file: string, root: string): DirectoryLock {
  let database: Database.Database | undefined;
  try {
    // The file is made before SQLite opens it, so that it has the right mode; a file that exists already is not opened
    // here, because it may be locked by this process (see above).
    database = new Database(create(file), { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    const code = String((cause as { code?: unknown }).code);
    if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
      throw new DormouseError('data_locked', {
        message: `${root} is in use by a running Dormouse. Stop that Dormouse, or choose another directory with --data.`,
        cause,
      });
    }
    throw new DormouseError('data_unusable', {
      message: `${file} cannot be opened (${code}). Check that this account may write there, or choose another directory with --data.`,
      cause,
    });
  }
  const held = database;
  let open = true;
  return {
    release() {
      if (!open) return;
      open = false;
      held.exec('ROLLBACK');
      held.close();
    },
  };
}

function create(file: string): string {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return file;
}

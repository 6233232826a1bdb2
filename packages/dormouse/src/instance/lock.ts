import Database from 'libsql';
import { DormouseError } from '../base/index.ts';

/** The right to be the only platform on a data directory, until `release` or the end of the process, however it ends. */
export interface DirectoryLock {
  release(): void;
}

/** Takes the lock, an exclusive SQLite lock on `path`. Fails with `data_locked`. */
export function lockDirectory(path: string): DirectoryLock {
  let database: InstanceType<typeof Database> | undefined;
  try {
    database = new Database(path, { timeout: 0 });
    // Kept until the connection is closed; the kernel drops it when the process ends.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    database?.close();
    const code = (error as { code?: unknown }).code;
    if (typeof code === 'string' && code.startsWith('SQLITE_BUSY')) {
      throw new DormouseError('data_locked', { cause: error });
    }
    throw new DormouseError('data_unusable', {
      message: `${path} cannot be locked: ${(error as Error).message}`,
      cause: error,
    });
  }
  const held = database;
  return { release: () => held.close() };
}

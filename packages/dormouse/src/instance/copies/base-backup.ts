import { randomBytes } from 'node:crypto';
import { spawnThread, threadFile } from '../../threads/index.ts';
import { REPLICATION_ROLE } from '../administration/index.ts';
import type { Endpoint } from '../contract/index.ts';
import { type Account, spawnIdentity } from '../machine/index.ts';
import type { BackupOrder, BackupReport } from './base-backup-protocol.ts';
import type { Owner } from './tree-writer.ts';

/** Why a backup failed; `code` is that of the operating system (`ENOSPC`) or a SQLSTATE. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

export interface BaseBackupOptions {
  /** The endpoint of a server that runs, and runs until the backup is done. */
  readonly endpoint: Endpoint;
  /** The directory to fill, which exists and is empty. */
  readonly directory: string;
  readonly account: Account;
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Copies a running server's data directory over the replication protocol, in a thread of its own, while the server
 * answers queries. Gives the number of bytes copied. Rejects with {@link BackupError} or the signal's reason; the
 * caller removes a half-made copy.
 */
export async function baseBackup(options: BaseBackupOptions): Promise<number> {
  const { endpoint, directory, account, onProgress, signal } = options;
  signal?.throwIfAborted();
  const order: BackupOrder = {
    endpoint,
    directory,
    user: REPLICATION_ROLE,
    owner: account.dropped ? (spawnIdentity(account) as Owner) : undefined,
    slot: `branch_${randomBytes(6).toString('hex')}`,
  };
  const file = threadFile('base-backup-worker', import.meta.url);
  const worker = spawnThread({ name: 'dormouse-branch', file, data: order });
  let abort: (() => void) | undefined;
  try {
    return await new Promise<number>((resolve, reject) => {
      abort = () => reject(signal?.reason);
      signal?.addEventListener('abort', abort);
      worker.on('message', (report: BackupReport) => {
        if (report.kind === 'progress') onProgress?.(report.doneBytes, report.totalBytes);
        else if (report.kind === 'done') resolve(report.doneBytes);
        else reject(new BackupError(report.message, report.code));
      });
      worker.on('error', reject);
      worker.on('exit', () => reject(new BackupError('the thread of the copy ended', undefined)));
    });
  } finally {
    if (abort) signal?.removeEventListener('abort', abort);
    // The thread must not write into the directory any more when the caller removes a half-made copy.
    await worker.terminate();
  }
}

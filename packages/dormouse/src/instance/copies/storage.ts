import { chmod, chown, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Account } from '../machine/index.ts';
import {
  type DatabaseLayout,
  databaseLayout,
  diskError,
  makeLifeline,
  removeTree,
  renameDurably,
  syncTree,
  unfinishedPath,
} from '../machine/index.ts';
import { newSystemId, setSystemId } from '../postgres/index.ts';

export interface StorageOrder {
  /** The directory of the databases. */
  readonly databases: string;
  /** The new directory's name in it, which is also a part of the draft's name. */
  readonly name: string;
  readonly account: Account;
  readonly signal?: AbortSignal | undefined;
  /** Nothing is synced: a power cut may leave any part of the database. */
  readonly throwAway?: boolean | undefined;
  /** Fills the data directory, which exists and is empty. */
  fill(draft: DatabaseLayout): Promise<void>;
}

/**
 * Makes a database's directory: a draft under another name is filled, given a system identifier of its own, made
 * durable, and only then renamed. Nothing of it is left if a step fails. Fails with `disk_full`, `data_unusable`, the
 * signal's reason, and any `DormouseError` that `fill` throws.
 */
export async function makeStorage(order: StorageOrder): Promise<void> {
  const { databases, name, account, signal, throwAway = false, fill } = order;
  const draft = databaseLayout(unfinishedPath(databases, name));
  try {
    await mkdir(draft.directory, { mode: 0o710 });
    // Postgres's account may pass through the directory, and not read its other files.
    if (account.dropped) await chown(draft.directory, 0, account.gid);
    await chmod(draft.directory, 0o710);
    await mkdir(draft.data, { mode: 0o700 });
    await mkdir(draft.run, { mode: 0o700 });
    await makeLifeline(draft.lifeline);
    if (account.dropped) {
      await Promise.all([draft.data, draft.run].map((path) => chown(path, account.uid, account.gid)));
    }
    await fill(draft);
    signal?.throwIfAborted();
    await setSystemId(draft.data, newSystemId());
    if (!throwAway) await syncTree(draft.directory);
    signal?.throwIfAborted();
    await (throwAway ? rename : renameDurably)(draft.directory, join(databases, name));
  } catch (error) {
    await removeTree(draft.directory).catch(() => {});
    signal?.throwIfAborted();
    throw diskError(error, 'data_unusable', draft.directory);
  }
}

/**
 * Removes the files of a server that are useless or harmful in a copy: its pid file, and slots, which belong to readers
 * of the source.
 */
export async function stripServerTraces(data: string): Promise<void> {
  for (const name of ['postmaster.pid', 'postmaster.opts']) await rm(join(data, name), { force: true });
  const slots = join(data, 'pg_replslot');
  for (const name of await readdir(slots)) await rm(join(slots, name), { recursive: true, force: true });
}

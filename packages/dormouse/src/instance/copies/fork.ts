import { constants, copyFile, rm, statfs, writeFile } from 'node:fs/promises';
import { DormouseError } from '../../base/index.ts';
import { probe } from '../administration/index.ts';
import type { ProcessWorld } from '../confinement/index.ts';
import type { ForkOrder, ForkResult } from '../contract/index.ts';
import type { DataLayout } from '../machine/index.ts';
import { copyTree, diskError, lifelineHeld, readyClone, treeBytes, unfinishedPath } from '../machine/index.ts';
import { trimWal } from '../postgres/index.ts';
import { BackupError, baseBackup } from './base-backup.ts';
import { makeStorage, stripServerTraces } from './storage.ts';

/** How often the size of a copy of files is measured, to report progress. */
const MEASURE_MS = 250;
/** How long the checkpoint before a clone may take: it writes at most shared_buffers, but the disk may be slow. */
const CHECKPOINT_MS = 30_000;

/** True if files below `directory` can share their blocks. */
export async function canClone(directory: string): Promise<boolean> {
  const from = unfinishedPath(directory, 'clone-probe');
  const to = `${from}-copy`;
  try {
    await writeFile(from, 'x');
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  } finally {
    await Promise.all([rm(from, { force: true }), rm(to, { force: true })]);
  }
}

export interface ForkWorld {
  readonly layout: DataLayout;
  readonly world: ProcessWorld;
  /** Whether files below the databases' directory can share blocks. */
  readonly clones: boolean;
}

/** Does the work of `Runtime.fork`. */
export async function forkStorage(order: ForkOrder, { layout, world, clones }: ForkWorld): Promise<ForkResult> {
  const { server, running, id, signal, onProgress } = order;
  const { account, clock } = world;
  const source = layout.database(order.source);
  const common = { databases: layout.databases, name: id, account, signal, throwAway: order.throwAway };
  if (!running) {
    // No process of the source may be alive, such as an earlier platform's server that could not be ended.
    if (lifelineHeld(source.lifeline)) throw new DormouseError('database_busy');
    await makeStorage({
      ...common,
      async fill(draft) {
        const stop = measure(source.data, draft.data, onProgress);
        try {
          await copyTree(`${source.data}/.`, draft.data, account, signal);
        } finally {
          stop();
        }
        await stripServerTraces(draft.data);
        await trimWal(draft.data);
      },
    });
    return { way: 'files', pausedMs: 0 };
  }
  if (clones) {
    // Writes dirty pages before the source stands still, so that it stands still for less. If the checkpoint fails, the
    // clone recovers all the same.
    await probe(server.endpoint, CHECKPOINT_MS, 'CHECKPOINT; SELECT 1');
    let pausedMs = 0;
    await makeStorage({
      ...common,
      async fill(draft) {
        const clone = await readyClone(`${source.data}/.`, draft.data, account);
        try {
          const startedMs = clock.monotonic();
          await server.paused(() => clone.go());
          pausedMs = clock.monotonic() - startedMs;
        } finally {
          clone.cancel();
        }
        await stripServerTraces(draft.data);
      },
    });
    return { way: 'clone', pausedMs };
  }
  await makeStorage({
    ...common,
    async fill(draft) {
      try {
        await baseBackup({ endpoint: server.endpoint, directory: draft.data, account, onProgress, signal });
      } catch (error) {
        throw await backupFailure(error, draft.directory);
      }
    },
  });
  return { way: 'stream', pausedMs: 0 };
}

/**
 * With less room than this on the disk the source itself fails at what a copy needs of it (a checkpoint, a segment of
 * WAL), with varying messages.
 */
const FULL_BYTES = 4 * 1024 * 1024;

async function backupFailure(error: unknown, path: string): Promise<unknown> {
  if (!(error instanceof BackupError)) return error;
  const { bavail, bsize } = await statfs(path);
  if (
    bavail * bsize < FULL_BYTES ||
    error.code === '53100' ||
    diskError(error, 'data_unusable', path).code === 'disk_full'
  ) {
    return new DormouseError('disk_full', { cause: error });
  }
  return new DormouseError('branch_failed', {
    message: `The copy of the source ended before it was complete (${error.message.slice(0, 300)}). Nothing of the branch is left; try again.`,
    cause: error,
  });
}

/** Reports the progress of a copy of files by measuring what is there. Best effort; the result ends the measuring. */
function measure(from: string, to: string, tell: ForkOrder['onProgress']): () => void {
  if (tell === undefined) return () => {};
  let over = false;
  void (async () => {
    const totalBytes = await treeBytes(from);
    while (!over) {
      tell(Math.min(totalBytes, await treeBytes(to)), totalBytes);
      await new Promise((resolve) => setTimeout(resolve, MEASURE_MS).unref());
    }
  })().catch(() => {});
  return () => {
    over = true;
  };
}

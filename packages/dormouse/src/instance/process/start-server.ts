import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { type Deadline, DormouseError } from '../../base/index.ts';
import type { ProcessWorld } from '../confinement/index.ts';
import { DATA_LOCKED_EXIT, lockFile } from '../confinement/index.ts';
import type { Account, DatabaseLayout, ProcessIdentity } from '../machine/index.ts';
import { diskError, makeLifeline, readIfPresent } from '../machine/index.ts';
import { logTail } from '../postgres/index.ts';
import { writeRecord } from './process-record.ts';
import type { ProcessTree } from './process-tree.ts';
import { type Spawned, untilConfined, untilReady } from './spawn-postgres.ts';

/** A start under way. */
export interface Start {
  readonly name: string;
  readonly spawned: Spawned;
  readonly tree: ProcessTree;
  readonly layout: DatabaseLayout;
  readonly world: ProcessWorld;
  readonly deadline: Deadline;
  readonly givenUp: () => boolean;
  /** The process that was spawned has ended, during the start or at any time after it, and with it the server. */
  readonly onDied: () => void;
  /** The sandbox's keeper alone has ended; the server goes on. */
  readonly onKeeperLost: (root: ProcessIdentity) => void;
}

/**
 * Makes sure that the lifeline exists: without it nothing proves that no earlier server is alive. Data that is new to
 * this machine gets one. Fails with `start_failed` where the lifeline was replaced or removed.
 */
export async function ensureLifeline({ lifeline, data, record }: DatabaseLayout): Promise<void> {
  let kind: 'missing' | 'fifo' | 'other' = 'missing';
  try {
    kind = statSync(lifeline).isFIFO() ? 'fifo' : 'other';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  if (kind === 'fifo') return;
  statSync(data);
  if (kind === 'missing' && (await readIfPresent(record)) === undefined) {
    // The data was restored from a copy without the FIFO: no server was started here yet.
    await makeLifeline(lifeline);
    return;
  }
  throw new DormouseError('start_failed', {
    message: `${lifeline} is not the FIFO that it was, so nothing proves that no other Postgres runs on this data. Make sure that none does, remove that file and ${record}, and try again.`,
  });
}

/** Makes the directory of the socket again if it was removed: a start needs it. */
export function ensureRun({ run }: DatabaseLayout, account: Account): void {
  if (existsSync(run)) return;
  mkdirSync(run, { mode: 0o700 });
  if (account.dropped) chownSync(run, account.uid, account.gid);
}

/** Follows a start from the spawn to the first accepted connection, which the record on disk precedes. */
export async function followStart(start: Start): Promise<void> {
  const { spawned, tree, layout, world, deadline, givenUp } = start;
  const { child, life, go } = spawned;
  const { table, clock, isolation, limits } = world;
  let failure: Error | undefined;
  child.on('error', (error) => {
    failure = error;
  });
  child.on('exit', (code, name) => {
    failure ??=
      code === DATA_LOCKED_EXIT ? lockedError(layout) : new Error(`postgres ended with ${name ?? `exit code ${code}`}`);
    const root = tree.life === life ? tree.root : undefined;
    // The keeper alone was ended: the server goes on, and its end is noticed as for an adopted server.
    if (root !== undefined && root.pid !== child.pid && tree.is(root)) start.onKeeperLost(root);
    else start.onDied();
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const { pid } = child;
  if (pid === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    throw failure ?? new Error('postgres was not spawned');
  }
  const first = table.identify(pid);
  if (first === undefined) {
    // The process is gone, but its exit event, which has the reason, is still to come.
    await exited;
    throw failure ?? new Error('postgres ended at once');
  }
  if (go !== undefined) {
    await limits.admit(start.name, pid);
    go();
  }
  const wait = { clock, deadline, failure: () => failure ?? (givenUp() ? startGivenUp() : undefined) };
  let root = first;
  if (isolation.kind === 'sandbox') {
    tree.keptBy(first);
    root = await untilConfined(table, pid, wait);
  }
  tree.startedAs(root, child);
  // The record is written while the server starts. No client connects before both are done.
  const recorded = writeRecord(layout.record, { ...root, bootId: table.bootId });
  const innerPid = isolation.kind === 'sandbox' ? 1 : root.pid;
  await Promise.all([recorded, untilReady(innerPid, layout, wait)]);
}

/** The error of a start that a forced stop broke off. */
function startGivenUp(): DormouseError {
  return new DormouseError('start_failed', {
    message: 'The start of this database was broken off, because it is to be stopped. The next query starts it again.',
  });
}

/**
 * The error of a failed start, with the reason from the log; the part of the log from `logOffset` on is of this start.
 */
export function startError(error: unknown, layout: DatabaseLayout, logOffset: number): DormouseError {
  if (error instanceof DormouseError) return error;
  const tail = logTail(layout.log, logOffset);
  if (/No space left on device|Disk quota exceeded/.test(tail)) return new DormouseError('disk_full', { cause: error });
  const known = diskError(error, 'start_failed', layout.directory);
  if (known.code === 'disk_full') return known;
  const detail = tail === '' ? (error as Error).message : tail;
  return new DormouseError('start_failed', {
    message: `Postgres does not start. The end of ${layout.log} says:\n${detail}`,
    cause: error,
  });
}

function lockedError(layout: DatabaseLayout): DormouseError {
  const file = lockFile(layout);
  return new DormouseError('start_failed', {
    message: `Another Postgres has this data open: something holds the lock on ${file}, though nothing of it is on record. Find it (fuser ${file}), end it with SIGINT, and try again.`,
  });
}

import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseId } from '../../base/index.ts';
import type { ProcessWorld, ServerLimits } from '../confinement/index.ts';
import type { ForkOrder, ForkResult, Runtime } from '../contract/index.ts';
import { canClone, FileReadyCopies, forkStorage, makeStorage, Spares } from '../copies/index.ts';
import type { SocketPaths } from '../machine/index.ts';
import {
  CONDEMNED_PREFIX,
  COPY_PREFIX,
  copyTree,
  type DataLayout,
  databaseLayout,
  readIfPresent,
  removeTree,
  removeUnfinished,
  runAs,
  SPARE_PREFIX,
  signal,
  syncDirectory,
} from '../machine/index.ts';
import { configure, dataMajor, SOCKET_PORT, templateData, templateMark } from '../postgres/index.ts';
import { ProcessServer } from './process-server.ts';

export interface ProcessRuntimeOptions {
  readonly layout: DataLayout;
  readonly world: ProcessWorld;
  readonly limits: ServerLimits;
  /** Gives the paths of sockets below `layout.databases`. */
  readonly sockets: SocketPaths;
  /** The major version of new databases. */
  readonly pgMajor: number;
  /** Copies of the template, and of each source of throw-away branches, to keep ready; 0 for none. */
  readonly sparesMax: number;
}

/**
 * A start of the platform, and a burst of creations, come first: spares are made once the machine has been quiet for
 * this long.
 */
const QUIET_MS = 1000;

/** The runtime that starts servers as processes of this machine. */
export function processRuntime(options: ProcessRuntimeOptions): Runtime {
  const { layout, world, limits, sockets, pgMajor: newestMajor, sparesMax } = options;
  const { account, clock, logger } = world;
  const { databases } = layout;
  const copyTemplate = (name: string, pgMajor: number, signal: AbortSignal | undefined): Promise<void> =>
    makeStorage({
      databases,
      name,
      account,
      signal,
      fill: (draft) => copyTree(`${templateData(layout, pgMajor)}/.`, draft.data, account, signal),
    });
  const spares = new Spares({
    ...{ databases, prefix: SPARE_PREFIX, durable: true, quietMs: QUIET_MS },
    count: sparesMax,
    clock,
    logger,
    make: (name, signal) => copyTemplate(name, newestMajor, signal),
  });
  let clones: Promise<boolean> | undefined;
  const fork = async (order: ForkOrder): Promise<ForkResult> => {
    clones ??= canClone(databases);
    return forkStorage(order, { layout, world, clones: await clones });
  };
  return {
    async recover() {
      await removeLeftovers(layout, world);
      return storedDatabases(layout);
    },
    async begin() {
      await limits.enforce();
      await spares.open(await templateMark(layout, newestMajor));
    },
    async create(id, pgMajor, signal) {
      signal?.throwIfAborted();
      if (pgMajor === newestMajor && (await spares.take(await templateMark(layout, pgMajor), id))) return;
      await copyTemplate(id, pgMajor, signal);
    },
    fork,
    readyCopies: new FileReadyCopies({ layout, fork, count: sparesMax, clock, logger }),
    open({ id, limits: own, throwAway }) {
      limits.note(id, own);
      const path = sockets.path(id, 'run', `.s.PGSQL.${SOCKET_PORT}`);
      return new ProcessServer(id, layout.database(id), { kind: 'unix', path }, world, throwAway);
    },
    async setLimits(id, own) {
      const before = limits.of(id);
      const { tempLimitBytes } = await limits.change(id, own);
      if (tempLimitBytes !== before.tempLimitBytes) await changeTempLimit(id, tempLimitBytes, layout, world);
    },
    directory: (id) => layout.database(id).directory,
    async destroy(id) {
      limits.forget(id);
      await destroyStorage(id, layout, world);
    },
    close: () => spares.close(),
  };
}

/**
 * Has a running server read its limit of temporary files anew. Its sessions take the limit over between two statements;
 * those of a frozen server after the thaw.
 */
async function changeTempLimit(
  id: DatabaseId,
  tempLimitBytes: number,
  layout: DataLayout,
  { account, clientsMax, limits, binaries }: ProcessWorld,
): Promise<void> {
  const root = limits.rootOf(id);
  if (root === undefined) return;
  const { data } = layout.database(id);
  await configure(data, account, binaries(dataMajor(data)), { clientsMax, tempLimitBytes });
  if (limits.rootOf(id) === root) signal(root.pid, 'SIGHUP');
}

async function destroyStorage(id: DatabaseId, layout: DataLayout, world: ProcessWorld): Promise<void> {
  const condemned = join(layout.databases, `${CONDEMNED_PREFIX}${id}-${randomBytes(4).toString('hex')}`);
  try {
    await rename(layout.database(id).directory, condemned);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await syncDirectory(layout.databases);
  await removeCondemned(condemned, world);
}

/** The recovery of a deleted database whose server had crashed is broken off after this. */
const CLEAR_MS_MAX = 30_000;

async function removeCondemned(directory: string, world: ProcessWorld): Promise<void> {
  await clearSharedMemory(databaseLayout(directory).data, world);
  await removeTree(directory);
}

/**
 * A postmaster that was killed leaves shared memory outside of its directory, which only a start on the same data finds
 * and removes. The single-user mode is such a start. Best effort: what is left takes a few bytes until the machine
 * boots.
 */
async function clearSharedMemory(data: string, world: ProcessWorld): Promise<void> {
  const traces = join(data, 'postmaster.pid');
  // The shared memory of a sandbox ended with the sandbox; and data of a sandboxed server is never run outside of one.
  if (world.isolation.kind === 'sandbox' || (await readIfPresent(traces)) === undefined) return;
  try {
    await rm(traces);
    const { bin } = world.binaries(Number(await readFile(join(data, 'PG_VERSION'), 'utf8')));
    await runAs(world.account, join(bin, 'postgres'), ['--single', '-D', data, 'postgres'], {
      signal: AbortSignal.timeout(CLEAR_MS_MAX),
    });
  } catch (error) {
    world.logger.log('warn', 'shared memory of a deleted database may remain', {
      directory: data,
      reason: String(error),
    });
  }
}

/**
 * Removes what a killed create or destroy left, and copies that were ready to become throw-away databases. For the
 * start of a platform, under its lock.
 */
async function removeLeftovers(layout: DataLayout, world: ProcessWorld): Promise<void> {
  await removeUnfinished(layout.databases);
  for (const name of await readdir(layout.databases)) {
    if (name.startsWith(CONDEMNED_PREFIX)) await removeCondemned(join(layout.databases, name), world);
    // Copies are never synced: after a power cut their content is unknown.
    else if (name.startsWith(COPY_PREFIX)) await removeTree(join(layout.databases, name));
  }
}

/** The ids of the databases whose storage exists. */
async function storedDatabases(layout: DataLayout): Promise<DatabaseId[]> {
  const names = await readdir(layout.databases);
  const found: DatabaseId[] = [];
  for (const name of names) {
    if (name.startsWith('.')) continue;
    if ((await stat(join(layout.databases, name))).isDirectory()) found.push(name as DatabaseId);
  }
  return found;
}

import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseId } from '../../base/index.ts';
import type { ProcessWorld } from '../confinement/index.ts';
import type { Runtime } from '../contract/index.ts';
import { canClone, forkStorage, makeStorage, Spares } from '../copies/index.ts';
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
  syncDirectory,
} from '../machine/index.ts';
import { SOCKET_PORT, templateData, templateMark } from '../postgres/index.ts';
import { ProcessServer } from './process-server.ts';

export interface ProcessRuntimeOptions {
  readonly layout: DataLayout;
  readonly world: ProcessWorld;
  /** For sockets below `layout.databases`. */
  readonly sockets: SocketPaths;
  /** Copies of the template to keep ready; 0 for none. */
  readonly sparesMax: number;
}

/**
 * A start of the platform, and a burst of creations, come first: spares are made once it has been quiet for so long.
 */
const QUIET_MS = 1000;

/** The runtime that starts servers as processes of this machine. */
export function processRuntime({ layout, world, sockets, sparesMax }: ProcessRuntimeOptions): Runtime {
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
  let spareMajor = 0;
  const spares = new Spares({
    ...{ databases, prefix: SPARE_PREFIX, durable: true, quietMs: QUIET_MS },
    count: sparesMax,
    clock,
    logger,
    make: (name, signal) => copyTemplate(name, spareMajor, signal),
  });
  let clones: Promise<boolean> | undefined;
  return {
    async prepare(pgMajor) {
      spareMajor = pgMajor;
      await spares.open(await templateMark(layout, pgMajor));
    },
    async create(id, pgMajor, signal) {
      signal?.throwIfAborted();
      if (pgMajor === spareMajor && (await spares.take(await templateMark(layout, pgMajor), id))) return;
      await copyTemplate(id, pgMajor, signal);
    },
    async fork(order) {
      clones ??= canClone(databases);
      return forkStorage(order, { layout, world, clones: await clones });
    },
    close: () => spares.close(),
    open(id, throwAway) {
      const path = sockets.path(id, 'run', `.s.PGSQL.${SOCKET_PORT}`);
      return new ProcessServer(id, layout.database(id), { kind: 'unix', path }, world, throwAway);
    },
    async destroy(id) {
      const { directory } = layout.database(id);
      const condemned = join(layout.databases, `${CONDEMNED_PREFIX}${id}-${randomBytes(4).toString('hex')}`);
      try {
        await rename(directory, condemned);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        throw error;
      }
      await syncDirectory(layout.databases);
      await removeCondemned(condemned, world);
    },
  };
}

/** A deleted database whose server had crashed is not worth a longer recovery than this. */
const CLEAR_MS_MAX = 30_000;

async function removeCondemned(directory: string, world: ProcessWorld): Promise<void> {
  await clearSharedMemory(databaseLayout(directory).data, world);
  await removeTree(directory);
}

/**
 * A postmaster that was killed leaves shared memory outside of its directory, which only a start on the same data finds
 * and removes. The single-user mode is one. Best effort: what stays is some bytes until the machine boots.
 */
async function clearSharedMemory(data: string, world: ProcessWorld): Promise<void> {
  const traces = join(data, 'postmaster.pid');
  // That of a sandbox ended with it; and what its tenant left in there is not run outside of one.
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
 * Removes what a killed create or destroy left, and copies that lay ready for its throw-away databases. For the start
 * of a platform, under its lock.
 */
export async function removeLeftovers(layout: DataLayout, world: ProcessWorld): Promise<void> {
  await removeUnfinished(layout.databases);
  for (const name of await readdir(layout.databases)) {
    if (name.startsWith(CONDEMNED_PREFIX)) await removeCondemned(join(layout.databases, name), world);
    // Never synced: after a power cut nobody knows what is in one.
    else if (name.startsWith(COPY_PREFIX)) await removeTree(join(layout.databases, name));
  }
}

/** Ids of the databases whose storage is there. */
export async function storedDatabases(layout: DataLayout): Promise<DatabaseId[]> {
  const names = await readdir(layout.databases);
  const found: DatabaseId[] = [];
  for (const name of names) {
    if (name.startsWith('.')) continue;
    if ((await stat(join(layout.databases, name))).isDirectory()) found.push(name as DatabaseId);
  }
  return found;
}

import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseId } from '../base/index.ts';
import {
  copyTree,
  diskError,
  readIfPresent,
  removeTree,
  removeUnfinished,
  renameDurably,
  runAs,
  syncDirectory,
  syncTree,
  unfinishedPath,
} from './files.ts';
import { CONDEMNED_PREFIX, type DataLayout, databaseLayout } from './layout.ts';
import { makeLifeline } from './lifeline.ts';
import { ProcessServer, type ProcessWorld } from './process-server.ts';
import type { Runtime } from './runtime.ts';
import { SOCKET_PORT } from './settings.ts';
import type { SocketPaths } from './socket-path.ts';
import { templateData } from './template.ts';

export interface ProcessRuntimeOptions {
  readonly layout: DataLayout;
  readonly world: ProcessWorld;
  /** For sockets below `layout.databases`. */
  readonly sockets: SocketPaths;
}

/** The runtime that starts servers as processes of this machine. */
export function processRuntime({ layout, world, sockets }: ProcessRuntimeOptions): Runtime {
  const { account } = world;
  const own = async (path: string): Promise<void> => {
    if (account.dropped) await chown(path, account.uid, account.gid);
  };
  return {
    async create(id, pgMajor, abort) {
      const unfinished = databaseLayout(unfinishedPath(layout.databases, id));
      try {
        await mkdir(unfinished.directory, { mode: 0o710 });
        // The account passes through; what else lies here is not for it.
        if (account.dropped) await chown(unfinished.directory, 0, account.gid);
        await chmod(unfinished.directory, 0o710);
        await mkdir(unfinished.data, { mode: 0o700 });
        await mkdir(unfinished.run, { mode: 0o700 });
        await makeLifeline(unfinished.lifeline);
        await Promise.all([own(unfinished.data), own(unfinished.run)]);
        await copyTree(`${templateData(layout, pgMajor)}/.`, unfinished.data, account);
        abort?.throwIfAborted();
        await syncTree(unfinished.directory);
        abort?.throwIfAborted();
        await renameDurably(unfinished.directory, layout.database(id).directory);
      } catch (error) {
        await removeTree(unfinished.directory).catch(() => {});
        abort?.throwIfAborted();
        throw diskError(error, 'data_unusable', unfinished.directory);
      }
    },
    open(id, pgMajor) {
      const path = sockets.path(id, 'run', `.s.PGSQL.${SOCKET_PORT}`);
      return new ProcessServer(id, pgMajor, layout.database(id), { kind: 'unix', path }, world);
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
 * A postmaster that was killed leaves shared memory outside of its directory, which only a start on the same data finds and removes. The
 * single-user mode is one. Best effort: what stays is some bytes until the machine boots.
 */
async function clearSharedMemory(data: string, world: ProcessWorld): Promise<void> {
  const traces = join(data, 'postmaster.pid');
  if ((await readIfPresent(traces)) === undefined) return;
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

/** Removes what a killed create or destroy left. For the start of a platform, under its lock. */
export async function removeLeftovers(layout: DataLayout, world: ProcessWorld): Promise<void> {
  await removeUnfinished(layout.databases);
  for (const name of await readdir(layout.databases)) {
    if (name.startsWith(CONDEMNED_PREFIX)) await removeCondemned(join(layout.databases, name), world);
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

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DatabaseId } from '../base/index.ts';
import {
  copyTree,
  diskError,
  readIfPresent,
  removeTree,
  renameDurably,
  syncDirectory,
  syncTree,
  unfinishedPath,
} from './files.ts';
import { CONDEMNED_PREFIX, type DataLayout, databaseLayout, UNFINISHED_PREFIX } from './layout.ts';
import { makeLifeline } from './lifeline.ts';
import { ProcessServer, type ProcessWorld } from './process-server.ts';
import type { Runtime } from './runtime.ts';
import { SOCKET_PORT } from './settings.ts';
import type { SocketPaths } from './socket-path.ts';
import { templateData } from './template.ts';

const run = promisify(execFile);

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
      await removeCondemned(condemned);
    },
  };
}

async function removeCondemned(directory: string): Promise<void> {
  await removeSharedMemory(databaseLayout(directory).data);
  await removeTree(directory);
}

/** A postmaster that was killed leaves a System V segment of some bytes, which only its next start would remove. */
async function removeSharedMemory(data: string): Promise<void> {
  const traces = (await readIfPresent(join(data, 'postmaster.pid')))?.split('\n');
  const named = /^\s*(?<key>\d+)\s+(?<id>\d+)/.exec(traces?.[6] ?? '')?.groups;
  if (named?.key === undefined || named.id === undefined) return;
  const key = `0x${Number(named.key).toString(16).padStart(8, '0')}`;
  // Columns of ipcs: key, id, owner, permissions, bytes, attached processes. Anything else than ours, unused, is left alone.
  const { stdout } = await run('ipcs', ['-m']).catch(() => ({ stdout: '' }));
  const unused = stdout.split('\n').some((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[0] === key && fields[1] === named.id && fields[5] === '0';
  });
  if (unused) await run('ipcrm', ['-m', named.id]).catch(() => {});
}

/** Removes what a killed create or destroy left. For the start of a platform, under its lock. */
export async function removeLeftovers(layout: DataLayout): Promise<string[]> {
  const names = await readdir(layout.databases);
  const leftovers = names.filter((name) => name.startsWith(UNFINISHED_PREFIX) || name.startsWith(CONDEMNED_PREFIX));
  for (const name of leftovers) await removeCondemned(join(layout.databases, name));
  return leftovers;
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

import {
  type Clock,
  checkDatabaseName,
  type DatabaseId,
  type DatabaseKind,
  type DatabaseRecord,
  DormouseError,
  type Logger,
  newDatabaseId,
  newKeyId,
  type RandomBytes,
  type Role,
  toDormouseError,
} from '../../base/index.ts';
import type { ForkResult } from '../../instance/index.ts';
import type { DatabaseRow, KeyRow, Registry } from '../registry/index.ts';
import type { BranchJobs } from './branch-jobs.ts';
import { type DatabaseDirectory, stillCreating } from './database-directory.ts';
import type { Fleet } from './fleet.ts';
import type { Views } from './views.ts';
import type { Watchers } from './watchers.ts';

/** Most databases per platform: each is a directory, a few files and, while it is awake, a dozen processes. */
export const DATABASES_MAX = 10_000;

/** The kind of every database that is no branch; a branch is of its source's kind. */
const NEW_KIND: DatabaseKind = 'managed';

export interface DatabaseLifecycleOptions {
  readonly registry: Registry;
  readonly directory: DatabaseDirectory;
  readonly views: Views;
  readonly branches: BranchJobs;
  readonly watchers: Watchers;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  /** Identifies the current boot of the machine. */
  readonly bootId: string;
  readonly fleet: () => Fleet;
}

/** How a branch shall be made. */
export interface BranchRequest {
  /** Whether the source is stopped first. */
  readonly atRest: boolean;
  /**
   * Whether the branch is made faster and never synced; the first start after a boot of the machine then deletes it.
   */
  readonly throwAway: boolean;
}

/**
 * Creates databases, makes branches and deletes both. Each step is durable and can be repeated after the process was
 * killed between two steps.
 */
export class DatabaseLifecycle {
  readonly #options: DatabaseLifecycleOptions;
  readonly #ending = new Map<DatabaseId, Promise<void>>();

  constructor(options: DatabaseLifecycleOptions) {
    this.#options = options;
  }

  /**
   * Enters a database of the registry. A throw-away database of an earlier boot is to be deleted: it was never synced,
   * so its files may be incomplete.
   */
  enter(row: DatabaseRow): void {
    const { directory, bootId } = this.#options;
    const lost = row.throwAwayBoot !== null && row.throwAwayBoot !== bootId;
    directory.enter(lost ? { ...row, lifecycle: 'deleting' } : row);
  }

  /** Deletes the databases that an earlier run left half created or half deleted. */
  async clearUnfinished(): Promise<void> {
    const { directory, log } = this.#options;
    for (const row of directory.all()) {
      if (row.lifecycle === 'ready') continue;
      log.log('info', 'clearing away an unfinished database', { id: row.id, lifecycle: row.lifecycle });
      // A database that cannot be deleted now keeps its name and is tried again at the next start. The other databases
      // do not wait for it.
      await this.#end(row).catch((cause: unknown) =>
        log.log('error', 'an unfinished database stays', { id: row.id, cause }),
      );
    }
  }

  /** Creates a database with a first key of the role owner. */
  async create(name: string, pgMajor: number): Promise<DatabaseId> {
    const fleet = this.#options.fleet();
    const row = this.#begin(name, pgMajor);
    await this.#make(row, () => fleet.create(recordOf(row)));
    return row.id;
  }

  /** Begins a copy of a database that is ready. When the copy fails, `done` rejects and nothing of the copy is left. */
  branch(
    source: DatabaseRow,
    name: string,
    { atRest, throwAway }: BranchRequest,
  ): { readonly id: DatabaseId; readonly done: Promise<void> } {
    const { branches, fleet } = this.#options;
    const servers = fleet();
    const row = this.#begin(name, source.pgMajor, source, throwAway);
    const done = branches.run(row.id, async (job) => {
      let result: ForkResult | undefined;
      await this.#make(row, async () => {
        try {
          result = await servers.branch(recordOf(source), recordOf(row), { atRest, ...job });
          job.signal.throwIfAborted();
        } catch (error) {
          if (job.signal.aborted || toDormouseError(error).code !== 'database_deleted') throw error;
          throw new DormouseError('database_deleted', {
            message: `Database ${source.name} was deleted while it was copied. Nothing of ${name} is left.`,
            cause: error,
          });
        }
      });
      return result as unknown as ForkResult;
    });
    return { id: row.id, done };
  }

  /** Deletes a database. A repeated call continues a deletion that failed. The making of a branch is aborted. */
  async delete(row: DatabaseRow): Promise<void> {
    if (row.lifecycle !== 'creating') await this.#end(row);
    else if (!(await this.#options.branches.abort(row.id))) throw stillCreating(row.name);
  }

  newKey(databaseId: DatabaseId, role: Role, label: string | null): KeyRow {
    const { clock, random } = this.#options;
    return { id: newKeyId(random), databaseId, role, label, createdAtMs: clock.now(), revokedAtMs: null };
  }

  /** Records a database that is about to be made. */
  #begin(name: string, pgMajor: number, parent?: DatabaseRow, throwAway = false): DatabaseRow {
    checkDatabaseName(name);
    const { registry, directory, clock, random, bootId } = this.#options;
    if (directory.size >= DATABASES_MAX) {
      throw new DormouseError('quota_exceeded', { message: `A platform has at most ${DATABASES_MAX} databases.` });
    }
    const row: DatabaseRow = {
      ...{
        id: newDatabaseId(random),
        kind: parent?.kind ?? NEW_KIND,
        name,
        pgMajor,
        lifecycle: 'creating',
        createdAtMs: clock.now(),
      },
      ...{ parentId: parent?.id ?? null, parentName: parent?.name ?? null, rest: {}, limits: {} },
      throwAwayBoot: throwAway ? bootId : null,
    };
    registry.addDatabase(row);
    directory.enter(row);
    return row;
  }

  /** Makes a recorded database and its first key; removes both when that fails. */
  async #make(row: DatabaseRow, makeFiles: () => Promise<void>): Promise<void> {
    const { registry, directory, views, watchers, log } = this.#options;
    const { id } = row;
    try {
      await registry.synced();
      await makeFiles();
      const key = this.newKey(id, 'owner', 'default');
      registry.finishDatabase(id, key);
      await registry.synced();
      directory.enter({ ...row, lifecycle: 'ready' });
      directory.enterKey(key);
    } catch (error) {
      // When this fails, the next start removes the database.
      await this.#end(row).catch((cause: unknown) => {
        const ending = toDormouseError(error).code === 'shutting_down';
        log.log(ending ? 'info' : 'error', 'an unfinished database stays', { id, cause });
      });
      throw error;
    }
    watchers.tell({ event: 'created', data: views.database(directory.find(id)) });
  }

  /**
   * Deletes a database in steps that can be repeated: marked, shut out, destroyed, forgotten. Calls for one database
   * share one deletion.
   */
  #end(row: DatabaseRow): Promise<void> {
    const running = this.#ending.get(row.id);
    if (running) return running;
    const ending = (async () => {
      const { registry, directory, watchers, fleet } = this.#options;
      if (row.lifecycle === 'ready') registry.markDeleting(row.id);
      directory.enter({ ...row, lifecycle: row.lifecycle === 'ready' ? 'deleting' : row.lifecycle });
      directory.shutOut(row.id);
      await registry.synced();
      await fleet().destroy(recordOf(row));
      registry.removeDatabase(row.id);
      await registry.synced();
      directory.forget(row.id);
      watchers.tell({ event: 'deleted', data: { id: row.id } });
    })().finally(() => this.#ending.delete(row.id));
    this.#ending.set(row.id, ending);
    return ending;
  }
}

function recordOf({ id, kind, name, pgMajor, createdAtMs, throwAwayBoot }: DatabaseRow): DatabaseRecord {
  return { id, kind, name, pgMajor, createdAtMs, ...(throwAwayBoot === null ? {} : { throwAway: true }) };
}

import {
  type Catalog,
  type DatabaseId,
  type DatabaseRecord,
  DormouseError,
  type KeyId,
  parseKeyId,
} from '../../base/index.ts';
import type { DatabaseRow, KeyRow, MemoryCatalog } from '../registry/index.ts';
import type { BranchJobs } from './branch-jobs.ts';

/**
 * All databases and keys in memory, in every state; the catalog has those of databases that are ready. The registry is
 * always written first, so everything in the directory is also on disk.
 */
export class DatabaseDirectory {
  readonly #catalog: MemoryCatalog;
  readonly #branches: BranchJobs;
  readonly #databases = new Map<DatabaseId, DatabaseRow>();
  readonly #keys = new Map<DatabaseId, Map<KeyId, KeyRow>>();

  constructor(catalog: MemoryCatalog, branches: BranchJobs) {
    this.#catalog = catalog;
    this.#branches = branches;
  }

  /** The databases and keys that queries may use. */
  get catalog(): Catalog {
    return this.#catalog;
  }

  get size(): number {
    return this.#databases.size;
  }

  all(): readonly DatabaseRow[] {
    return [...this.#databases.values()];
  }

  /** The databases that are ready. */
  records(): readonly DatabaseRecord[] {
    return this.all().flatMap(({ id }) => this.#catalog.database(id) ?? []);
  }

  get(id: DatabaseId): DatabaseRow | undefined {
    return this.#databases.get(id);
  }

  /**
   * Finds a database by its id or else by its name; a name never looks like an id. Fails with `database_unknown`, or
   * with the error that the making of the branch with this id failed with.
   */
  find(nameOrId: string): DatabaseRow {
    const row = this.#databases.get(nameOrId as DatabaseId) ?? this.all().find(({ name }) => name === nameOrId);
    if (row) return row;
    // For a branch whose making failed this throws the reason.
    this.#branches.resultOf(nameOrId as DatabaseId);
    throw new DormouseError('database_unknown', {
      message: `There is no database ${JSON.stringify(nameOrId.slice(0, 80))}. \`dormouse db list\` shows those that exist.`,
    });
  }

  /** As `find`; fails also with `database_busy`, `database_deleted`. */
  findReady(nameOrId: string): DatabaseRow {
    const row = this.find(nameOrId);
    if (row.lifecycle === 'creating') throw stillCreating(row.name);
    if (row.lifecycle === 'deleting') throw new DormouseError('database_deleted');
    return row;
  }

  /** Fails with `database_unknown`, `key_unknown`. */
  findKey(nameOrId: string, keyId: string): KeyRow {
    const { id, name } = this.find(nameOrId);
    const parsed = parseKeyId(keyId);
    const key = parsed && this.#keys.get(id)?.get(parsed);
    if (key) return key;
    throw new DormouseError('key_unknown', {
      message: `Database ${name} has no key ${JSON.stringify(keyId.slice(0, 80))}.`,
    });
  }

  /** All keys of a database, with the revoked ones. */
  keysOf(id: DatabaseId): readonly KeyRow[] {
    return [...(this.#keys.get(id)?.values() ?? [])];
  }

  enter(row: DatabaseRow): void {
    this.#databases.set(row.id, row);
    if (row.lifecycle === 'ready') this.#catalog.putDatabase(row);
  }

  enterKey(key: KeyRow): void {
    const keys = this.#keys.get(key.databaseId) ?? new Map<KeyId, KeyRow>();
    this.#keys.set(key.databaseId, keys.set(key.id, key));
    if (this.#catalog.database(key.databaseId)) this.#catalog.putKey(key);
  }

  /** Takes a database out of the catalog: its keys stop working at once. */
  shutOut(id: DatabaseId): void {
    this.#catalog.removeDatabase(id);
  }

  forget(id: DatabaseId): void {
    this.#databases.delete(id);
    this.#keys.delete(id);
  }
}

export function stillCreating(name: string): DormouseError {
  return new DormouseError('database_busy', {
    message: `Database ${name} is still being created. Try again in a moment.`,
  });
}

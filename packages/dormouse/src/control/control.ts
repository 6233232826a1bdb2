import {
  type Catalog,
  type Clock,
  type DatabaseId,
  type DatabaseRecord,
  DormouseError,
  type KeyId,
  type Logger,
  type RandomBytes,
  ROLES,
  type Role,
  toDormouseError,
} from '../base/index.ts';
import type { DatabaseDetail, DatabaseSummary, KeyDetail, KeySummary, Totals } from '../management-api/index.ts';
import type { Addresses, Fleet } from './databases/index.ts';
import {
  BranchJobs,
  type BranchRequest,
  DatabaseDirectory,
  DatabaseLifecycle,
  LIMITS,
  type LimitDefaults,
  patchLimits,
  patchRest,
  type RestDefaults,
  Views,
  Watchers,
} from './databases/index.ts';
import type { KeyRow, Registry, Secrets } from './registry/index.ts';
import { MemoryCatalog, Usage } from './registry/index.ts';

/** Most keys per database. Revoked keys count, because all keys are in memory. */
export const KEYS_MAX = 1_000;
/** Most characters in the label of a key. */
const LABEL_CHARS_MAX = 200;

export interface ControlOptions {
  readonly registry: Registry;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  /** The times of rest of databases that have none of their own. */
  readonly rest: RestDefaults;
  /** Identifies the current boot of the machine. */
  readonly bootId: string;
  /** The limits of databases that have none of their own. */
  readonly limits: LimitDefaults;
  readonly addresses: Addresses;
}

/**
 * Shows and changes databases and keys. The catalog is ready from the construction; what needs servers works after
 * `start`.
 */
export class Control {
  readonly #options: ControlOptions;
  readonly #usage: Usage;
  readonly #directory: DatabaseDirectory;
  readonly #views: Views;
  readonly #lifecycle: DatabaseLifecycle;
  readonly watchers: Watchers = new Watchers();
  #fleet: Fleet | undefined;
  /** The major version that new databases get. */
  #pgMajor = 0;
  readonly #revokedListeners = new Set<(id: KeyId) => void>();
  /** The last change of a database; changes are made one after the other. */
  #lastChange: Promise<unknown> = Promise.resolve();

  constructor(options: ControlOptions) {
    const { registry, secrets, addresses, rest, limits, clock, random, log, bootId } = options;
    const { watchers } = this;
    this.#options = options;
    const branches = new BranchJobs();
    const usage = new Usage({ registry, clock, log });
    const directory = new DatabaseDirectory(new MemoryCatalog(secrets, usage), branches);
    const fleet = (): Fleet => this.#servers();
    const views = new Views({ directory, usage, branches, secrets, addresses, rest, limits, fleet });
    this.#usage = usage;
    this.#directory = directory;
    this.#views = views;
    this.#lifecycle = new DatabaseLifecycle({
      registry,
      directory,
      views,
      branches,
      watchers,
      clock,
      random,
      log,
      bootId,
      fleet,
    });
    for (const row of registry.databases()) this.#lifecycle.enter(row);
    for (const key of registry.keys()) directory.enterKey(key);
  }

  /** The databases and keys that queries may use. */
  get catalog(): Catalog {
    return this.#directory.catalog;
  }

  /** The databases that are ready, which the platform opens at its start. */
  databases(): readonly DatabaseRecord[] {
    return this.#directory.records();
  }

  /**
   * Takes the fleet and the major version that new databases get, and deletes what an earlier run left half created or
   * half deleted.
   */
  async start(fleet: Fleet, pgMajor: number): Promise<void> {
    this.#fleet = fleet;
    this.#pgMajor = pgMajor;
    fleet.onState((id, state) => {
      const row = this.#directory.get(id);
      if (row?.lifecycle === 'ready') this.watchers.tell({ event: 'state', data: { id, name: row.name, state } });
    });
    await this.#lifecycle.clearUnfinished();
  }

  /**
   * Creates a database with a first key of the owner. Fails with `name_invalid`, `name_taken`, and what the fleet fails
   * with.
   */
  async createDatabase(name: string): Promise<DatabaseDetail> {
    this.#servers();
    return this.showDatabase(await this.#lifecycle.create(name, this.#pgMajor));
  }

  /**
   * Makes a database that is a copy of another at one moment after the call, with keys of its own. `done` rejects with
   * `disk_full`, `branch_failed`, `database_deleted` and what waking the source fails with; nothing of the branch is
   * left then. Fails at once with `name_invalid`, `name_taken`, `database_unknown`, `database_busy`,
   * `database_deleted`.
   */
  beginBranch(
    nameOrId: string,
    name: string,
    request: BranchRequest,
  ): { readonly id: DatabaseId; readonly done: Promise<DatabaseDetail> } {
    this.#servers();
    const { id, done } = this.#lifecycle.branch(this.#directory.findReady(nameOrId), name, request);
    return { id, done: done.then(() => this.showDatabase(id)) };
  }

  listDatabases(): readonly DatabaseSummary[] {
    return this.#directory.all().map((row) => this.#views.database(row));
  }

  async showDatabase(nameOrId: string): Promise<DatabaseDetail> {
    return this.#views.databaseInDetail(this.#directory.find(nameOrId));
  }

  /**
   * Deletes a database; its keys stop working at once. A repeated call continues a deletion that failed. The making of
   * a branch is aborted.
   */
  async deleteDatabase(nameOrId: string): Promise<{ readonly id: DatabaseId; readonly name: string }> {
    const row = this.#directory.find(nameOrId);
    await this.#lifecycle.delete(row);
    return { id: row.id, name: row.name };
  }

  /** Forces a state and returns when it is reached. */
  async setState(nameOrId: string, verb: 'suspend' | 'stop' | 'wake'): Promise<DatabaseDetail> {
    const { id } = this.#directory.findReady(nameOrId);
    await this.#servers()[verb](id);
    return this.showDatabase(id);
  }

  /**
   * Changes the times of rest and the limits of a database. The change is durable and applies at once. Fails with
   * `request_invalid`, `limits_unavailable`, and then nothing has changed.
   */
  change(nameOrId: string, patch: Readonly<Record<string, unknown>>): Promise<DatabaseDetail> {
    const done = this.#lastChange.then(() => this.#change(nameOrId, patch));
    this.#lastChange = done.catch(() => {});
    return done;
  }

  listKeys(nameOrId: string): readonly KeySummary[] {
    return this.#views.keys(this.#directory.keysOf(this.#directory.find(nameOrId).id));
  }

  showKey(nameOrId: string, keyId: string): KeyDetail {
    return this.#views.keyInDetail(this.#directory.findKey(nameOrId, keyId));
  }

  createKey(nameOrId: string, role: string, label: string | null): KeyDetail {
    const { id } = this.#directory.findReady(nameOrId);
    if (!ROLES.includes(role as Role)) {
      throw new DormouseError('request_invalid', {
        message: `A key's role is owner, writer or reader, not ${JSON.stringify(role).slice(0, 40)}.`,
      });
    }
    if (label !== null && label.length > LABEL_CHARS_MAX) {
      throw new DormouseError('request_invalid', {
        message: `A key's label has at most ${LABEL_CHARS_MAX} characters.`,
      });
    }
    if (this.#directory.keysOf(id).length >= KEYS_MAX) {
      throw new DormouseError('quota_exceeded', {
        message: `A database has at most ${KEYS_MAX} keys, revoked ones counted.`,
      });
    }
    const key = this.#lifecycle.newKey(id, role as Role, label);
    this.#options.registry.addKey(key);
    this.#directory.enterKey(key);
    return this.#views.keyInDetail(key);
  }

  /**
   * Revokes a key: once this returns or throws, no request is admitted by the key. When the revocation cannot be
   * written (`disk_full`), it holds until the platform ends, and a repeated call writes it. Other repeated calls change
   * nothing.
   */
  revokeKey(nameOrId: string, keyId: string): KeySummary {
    const key = this.#directory.findKey(nameOrId, keyId);
    const revokedAtMs = key.revokedAtMs ?? this.#options.clock.now();
    const revoked: KeyRow = { ...key, revokedAtMs };
    this.#directory.enterKey(revoked);
    for (const listener of this.#revokedListeners) listener(key.id);
    try {
      this.#options.registry.revokeKey(key.id, revokedAtMs);
    } catch (cause) {
      if (toDormouseError(cause).code !== 'disk_full') throw cause;
      throw new DormouseError('disk_full', {
        message:
          'The key is refused from now on, but the disk is full: after a restart of Dormouse the key would work again. Free some space and revoke the key again.',
        cause,
      });
    }
    return this.#views.key(revoked);
  }

  /** Calls `listener` with each key that is revoked, so that its sessions can be ended. */
  onRevoked(listener: (id: KeyId) => void): void {
    this.#revokedListeners.add(listener);
  }

  /** Counts of databases by state, and of today's operations. */
  totals(): Totals {
    return this.#views.totals();
  }

  /** Writes the usage counts and closes the registry. */
  close(): void {
    this.watchers.close();
    try {
      this.#usage.flush();
    } finally {
      this.#options.registry.close();
    }
  }

  async #change(nameOrId: string, patch: Readonly<Record<string, unknown>>): Promise<DatabaseDetail> {
    const { registry } = this.#options;
    const { id, ...old } = this.#directory.findReady(nameOrId);
    const rest = patchRest(old.rest, patch);
    const limits = patchLimits(old.limits, patch);
    if (LIMITS.some((name) => limits[name] !== old.limits[name])) {
      await this.#servers().setLimits(id, limits);
      // The database may have been deleted meanwhile.
      this.#directory.findReady(id);
      registry.setLimits(id, limits);
    }
    registry.setRest(id, rest);
    const changed = { ...this.#directory.findReady(id), rest, limits };
    this.#directory.enter(changed);
    this.#servers().setRest(id, rest);
    this.watchers.tell({ event: 'changed', data: this.#views.database(changed) });
    await registry.synced();
    return this.showDatabase(id);
  }

  #servers(): Fleet {
    if (!this.#fleet)
      throw new DormouseError('shutting_down', { message: 'Dormouse is starting. Try again in a moment.' });
    return this.#fleet;
  }
}

import {
  type Catalog,
  type Clock,
  checkDatabaseName,
  type DatabaseId,
  type DatabaseRecord,
  DormouseError,
  type KeyId,
  type Logger,
  newDatabaseId,
  newKeyId,
  parseKeyId,
  type RandomBytes,
  ROLES,
  type Role,
  toDormouseError,
} from '../base/index.ts';
import type { ForkResult } from '../instance/index.ts';
import { BranchJobs, type BranchProgress } from './branch-jobs.ts';
import type { Fleet } from './fleet.ts';
import { MemoryCatalog } from './memory-catalog.ts';
import type { DatabaseRow, KeyRow, Registry } from './registry.ts';
import { patchRest, type RestDefaults, type RestView, viewRest } from './rest-patch.ts';
import type { Secrets } from './secrets.ts';
import { type Addresses, type DatabaseUrls, databaseUrls, pulseUrlOf } from './urls.ts';
import { Usage } from './usage.ts';
import { Watchers } from './watchers.ts';

/** Keys a database may have, revoked ones too: all of them stand in memory. */
export const KEYS_MAX = 1_000;
/** Databases a platform may have: each is a directory, a few files and, awake, a dozen processes. */
export const DATABASES_MAX = 10_000;
/** Longest label of a key. */
const LABEL_CHARS_MAX = 200;

export interface ControlOptions {
  readonly registry: Registry;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  /** The major version that new databases get; known once the binaries are. */
  readonly pgMajor: () => number;
  /** How databases rest that have nothing of their own. */
  readonly rest: RestDefaults;
  /** Asked at each use: ports are known only once the doors are open. */
  readonly addresses: () => Addresses;
  /** Told of a key that was just revoked, so that what it holds open ends. */
  readonly onRevoked?: (id: KeyId) => void;
}

/** A database as lists show it. */
export interface DatabaseSummary {
  readonly id: DatabaseId;
  readonly name: string;
  /** InstanceState, or `creating`, `deleting`. */
  readonly state: string;
  readonly pgMajor: number;
  readonly createdAtMs: number;
  /** What it is a branch of, as that was called then; it may be gone. */
  readonly parent: { readonly id: DatabaseId; readonly name: string } | null;
  /** Keys that are not revoked. */
  readonly keys: number;
  readonly operationsToday: number;
  readonly rest: RestView;
  /** What its server takes (PSS), as measured last; null if that is not known (yet). */
  readonly memoryBytes: number | null;
}

/** A database with its addresses; those of a key are null when no owner key is live. */
export interface DatabaseDetail extends DatabaseSummary {
  readonly prismaUrl: string | null;
  readonly postgresUrl: string | null;
  readonly pulseUrl: string;
  readonly apiKey: string | null;
  readonly usage: readonly { readonly day: string; readonly operations: number }[];
  readonly instance: Readonly<Record<string, unknown>>;
  /** How far a branch in the making is. */
  readonly progress: BranchProgress | null;
  /** How a branch was made, if that was not long ago. */
  readonly branched: ForkResult | null;
}

export interface KeySummary {
  readonly id: KeyId;
  readonly role: Role;
  readonly label: string | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  readonly operationsToday: number;
}

export interface KeyDetail extends KeySummary, DatabaseUrls {}

/** Databases and keys, from birth to end. The catalog is ready from the start; the fleet is attached once it exists. */
export class Control {
  readonly #options: ControlOptions;
  readonly #usage: Usage;
  readonly #catalog: MemoryCatalog;
  readonly #databases = new Map<DatabaseId, DatabaseRow>();
  readonly #keys = new Map<DatabaseId, Map<KeyId, KeyRow>>();
  readonly #branches = new BranchJobs();
  readonly #ending = new Map<DatabaseId, Promise<void>>();
  readonly watchers: Watchers = new Watchers();
  #fleet: Fleet | undefined;

  constructor(options: ControlOptions) {
    const { registry, clock, log } = options;
    this.#options = options;
    this.#usage = new Usage({ registry, clock, log });
    this.#catalog = new MemoryCatalog(options.secrets, this.#usage);
    for (const row of registry.databases()) this.#enter(row);
    for (const key of registry.keys()) this.#enterKey(key);
  }

  /** What the data plane may know. */
  get catalog(): Catalog {
    return this.#catalog;
  }

  /** Databases that are ready, for the platform to open. */
  databases(): readonly DatabaseRecord[] {
    return [...this.#databases.values()].flatMap(({ id }) => this.#catalog.database(id) ?? []);
  }

  /** Takes the fleet, and ends what an earlier run left half created or half deleted. */
  async start(fleet: Fleet): Promise<void> {
    const { log } = this.#options;
    this.#fleet = fleet;
    fleet.onState((id, state) => {
      const row = this.#databases.get(id);
      if (row?.lifecycle === 'ready') this.watchers.tell({ event: 'state', data: { id, name: row.name, state } });
    });
    for (const row of [...this.#databases.values()]) {
      if (row.lifecycle === 'ready') continue;
      log.log('info', 'clearing away an unfinished database', { id: row.id, lifecycle: row.lifecycle });
      // What cannot be cleared away now keeps its name and is tried at the next start; the others are not kept waiting for it.
      await this.#end(row).catch((cause: unknown) =>
        log.log('error', 'an unfinished database stays', { id: row.id, cause }),
      );
    }
  }

  /** Creates a database with a first key of the owner. Fails with `name_invalid`, `name_taken`, and what the fleet fails with. */
  async createDatabase(name: string): Promise<DatabaseDetail> {
    const servers = this.#servers();
    const row = this.#addRow(name, this.#options.pgMajor(), undefined);
    await this.#make(row, () => servers.create(recordOf(row)));
    return this.showDatabase(row.id);
  }

  /**
   * Makes a database that is a copy of another at one moment after the call, with keys of its own. `done` rejects with `disk_full`,
   * `branch_failed`, `database_deleted` and what waking the source fails with; nothing of the branch is left then. Fails at once with
   * `name_invalid`, `name_taken`, `database_unknown`, `database_busy`, `database_deleted`.
   */
  beginBranch(
    nameOrId: string,
    name: string,
    atRest: boolean,
  ): { readonly id: DatabaseId; readonly done: Promise<DatabaseDetail> } {
    const servers = this.#servers();
    const source = this.#readyRow(nameOrId);
    const row = this.#addRow(name, source.pgMajor, source);
    const made = this.#branches.run(row.id, async (job) => {
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
    return { id: row.id, done: made.then(() => this.showDatabase(row.id)) };
  }

  listDatabases(): readonly DatabaseSummary[] {
    return [...this.#databases.values()].map((row) => this.#summary(row));
  }

  async showDatabase(nameOrId: string): Promise<DatabaseDetail> {
    const row = this.#row(nameOrId);
    const { addresses } = this.#options;
    const key = this.#keysOf(row.id).find(({ role, revokedAtMs }) => role === 'owner' && revokedAtMs === null);
    const urls = key
      ? this.#urls(key)
      : { prismaUrl: null, postgresUrl: null, pulseUrl: pulseUrlOf(addresses()), apiKey: null };
    const instance = row.lifecycle === 'ready' ? await this.#servers().describe(row.id) : {};
    return {
      ...this.#summary(row),
      ...urls,
      usage: this.#usage.ofDatabase(row.id),
      instance,
      progress: this.#branches.progressOf(row.id),
      branched: this.#branches.resultOf(row.id) ?? null,
    };
  }

  /** Deletes for good; its keys stop working at once. Repeated, it goes on with what is left. A branch in the making is given up. */
  async deleteDatabase(nameOrId: string): Promise<{ readonly id: DatabaseId; readonly name: string }> {
    const row = this.#row(nameOrId);
    if (row.lifecycle !== 'creating') await this.#end(row);
    else if (!(await this.#branches.abort(row.id))) throw stillCreating(row.name);
    return { id: row.id, name: row.name };
  }

  /** Forces a state and returns when it is reached. */
  async setState(nameOrId: string, verb: 'suspend' | 'stop' | 'wake'): Promise<DatabaseDetail> {
    const { id } = this.#readyRow(nameOrId);
    await this.#servers()[verb](id);
    return this.showDatabase(id);
  }

  /** Changes when a database rests: durable, and in effect at once. Fails with `request_invalid`. */
  async setRest(nameOrId: string, patch: Readonly<Record<string, unknown>>): Promise<DatabaseDetail> {
    const row = this.#readyRow(nameOrId);
    const rest = patchRest(row.rest, patch);
    this.#options.registry.setRest(row.id, rest);
    this.#enter({ ...row, rest });
    this.#servers().setRest(row.id, rest);
    this.watchers.tell({ event: 'changed', data: this.#summary(this.#row(row.id)) });
    return this.showDatabase(row.id);
  }

  listKeys(nameOrId: string): readonly KeySummary[] {
    const today = this.#usage.todayBy(({ keyId }) => keyId);
    return this.#keysOf(this.#row(nameOrId).id).map((key) => summaryOf(key, today));
  }

  showKey(nameOrId: string, keyId: string): KeyDetail {
    const key = this.#key(nameOrId, keyId);
    return {
      ...summaryOf(
        key,
        this.#usage.todayBy((count) => count.keyId),
      ),
      ...this.#urls(key),
    };
  }

  createKey(nameOrId: string, role: string, label: string | null): KeyDetail {
    const { id } = this.#readyRow(nameOrId);
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
    if (this.#keysOf(id).length >= KEYS_MAX) {
      throw new DormouseError('quota_exceeded', {
        message: `A database has at most ${KEYS_MAX} keys, revoked ones counted.`,
      });
    }
    const key = this.#newKey(id, role as Role, label);
    this.#options.registry.addKey(key);
    this.#enterKey(key);
    return this.showKey(id, key.id);
  }

  /** Revokes a key: no request that comes after this returns gets in by it. Repeated, it changes nothing. */
  revokeKey(nameOrId: string, keyId: string): KeySummary {
    const key = this.#key(nameOrId, keyId);
    const revoked: KeyRow = { ...key, revokedAtMs: key.revokedAtMs ?? this.#options.clock.now() };
    if (key.revokedAtMs === null) this.#options.registry.revokeKey(key.id, this.#options.clock.now());
    this.#enterKey(revoked);
    this.#options.onRevoked?.(key.id);
    return summaryOf(
      revoked,
      this.#usage.todayBy((count) => count.keyId),
    );
  }

  /** Counts of databases by state, and of today's operations. */
  totals(): {
    readonly databases: { readonly total: number; readonly byState: Readonly<Record<string, number>> };
    readonly operationsToday: number;
  } {
    const byState: Record<string, number> = {};
    for (const row of this.#databases.values()) {
      const state = this.#stateOf(row);
      byState[state] = (byState[state] ?? 0) + 1;
    }
    return {
      databases: { total: this.#databases.size, byState },
      operationsToday: this.#usage.todayBy(() => '').get('') ?? 0,
    };
  }

  /** Writes the counts and closes the registry. */
  close(): void {
    this.watchers.close();
    try {
      this.#usage.flush();
    } finally {
      this.#options.registry.close();
    }
  }

  #servers(): Fleet {
    if (!this.#fleet)
      throw new DormouseError('shutting_down', { message: 'Dormouse is starting. Try again in a moment.' });
    return this.#fleet;
  }

  /** Enters a database that is about to be made. */
  #addRow(name: string, pgMajor: number, parent: DatabaseRow | undefined): DatabaseRow {
    checkDatabaseName(name);
    const { registry, clock, random } = this.#options;
    if (this.#databases.size >= DATABASES_MAX) {
      throw new DormouseError('quota_exceeded', { message: `A platform has at most ${DATABASES_MAX} databases.` });
    }
    const row: DatabaseRow = {
      ...{ id: newDatabaseId(random), name, pgMajor, lifecycle: 'creating', createdAtMs: clock.now() },
      ...{ parentId: parent?.id ?? null, parentName: parent?.name ?? null, rest: {} },
    };
    registry.addDatabase(row);
    this.#enter(row);
    return row;
  }

  /** Makes a database that was entered, and its first key; takes all of it back if that fails. */
  async #make(row: DatabaseRow, makeFiles: () => Promise<void>): Promise<void> {
    const { id } = row;
    try {
      await makeFiles();
      const key = this.#newKey(id, 'owner', 'default');
      this.#options.registry.finishDatabase(id, key);
      this.#enter({ ...row, lifecycle: 'ready' });
      this.#enterKey(key);
    } catch (error) {
      // The next start clears away what this does not.
      await this.#end(row).catch((cause: unknown) => {
        const ending = toDormouseError(error).code === 'shutting_down';
        this.#options.log.log(ending ? 'info' : 'error', 'an unfinished database stays', { id, cause });
      });
      throw error;
    }
    this.watchers.tell({ event: 'created', data: this.#summary(this.#row(id)) });
  }

  /** Takes a database away, each step safe to repeat: marked, shut out, destroyed, forgotten. One at a time. */
  #end(row: DatabaseRow): Promise<void> {
    const running = this.#ending.get(row.id);
    if (running) return running;
    const ending = (async () => {
      const { registry } = this.#options;
      if (row.lifecycle === 'ready') registry.markDeleting(row.id);
      this.#enter({ ...row, lifecycle: row.lifecycle === 'ready' ? 'deleting' : row.lifecycle });
      this.#catalog.removeDatabase(row.id);
      await this.#servers().destroy(row.id);
      registry.removeDatabase(row.id);
      this.#databases.delete(row.id);
      this.#keys.delete(row.id);
      this.watchers.tell({ event: 'deleted', data: { id: row.id } });
    })().finally(() => this.#ending.delete(row.id));
    this.#ending.set(row.id, ending);
    return ending;
  }

  #enter(row: DatabaseRow): void {
    this.#databases.set(row.id, row);
    if (row.lifecycle === 'ready') this.#catalog.putDatabase(row);
  }

  #enterKey(key: KeyRow): void {
    const keys = this.#keys.get(key.databaseId) ?? new Map<KeyId, KeyRow>();
    this.#keys.set(key.databaseId, keys.set(key.id, key));
    if (this.#catalog.database(key.databaseId)) this.#catalog.putKey(key);
  }

  #newKey(databaseId: DatabaseId, role: Role, label: string | null): KeyRow {
    const { clock, random } = this.#options;
    return { id: newKeyId(random), databaseId, role, label, createdAtMs: clock.now(), revokedAtMs: null };
  }

  #keysOf(id: DatabaseId): readonly KeyRow[] {
    return [...(this.#keys.get(id)?.values() ?? [])];
  }

  /** By id first: a name never looks like one. */
  #row(nameOrId: string): DatabaseRow {
    const row =
      this.#databases.get(nameOrId as DatabaseId) ??
      [...this.#databases.values()].find(({ name }) => name === nameOrId);
    if (row) return row;
    // Who asks for a branch that failed learns why.
    this.#branches.resultOf(nameOrId as DatabaseId);
    throw new DormouseError('database_unknown', {
      message: `There is no database ${JSON.stringify(nameOrId.slice(0, 80))}. \`dormouse db list\` shows those that exist.`,
    });
  }

  #readyRow(nameOrId: string): DatabaseRow {
    const row = this.#row(nameOrId);
    if (row.lifecycle === 'creating') throw stillCreating(row.name);
    if (row.lifecycle === 'deleting') throw new DormouseError('database_deleted');
    return row;
  }

  #key(nameOrId: string, keyId: string): KeyRow {
    const { id, name } = this.#row(nameOrId);
    const parsed = parseKeyId(keyId);
    const key = parsed && this.#keys.get(id)?.get(parsed);
    if (key) return key;
    throw new DormouseError('key_unknown', {
      message: `Database ${name} has no key ${JSON.stringify(keyId.slice(0, 80))}.`,
    });
  }

  #urls(key: KeyRow): DatabaseUrls {
    const { addresses, secrets } = this.#options;
    return databaseUrls(addresses(), key.id, secrets.apiKey(key), secrets.tcpSecret(key.id));
  }

  #stateOf(row: DatabaseRow): string {
    return row.lifecycle === 'ready' ? this.#servers().state(row.id) : row.lifecycle;
  }

  #summary(row: DatabaseRow): DatabaseSummary {
    const { id, name, pgMajor, createdAtMs, parentId, parentName } = row;
    const parent = parentId === null || parentName === null ? null : { id: parentId, name: parentName };
    const keys = this.#keysOf(id).filter(({ revokedAtMs }) => revokedAtMs === null).length;
    const [latest] = this.#usage.ofDatabase(id);
    const operationsToday = latest?.day === this.#usage.today() ? latest.operations : 0;
    const rest = viewRest(this.#options.rest, row.rest);
    const memoryBytes = row.lifecycle === 'ready' ? (this.#servers().memoryBytes(id) ?? null) : null;
    return {
      id,
      name,
      state: this.#stateOf(row),
      pgMajor,
      createdAtMs,
      parent,
      keys,
      operationsToday,
      rest,
      memoryBytes,
    };
  }
}

function recordOf({ id, name, pgMajor, createdAtMs }: DatabaseRow): DatabaseRecord {
  return { id, name, pgMajor, createdAtMs };
}

function summaryOf(key: KeyRow, today: ReadonlyMap<string, number>): KeySummary {
  const { id, role, label, createdAtMs, revokedAtMs } = key;
  return { id, role, label, createdAtMs, revokedAtMs, operationsToday: today.get(id) ?? 0 };
}

function stillCreating(name: string): DormouseError {
  return new DormouseError('database_busy', {
    message: `Database ${name} is still being created. Try again in a moment.`,
  });
}

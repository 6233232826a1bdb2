import type {
  Call,
  DatabaseId,
  DatabaseKind,
  DatabaseRecord,
  LimitOverrides,
  MinimalReply,
  Origin,
  QueryRequest,
  RestOverrides,
} from '../base/index.ts';
import { DormouseError } from '../base/index.ts';
import type { Fleet } from '../control/index.ts';
import type { Events } from '../events/index.ts';
import type { BranchOptions, ForkResult, Instance, InstanceState, Instances } from '../instance/index.ts';
import type { InstanceView } from '../management-api/index.ts';
import { Database, type DatabaseOptions } from './database.ts';

/** What all databases of this machine share. */
export type Shared = Omit<DatabaseOptions, 'record' | 'instance' | 'directory' | 'events'>;

/** What one kind of database consists of. */
export interface Provider {
  /** Runs the servers and keeps their files. */
  readonly servers: Pick<
    Instances,
    'open' | 'create' | 'branch' | 'destroy' | 'directory' | 'setRest' | 'setLimits' | 'memoryOf' | 'maintenanceOf'
  >;
  /** Undefined for a kind without events: their streams answer `streams_disabled`. */
  readonly events: Events | undefined;
}

/**
 * The open databases of this machine: control manages them, the edge sends queries to them, and the TCP door opens
 * sessions on them.
 */
export class MachineFleet implements Fleet, Origin {
  readonly #providers: Readonly<Record<DatabaseKind, Provider>>;
  readonly #shared: Shared;
  readonly #databases = new Map<DatabaseId, Database>();
  readonly #listeners = new Set<(id: DatabaseId, state: InstanceState) => void>();

  constructor(providers: Readonly<Record<DatabaseKind, Provider>>, shared: Shared) {
    this.#providers = providers;
    this.#shared = shared;
  }

  get(id: DatabaseId): Database | undefined {
    return this.#databases.get(id);
  }

  /**
   * Opens a database whose files exist. Must come before its server is adopted, so that capture is attached by then.
   */
  open(record: DatabaseRecord): Database {
    const known = this.#databases.get(record.id);
    if (known !== undefined) return known;
    const { servers, events } = this.#providers[record.kind];
    const instance = servers.open(record);
    const directory = servers.directory(record.id);
    const database = new Database({ ...this.#shared, record, instance, directory, events });
    instance.onChange((state) => {
      for (const listener of this.#listeners) listener(record.id, state);
    });
    this.#databases.set(record.id, database);
    return database;
  }

  handle(request: QueryRequest, call: Call): Promise<MinimalReply> {
    return this.#open(call.principal.databaseId).engine.handle(request, call);
  }

  async create(record: DatabaseRecord): Promise<void> {
    await this.#providers[record.kind].servers.create(record);
    this.open(record);
  }

  async branch(source: DatabaseRecord, record: DatabaseRecord, options: BranchOptions): Promise<ForkResult> {
    const result = await this.#providers[record.kind].servers.branch(source, record, options);
    this.open(record);
    return result;
  }

  async destroy({ id, kind }: DatabaseRecord): Promise<void> {
    const database = this.#databases.get(id);
    this.#databases.delete(id);
    // Sessions and leases end with the server; the server's end does not wait for them.
    const clients = database?.closeClients();
    await database?.closeEvents();
    await this.#providers[kind].servers.destroy(id);
    await clients;
  }

  suspend(id: DatabaseId): Promise<void> {
    return this.#instance(id).suspend();
  }
  stop(id: DatabaseId): Promise<void> {
    return this.#instance(id).stop();
  }
  wake(id: DatabaseId): Promise<void> {
    return this.#instance(id).wake();
  }
  setRest(id: DatabaseId, own: RestOverrides): void {
    this.#serversOf(id)?.setRest(id, own);
  }
  async setLimits(id: DatabaseId, own: LimitOverrides): Promise<void> {
    await this.#serversOf(id)?.setLimits(id, own);
  }
  memoryBytes(id: DatabaseId): number | undefined {
    const servers = this.#serversOf(id);
    return servers === undefined ? 0 : servers.memoryOf(id);
  }
  state(id: DatabaseId): InstanceState {
    return this.#databases.get(id)?.instance.state ?? 'stopped';
  }
  async describe(id: DatabaseId): Promise<InstanceView> {
    const details = await this.#databases.get(id)?.describe();
    return { ...details, maintenance: this.#serversOf(id)?.maintenanceOf(id) ?? null };
  }

  onState(listener: (id: DatabaseId, state: InstanceState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the transactions and pools of all databases. Must come before the servers stop. */
  async closeClients(): Promise<void> {
    await Promise.all([...this.#databases.values()].map((database) => database.closeClients()));
  }

  /** Closes the event logs. Must come after the servers have stopped, because capture writes until then. */
  async closeEvents(): Promise<void> {
    await Promise.all([...this.#databases.values()].map((database) => database.closeEvents()));
  }

  /** Undefined for a database that was deleted meanwhile. */
  #serversOf(id: DatabaseId): Provider['servers'] | undefined {
    const database = this.#databases.get(id);
    return database && this.#providers[database.record.kind].servers;
  }

  #instance(id: DatabaseId): Instance {
    return this.#open(id).instance;
  }

  #open(id: DatabaseId): Database {
    const database = this.#databases.get(id);
    if (database === undefined) throw new DormouseError('database_unknown');
    return database;
  }
}

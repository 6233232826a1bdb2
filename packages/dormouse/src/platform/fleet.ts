import type {
  Call,
  DatabaseId,
  DatabaseRecord,
  LimitOverrides,
  MinimalReply,
  MinimalRequest,
  Origin,
  RestOverrides,
} from '../base/index.ts';
import { DormouseError } from '../base/index.ts';
import type { Fleet } from '../control/index.ts';
import type { BranchOptions, ForkResult, Instance, InstanceState, Instances } from '../instance/index.ts';
import { Database, type DatabaseOptions } from './database.ts';

/** What all databases of this machine share. */
export type Shared = Omit<DatabaseOptions, 'record' | 'instance' | 'directory'>;

/**
 * The databases of this machine, open: what control manages, what the edge sends queries to, what the TCP door looks
 * up.
 */
export class MachineFleet implements Fleet, Origin {
  readonly #instances: Instances;
  readonly #shared: Shared;
  readonly #databases = new Map<DatabaseId, Database>();
  readonly #listeners = new Set<(id: DatabaseId, state: InstanceState) => void>();

  constructor(instances: Instances, shared: Shared) {
    this.#instances = instances;
    this.#shared = shared;
  }

  get(id: DatabaseId): Database | undefined {
    return this.#databases.get(id);
  }

  /** Opens a database whose storage is there. Must come before its server is adopted, so that capture is told of it. */
  open(record: DatabaseRecord): Database {
    const known = this.#databases.get(record.id);
    if (known !== undefined) return known;
    const instance = this.#instances.open(record);
    const directory = this.#instances.directory(record.id);
    const database = new Database({ ...this.#shared, record, instance, directory });
    instance.onChange((state) => {
      for (const listener of this.#listeners) listener(record.id, state);
    });
    this.#databases.set(record.id, database);
    return database;
  }

  handle(request: MinimalRequest, call: Call): Promise<MinimalReply> {
    return this.#open(call.principal.databaseId).engine.handle(request, call);
  }

  async create(record: DatabaseRecord): Promise<void> {
    await this.#instances.create(record);
    this.open(record);
  }

  async branch(source: DatabaseRecord, record: DatabaseRecord, options: BranchOptions): Promise<ForkResult> {
    const result = await this.#instances.branch(source, record, options);
    this.open(record);
    return result;
  }

  async destroy(id: DatabaseId): Promise<void> {
    const database = this.#databases.get(id);
    this.#databases.delete(id);
    // Sessions and leases must not outlive the server; its end is not waited for by them.
    const clients = database?.closeClients();
    await database?.closeEvents();
    await this.#instances.destroy(id);
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
    this.#instances.setRest(id, own);
  }
  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void> {
    return this.#instances.setLimits(id, own);
  }
  memoryBytes(id: DatabaseId): number | undefined {
    return this.#instances.memoryOf(id);
  }
  state(id: DatabaseId): InstanceState {
    return this.#databases.get(id)?.instance.state ?? 'stopped';
  }
  async describe(id: DatabaseId): Promise<Readonly<Record<string, unknown>>> {
    const details = await this.#databases.get(id)?.describe();
    return { ...details, maintenance: this.#instances.maintenanceOf(id) ?? null };
  }

  onState(listener: (id: DatabaseId, state: InstanceState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends what uses the servers, before they are stopped. */
  async closeClients(): Promise<void> {
    await Promise.all([...this.#databases.values()].map((database) => database.closeClients()));
  }

  /** Closes the logs, after the servers are stopped: capture has had its last words. */
  async closeEvents(): Promise<void> {
    await Promise.all([...this.#databases.values()].map((database) => database.closeEvents()));
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

import {
  type Clock,
  type DatabaseId,
  type DatabaseRecord,
  DormouseError,
  keepAlive,
  type LimitOverrides,
  type Logger,
  type RestOverrides,
  silentLogger,
  systemClock,
} from '../base/index.ts';
import { Branches, type BranchOptions } from './branching/index.ts';
import type { ForkResult, Instance, Runtime } from './contract/index.ts';
import { Controller, DEFAULT_REST, type RestSettings, restOf } from './life/index.ts';
import { AgeRound, Maintenance, type MaintenanceView } from './maintenance/index.ts';
import type { MemoryKeeper } from './memory/index.ts';

export interface InstancesOptions {
  /** Runs the servers. Closed by its owner, after the instances. */
  readonly runtime: Runtime;
  /** Keeps all servers together within their memory; closed with the instances. */
  readonly memory: MemoryKeeper;
  /** When databases rest that have no settings of their own. */
  readonly rest?: Partial<RestSettings>;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** The database nearest to running out of transaction ids; see `MaintenanceView`. */
export interface OldestDatabase extends Pick<MaintenanceView, 'frozenXidAge' | 'runningOut'> {
  readonly id: DatabaseId;
}

export interface RecoverResult {
  /** Databases whose server, started by an earlier platform, goes on. */
  readonly adopted: readonly DatabaseId[];
  /** Directories that no record names; their servers are ended, their data is left alone. */
  readonly unknown: readonly DatabaseId[];
}

/** The databases of one data directory, each with its server. */
export interface Instances {
  /**
   * Adopts or ends the servers that an earlier platform left, and removes what it left half-made. Once, before
   * `create`. Fails with `limits_unavailable`.
   */
  recover(records: readonly DatabaseRecord[]): Promise<RecoverResult>;
  /** The instance of a database; always the same object for the same id. */
  open(record: DatabaseRecord): Instance;
  /** Makes the storage of a new database: durable when it returns, and never left half-made. Its server is stopped. */
  create(record: DatabaseRecord, options?: { readonly signal?: AbortSignal }): Promise<Instance>;
  /**
   * Changes when an open database rests, at once. Gives the settings that hold from now on; undefined for a database
   * that is not open.
   */
  setRest(id: DatabaseId, own: RestOverrides): RestSettings | undefined;
  /**
   * Changes what an open database may take, at once also for its running server. Fails with `limits_unavailable`, and
   * then the limits before the call still hold.
   */
  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void>;
  /**
   * Makes the storage of `record` as a copy of `source` at one moment after the call: all that was acknowledged before
   * that moment is in the copy. A stopped source stays stopped, unless it is needed meanwhile; a source that is up
   * serves on. `atRest` stops the source first and makes its callers wait. Durable when it returns (unless `record` is
   * to be thrown away), and never left half-made. Fails with `disk_full`, `data_unusable`, `branch_failed`,
   * `database_busy`, `database_deleted`, `shutting_down`, the signal's reason, and what starting the source fails with.
   */
  branch(source: DatabaseRecord, record: DatabaseRecord, options?: BranchOptions): Promise<ForkResult>;
  /**
   * Ends a database's server and removes all files of its directory, also those of other stages. Waiting holds get
   * `database_deleted`. Idempotent.
   */
  destroy(id: DatabaseId): Promise<void>;
  /** The directory of a database, where other stages keep their files of it. Postgres's account may not enter it. */
  directory(id: DatabaseId): string;
  /** What is known of a database's maintenance; undefined until the first look. */
  maintenanceOf(id: DatabaseId): MaintenanceView | undefined;
  /** The database nearest to running out of transaction ids, among those that were looked at. */
  oldest(): OldestDatabase | undefined;
  /** Bytes that one server took at its last measurement: 0 if it is stopped, undefined if it was not measured yet. */
  memoryOf(id: DatabaseId): number | undefined;
  /** The databases whose instance is open. */
  all(): Iterable<Instance>;
  /** Stops every server cleanly. */
  close(): Promise<void>;
}

/** Servers that are adopted or stopped at the same time: a clean stop flushes to disk, and two cores are common. */
const TOGETHER = 16;

/** Opens the databases of a runtime. */
export function openInstances(options: InstancesOptions): Instances {
  return new OpenInstances(options);
}

/** One open database. */
interface Opened {
  readonly controller: Controller;
  readonly maintenance: Maintenance;
}

class OpenInstances implements Instances {
  readonly #runtime: Runtime;
  readonly #memory: MemoryKeeper;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #defaults: RestSettings;
  readonly #branches: Branches;
  readonly #ages: AgeRound;
  readonly #opened = new Map<DatabaseId, Opened>();
  #closed = false;

  constructor({ runtime, memory, rest, clock = systemClock, logger = silentLogger }: InstancesOptions) {
    this.#runtime = runtime;
    this.#memory = memory;
    this.#clock = clock;
    this.#logger = logger;
    this.#defaults = { ...DEFAULT_REST, ...rest };
    this.#branches = new Branches({ runtime, clock });
    this.#ages = new AgeRound(clock);
  }

  async recover(records: readonly DatabaseRecord[]): Promise<RecoverResult> {
    const stored = new Set(await this.#runtime.recover());
    const adopted: DatabaseId[] = [];
    await eachTogether(records, async (record) => {
      stored.delete(record.id);
      if (await this.open(record).adopt()) adopted.push(record.id);
    });
    await this.#runtime.begin();
    const unknown = [...stored];
    await eachTogether(unknown, (id) => this.#endUnknown(id));
    return { adopted, unknown };
  }

  open(record: Pick<DatabaseRecord, 'id' | 'rest' | 'limits' | 'throwAway'>): Controller {
    const known = this.#opened.get(record.id);
    if (known !== undefined) return known.controller;
    this.#assertOpen();
    const opened = this.#make(record);
    this.#opened.set(record.id, opened);
    return opened.controller;
  }

  async create(record: DatabaseRecord, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Instance> {
    this.#assertOpen();
    await this.#runtime.create(record.id, record.pgMajor, signal);
    return this.open(record);
  }

  setRest(id: DatabaseId, own: RestOverrides): RestSettings | undefined {
    const controller = this.#opened.get(id)?.controller;
    controller?.setRest(restOf(this.#defaults, own));
    return controller?.rest;
  }

  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void> {
    return this.#runtime.setLimits(id, own);
  }

  async branch(source: DatabaseRecord, record: DatabaseRecord, options: BranchOptions = {}): Promise<ForkResult> {
    this.#assertOpen();
    const result = await keepAlive(() => this.#branches.make(this.open(source), record, options));
    this.open(record);
    return result;
  }

  destroy(id: DatabaseId): Promise<void> {
    return keepAlive(async () => {
      const controller = this.open({ id });
      this.#runtime.readyCopies.forget(id);
      await controller.close('database_deleted');
      this.#opened.delete(id);
      await this.#runtime.destroy(id);
    });
  }

  directory(id: DatabaseId): string {
    return this.#runtime.directory(id);
  }

  maintenanceOf(id: DatabaseId): MaintenanceView | undefined {
    return this.#opened.get(id)?.maintenance.view;
  }

  oldest(): OldestDatabase | undefined {
    let oldest: OldestDatabase | undefined;
    for (const [id, { maintenance }] of this.#opened) {
      const { view } = maintenance;
      if (view === undefined || view.frozenXidAge < (oldest?.frozenXidAge ?? 0)) continue;
      oldest = { id, frozenXidAge: view.frozenXidAge, runningOut: view.runningOut };
    }
    return oldest;
  }

  memoryOf(id: DatabaseId): number | undefined {
    const controller = this.#opened.get(id)?.controller;
    return controller === undefined ? 0 : this.#memory.bytesOf(controller);
  }

  *all(): Iterable<Instance> {
    for (const { controller } of this.#opened.values()) yield controller;
  }

  close(): Promise<void> {
    return keepAlive(async () => {
      this.#closed = true;
      await this.#runtime.close();
      const failures: unknown[] = [];
      await eachTogether([...this.#opened.values()], async ({ controller }) => {
        await controller.close('shutting_down').catch((error: unknown) => failures.push(error));
      });
      await this.#branches.settled();
      await this.#runtime.readyCopies.close();
      this.#memory.close();
      this.#ages.close();
      if (failures.length > 0) throw failures[0];
    });
  }

  #assertOpen(): void {
    if (this.#closed) throw new DormouseError('shutting_down');
  }

  #make(record: Pick<DatabaseRecord, 'id' | 'rest' | 'limits' | 'throwAway'>): Opened {
    const { id } = record;
    const common = { databaseId: id, clock: this.#clock, logger: this.#logger };
    const server = this.#runtime.open(record);
    const maintenance = new Maintenance({ ...common, endpoint: server.endpoint });
    const controller: Controller = new Controller({
      ...common,
      server,
      rest: restOf(this.#defaults, record.rest),
      makeRoom: () => this.#memory.makeRoom(controller),
      idleTasks: maintenance,
    });
    controller.attach(maintenance.attachment);
    controller.onChange((state) => {
      this.#memory.changed(controller, state);
      this.#ages.changed(maintenance, state);
      if (state !== 'starting') return;
      maintenance.started();
      this.#runtime.readyCopies.forget(id);
    });
    return { controller, maintenance };
  }

  /** Ends the server of a directory that no record names. */
  async #endUnknown(id: DatabaseId): Promise<void> {
    this.#logger.log('warn', 'a directory belongs to no database; it is left alone', {
      directory: this.#runtime.directory(id),
    });
    const server = this.#runtime.open({ id });
    if ((await server.adopt()) !== 'gone') await server.stop('clean');
  }
}

async function eachTogether<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (;;) {
      const item = items[next++];
      if (item === undefined) return;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(TOGETHER, items.length) }, worker));
}

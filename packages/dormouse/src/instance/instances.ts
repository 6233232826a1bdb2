import { createHash } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  assert,
  type Clock,
  type DatabaseId,
  type DatabaseRecord,
  DormouseError,
  type LimitOverrides,
  type Logger,
  NO_LIMITS,
  type RestOverrides,
  silentLogger,
  systemClock,
} from '../base/index.ts';
import { Branches, type BranchOptions, ReadyCopies } from './branching/index.ts';
import type { ProcessWorld } from './confinement/index.ts';
import {
  chooseIsolation,
  type Isolation,
  type IsolationKind,
  LimitGroups,
  type Limits,
  limitsOf,
  limitsUnavailable,
} from './confinement/index.ts';
import type { ForkResult, Instance, Runtime } from './contract/index.ts';
import { Controller, DEFAULT_REST, type RestSettings, restOf } from './life/index.ts';
import {
  CGROUP_PREFIX,
  type CgroupPlace,
  cgroupFreezer,
  checkReachable,
  dataLayout,
  diskError,
  type Freezer,
  findCgroup,
  keepAlive,
  lockDirectory,
  machineMemory,
  type ProcessTable,
  resolveAccount,
  signal,
  signalFreezer,
  socketPaths,
  systemProcessTable,
} from './machine/index.ts';
import { AgeRound, Maintenance, type MaintenanceView } from './maintenance/index.ts';
import { MemoryKeeper, type MemoryUse } from './memory/index.ts';
import {
  type Builds,
  configure,
  DEFAULT_CLIENTS_MAX,
  dataMajor,
  prepareBuilds,
  prepareTemplate,
} from './postgres/index.ts';
import { processRuntime, removeLeftovers, storedDatabases } from './process/index.ts';

export interface InstancesOptions {
  /** The machine's data directory; made if absent. */
  readonly dataDirectory: string;
  /** Account that runs Postgres when we are root: by default `postgres`, else `nobody`. */
  readonly pgUser?: string;
  /**
   * Directories of `postgres` and `initdb`: the first of PostgreSQL 18 for new databases instead of the npm package's,
   * others for data of other major versions.
   */
  readonly pgBins?: readonly string[];
  /** Extensions of those builds that owners may create although the build does not call them trusted. */
  readonly trustExtensions?: readonly string[];
  readonly rest?: Partial<RestSettings>;
  /** What all servers together may take; by default a share of the machine's memory. */
  readonly memoryMaxBytes?: number | undefined;
  /** What each database may take that has no limits of its own; none if absent. */
  readonly limits?: Limits;
  /**
   * Connections of clients that each server has room for, all roles together; by default what the pools and doors need
   * by theirs.
   */
  readonly clientsMax?: number;
  /** How servers are frozen: by default by cgroup version 2 where it is writable, else by signals. */
  readonly freezer?: 'cgroup' | 'signal';
  /** Copies of the template to keep ready for new databases; none if absent. */
  readonly sparesMax?: number;
  /** What servers are kept apart by: by default a sandbox where that works, else processes. */
  readonly isolation?: IsolationKind;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface PrepareResult {
  readonly pgVersion: string;
  readonly pgMajor: number;
  readonly account: string;
  readonly freezer: 'cgroup' | 'signal';
  readonly isolation: IsolationKind;
  /** Why servers are not in sandboxes although nobody asked for that. */
  readonly isolationReason?: string;
}

/** Whether the kernel can hold servers to limits of memory, processor and processes. */
export interface LimitsState {
  /** Whether it does: only once a limit was asked for. */
  readonly enforced: boolean;
  /** Why it does not, although one of the databases has a limit. */
  readonly reason?: string;
}

/** The database nearest to running out of transaction ids; see `MaintenanceView`. */
export interface OldestDatabase extends Pick<MaintenanceView, 'frozenXidAge' | 'runningOut'> {
  readonly id: DatabaseId;
}

export interface RecoverResult {
  /** Servers of an earlier platform that go on. */
  readonly adopted: readonly DatabaseId[];
  /** Directories that no record names; their servers are ended, their data is left alone. */
  readonly unknown: readonly DatabaseId[];
}

/**
 * The databases of one machine's data directory. One platform at a time: `openInstances` holds its lock until `close`.
 */
export interface Instances {
  /**
   * Makes ready what servers need: account, binaries, template. Before everything below. `onProgress` gets a line for
   * the user when something takes long. Fails with `account_unusable`, `binaries_missing`, `disk_full`,
   * `data_unusable`.
   */
  prepare(onProgress?: (line: string) => void): Promise<PrepareResult>;
  /**
   * Adopts or ends what an earlier platform left, and removes what it left half-made. Once, after `prepare`, before
   * `create`.
   */
  recover(records: readonly DatabaseRecord[]): Promise<RecoverResult>;
  /** The instance of a database; always the same object for the same id. */
  open(record: DatabaseRecord): Instance;
  /** Makes the storage of a new database: durable when it returns, and never there by half. Its server is stopped. */
  create(record: DatabaseRecord, options?: { readonly signal?: AbortSignal }): Promise<Instance>;
  /** Changes when an open database rests, at once; undefined for one that is not open. Gives what holds from now on. */
  setRest(id: DatabaseId, own: RestOverrides): RestSettings | undefined;
  /**
   * Changes what an open database may take, at once also for its running server. Fails with `limits_unavailable`, and
   * then what held before still does.
   */
  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void>;
  limits(): LimitsState;
  /**
   * Makes the storage of `record` as a copy of `source` at one moment after the call: all that was acknowledged before
   * it is there. A source that is stopped stays so, unless somebody needs it meanwhile; one that is up serves on.
   * `atRest` stops it first and makes who needs it wait. Durable when it returns (unless it is to be thrown away), and
   * never there by half. Fails with `disk_full`, `data_unusable`, `branch_failed`, `database_busy`, `database_deleted`,
   * `shutting_down`, the signal's reason, and what starting the source fails with.
   */
  branch(source: DatabaseRecord, record: DatabaseRecord, options?: BranchOptions): Promise<ForkResult>;
  /**
   * Ends a database's server and removes all its files, other parts' too. Waiting holds get `database_deleted`.
   * Idempotent.
   */
  destroy(id: DatabaseId): Promise<void>;
  /**
   * The directory of a database; other parts keep their files of it there. Not reachable for Postgres's account by
   * mode.
   */
  directory(id: DatabaseId): string;
  /** What is known of a database's maintenance; undefined until it was looked at. */
  maintenanceOf(id: DatabaseId): MaintenanceView | undefined;
  /** The database nearest to running out of transaction ids, of those that were looked at. */
  oldest(): OldestDatabase | undefined;
  /** What the servers take together. */
  memory(): MemoryUse;
  /** What one took when it was measured last: 0 if it is stopped, undefined if that is not known (yet). */
  memoryOf(id: DatabaseId): number | undefined;
  /** The databases whose instance is open. */
  all(): Iterable<Instance>;
  /** Stops every server cleanly and gives the lock back. */
  close(): Promise<void>;
}

/** Servers that are adopted or stopped at the same time: a clean stop flushes, and two cores are common. */
const TOGETHER = 16;

/** Opens a data directory. Fails with `data_locked`, `data_unusable`, `account_unusable`. */
export async function openInstances(options: InstancesOptions): Promise<Instances> {
  const layout = dataLayout(resolve(options.dataDirectory));
  const account = await resolveAccount(options.pgUser);
  try {
    for (const directory of [layout.root, layout.databases, layout.binaries, layout.templates]) {
      if ((await mkdir(directory, { recursive: true })) === undefined) continue;
      // Passable, not listable: Postgres's account goes through.
      await chmod(directory, 0o711);
    }
  } catch (error) {
    throw diskError(error, 'data_unusable', layout.root);
  }
  const lock = lockDirectory(layout.lock, layout.root);
  try {
    await checkReachable(account, layout.databases);
  } catch (error) {
    lock.release();
    throw error;
  }
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  const table = systemProcessTable();
  const place = findCgroup();
  // Two platforms with different data directories must not share groups.
  const groupName = `${CGROUP_PREFIX}${createHash('sha256').update(layout.root).digest('hex').slice(0, 12)}`;
  const freezer = chooseFreezer({ place, name: groupName, table, clock, wanted: options.freezer });
  const limits = new LimitGroups({ place, name: groupName, table, clock, logger });
  const defaultLimits = options.limits ?? NO_LIMITS;
  let limitsReason: string | undefined;
  const sockets = socketPaths(layout.databases);
  let builds: Builds | undefined;
  let isolation: Isolation | undefined;
  const world: ProcessWorld = {
    account,
    clock,
    logger,
    table,
    freezer,
    limits,
    clientsMax: options.clientsMax ?? DEFAULT_CLIENTS_MAX,
    get isolation() {
      assert(isolation !== undefined, 'a server is started before the machine is prepared');
      return isolation;
    },
    binaries(pgMajor) {
      assert(builds !== undefined, 'a server is started before the machine is prepared');
      return builds.of(pgMajor);
    },
  };
  const runtime: Runtime = processRuntime({ layout, sockets, world, sparesMax: options.sparesMax ?? 0 });
  const copies = new ReadyCopies({ layout, runtime, count: options.sparesMax ?? 0, clock, logger });
  const branches = new Branches({ runtime, copies, clock });
  const controllers = new Map<DatabaseId, Controller>();
  const maintenances = new Map<DatabaseId, Maintenance>();
  const keeper = new MemoryKeeper({ maxBytes: options.memoryMaxBytes, machine: machineMemory(), clock, logger });
  const ages = new AgeRound(clock);
  let closed = false;

  const defaults: RestSettings = { ...DEFAULT_REST, ...options.rest };
  const open = (record: Pick<DatabaseRecord, 'id' | 'rest' | 'limits' | 'throwAway'>): Controller => {
    const known = controllers.get(record.id);
    if (known !== undefined) return known;
    if (closed) throw new DormouseError('shutting_down');
    limits.note(record.id, limitsOf(defaultLimits, record.limits));
    const server = runtime.open(record.id, record.throwAway);
    const maintenance = new Maintenance({ databaseId: record.id, endpoint: server.endpoint, clock, logger });
    const controller: Controller = new Controller({
      databaseId: record.id,
      server,
      rest: restOf(defaults, record.rest),
      makeRoom: () => keeper.makeRoom(controller),
      chores: maintenance,
      clock,
      logger,
    });
    controller.attach(maintenance.attachment);
    controller.onChange((state) => {
      keeper.changed(controller, state);
      ages.changed(maintenance, state);
      if (state !== 'starting') return;
      maintenance.started();
      copies.forget(record.id);
    });
    maintenances.set(record.id, maintenance);
    controllers.set(record.id, controller);
    return controller;
  };

  return {
    async prepare(onProgress) {
      const obstacle = limits.obstacle(defaultLimits);
      if (obstacle !== undefined) throw limitsUnavailable(obstacle);
      const progress = onProgress === undefined ? {} : { onProgress };
      try {
        builds = await prepareBuilds({
          directory: layout.binaries,
          account,
          pgBins: options.pgBins ?? [],
          trustExtensions: options.trustExtensions ?? [],
          ...progress,
        });
      } catch (error) {
        throw diskError(error, 'data_unusable', layout.binaries);
      }
      const binaries = builds.newest;
      isolation = await chooseIsolation({
        account,
        binaries,
        ...(options.isolation === undefined ? {} : { wanted: options.isolation }),
      });
      await prepareTemplate({ layout, account, binaries, ...progress });
      return {
        pgVersion: binaries.version,
        pgMajor: binaries.major,
        account: account.name,
        freezer: freezer.kind,
        isolation: isolation.kind,
        ...(isolation.reason === undefined ? {} : { isolationReason: isolation.reason }),
      };
    },
    async recover(records) {
      await removeLeftovers(layout, world);
      const stored = new Set(await storedDatabases(layout));
      const adopted: DatabaseId[] = [];
      await eachTogether(records, async (record) => {
        stored.delete(record.id);
        if (await open(record).adopt()) adopted.push(record.id);
      });
      // After those who run are known: they may have to move.
      await limits.resume();
      await limits.enable(defaultLimits);
      for (const { id } of records) {
        await limits.enable(limits.of(id)).catch((error: unknown) => {
          limitsReason = (error as Error).message;
        });
      }
      if (limitsReason !== undefined) logger.log('warn', limitsReason);
      if (builds !== undefined) await runtime.prepare(builds.newest.major);
      const unknown = [...stored];
      await eachTogether(unknown, async (id) => {
        logger.log('warn', 'a directory belongs to no database; it is left alone', {
          directory: layout.database(id).directory,
        });
        const server = runtime.open(id);
        if ((await server.adopt()) !== 'gone') await server.stop('clean');
      });
      return { adopted, unknown };
    },
    open,
    async branch(source, record, options = {}) {
      if (closed) throw new DormouseError('shutting_down');
      const result = await keepAlive(() => branches.make(open(source), record, options));
      open(record);
      return result;
    },
    async create(record, { signal } = {}) {
      if (closed) throw new DormouseError('shutting_down');
      await runtime.create(record.id, record.pgMajor, signal);
      return open(record);
    },
    setRest(id, own) {
      const controller = controllers.get(id);
      controller?.setRest(restOf(defaults, own));
      return controller?.rest;
    },
    async setLimits(id, own) {
      const before = limits.of(id);
      const next = limitsOf(defaultLimits, own);
      await limits.change(id, next);
      if (next.tempLimitBytes === before.tempLimitBytes) return;
      const root = limits.rootOf(id);
      if (root === undefined) return;
      // Its sessions follow between two statements; a sleeping one after its thaw.
      const { data } = layout.database(id);
      const settings = { clientsMax: world.clientsMax, tempLimitBytes: next.tempLimitBytes };
      await configure(data, account, world.binaries(dataMajor(data)), settings);
      if (limits.rootOf(id) === root) signal(root.pid, 'SIGHUP');
    },
    limits: () => ({
      enforced: limits.on,
      ...(limitsReason !== undefined && limits.unmet ? { reason: limitsReason } : {}),
    }),
    destroy: (id) =>
      keepAlive(async () => {
        const controller = controllers.get(id) ?? open({ id });
        copies.forget(id);
        await controller.close('database_deleted');
        controllers.delete(id);
        maintenances.delete(id);
        limits.forget(id);
        await runtime.destroy(id);
      }),
    directory: (id) => layout.database(id).directory,
    maintenanceOf: (id) => maintenances.get(id)?.view,
    oldest() {
      let oldest: OldestDatabase | undefined;
      for (const [id, { view }] of maintenances) {
        if (view === undefined || view.frozenXidAge < (oldest?.frozenXidAge ?? 0)) continue;
        oldest = { id, frozenXidAge: view.frozenXidAge, runningOut: view.runningOut };
      }
      return oldest;
    },
    memory: () => keeper.use,
    memoryOf(id) {
      const controller = controllers.get(id);
      return controller === undefined ? 0 : keeper.bytesOf(controller);
    },
    all: () => controllers.values(),
    close: () =>
      keepAlive(async () => {
        closed = true;
        await runtime.close();
        const failures: unknown[] = [];
        await eachTogether([...controllers.values()], async (controller) => {
          await controller.close('shutting_down').catch((error: unknown) => failures.push(error));
        });
        await branches.settled();
        await copies.close();
        keeper.close();
        ages.close();
        sockets.close();
        await freezer.close();
        await limits.close();
        lock.release();
        if (failures.length > 0) throw failures[0];
      }),
  };
}

interface FreezerChoice {
  readonly place: CgroupPlace | undefined;
  readonly name: string;
  readonly table: ProcessTable;
  readonly clock: Clock;
  readonly wanted: 'cgroup' | 'signal' | undefined;
}

function chooseFreezer({ place, name, table, clock, wanted }: FreezerChoice): Freezer {
  if (wanted !== 'signal') {
    const freezer = place && cgroupFreezer(table, clock, place, name);
    if (freezer !== undefined) return freezer;
    if (wanted === 'cgroup') {
      throw new DormouseError('usage_invalid', {
        message: 'Servers cannot be frozen by cgroup here: version 2 is not mounted, or not writable for this account.',
      });
    }
  }
  return signalFreezer(table, clock, place, name);
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

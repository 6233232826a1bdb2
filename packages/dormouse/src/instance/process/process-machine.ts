import { createHash } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Clock, keepAlive, type Logger, NO_LIMITS, silentLogger, systemClock } from '../../base/index.ts';
import {
  chooseIsolation,
  type IsolationKind,
  LimitGroups,
  type Limits,
  type LimitsState,
  ServerLimits,
} from '../confinement/index.ts';
import type { MachineMemory, Runtime } from '../contract/index.ts';
import type { DataLayout } from '../machine/index.ts';
import {
  type Account,
  CGROUP_PREFIX,
  checkReachable,
  chooseFreezer,
  dataLayout,
  diskError,
  type Freezer,
  findCgroup,
  lockDirectory,
  machineMemory,
  resolveAccount,
  socketPaths,
  systemProcessTable,
} from '../machine/index.ts';
import { type Builds, DEFAULT_CLIENTS_MAX, prepareBuilds, prepareTemplate } from '../postgres/index.ts';
import { processRuntime } from './process-runtime.ts';

export interface ProcessMachineOptions {
  /** The machine's data directory; made if absent. */
  readonly dataDirectory: string;
  /** The account that runs Postgres when this process is root: by default `postgres`, else `nobody`. */
  readonly pgUser?: string;
  /**
   * Directories of `postgres` and `initdb`: the first one of PostgreSQL 18 is for new databases, instead of the npm
   * package's; the others are for data of other major versions.
   */
  readonly pgBins?: readonly string[];
  /** Extensions of those builds that owners may create although the build does not call them trusted. */
  readonly trustExtensions?: readonly string[];
  /** The limits of each database that has none of its own; no limits if absent. */
  readonly limits?: Limits;
  /**
   * Connections of clients that each server has room for, all roles together; by default as many as the pools and doors
   * need by their own defaults.
   */
  readonly clientsMax?: number;
  /** How servers are frozen: by default by cgroup version 2 where it is writable, else by signals. */
  readonly freezer?: Freezer['kind'];
  /** Copies of the template to keep ready for new databases; none if absent. */
  readonly sparesMax?: number;
  /** What servers are kept apart by: by default a sandbox where that works, else processes. */
  readonly isolation?: IsolationKind;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** What the servers of this machine run on, and what they are kept apart by. */
export interface ServersDescription {
  readonly pgVersion: string;
  readonly pgMajor: number;
  readonly account: string;
  readonly freezer: Freezer['kind'];
  readonly isolation: IsolationKind;
  /** Why servers are not in sandboxes although processes were not asked for. */
  readonly isolationReason?: string;
}

export interface PreparedMachine {
  readonly runtime: Runtime;
  readonly servers: ServersDescription;
}

/** This machine, whose data directory is held for this platform alone until `close`. */
export interface ProcessMachine {
  readonly memory: MachineMemory;
  limits(): LimitsState;
  /**
   * Makes ready what servers need: programs, isolation, template. Once. `onProgress` gets a line for the user when a
   * step takes long. Fails with `binaries_missing`, `disk_full`, `data_unusable`, `limits_unavailable`,
   * `usage_invalid`.
   */
  prepare(onProgress?: (line: string) => void): Promise<PreparedMachine>;
  /** Gives the data directory back. After the servers of its runtime are stopped. */
  close(): Promise<void>;
}

/**
 * Takes a data directory for servers that are processes. Fails with `data_locked`, `data_unusable`, `account_unusable`.
 */
export async function openProcessMachine(options: ProcessMachineOptions): Promise<ProcessMachine> {
  const layout = dataLayout(resolve(options.dataDirectory));
  const account = await resolveAccount(options.pgUser);
  await makeDirectories(layout);
  const lock = lockDirectory(layout.lock, layout.root);
  try {
    await checkReachable(account, layout.databases);
    return holdMachine(options, layout, account, () => lock.release());
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function makeDirectories({ root, databases, binaries, templates }: DataLayout): Promise<void> {
  try {
    for (const directory of [root, databases, binaries, templates]) {
      if ((await mkdir(directory, { recursive: true })) === undefined) continue;
      // Postgres's account may pass through the directory, but not list it.
      await chmod(directory, 0o711);
    }
  } catch (error) {
    throw diskError(error, 'data_unusable', root);
  }
}

function holdMachine(
  options: ProcessMachineOptions,
  layout: DataLayout,
  account: Account,
  release: () => void,
): ProcessMachine {
  const { clock = systemClock, logger = silentLogger, sparesMax = 0 } = options;
  const table = systemProcessTable();
  const place = findCgroup();
  // Two platforms with different data directories must not share groups.
  const name = `${CGROUP_PREFIX}${createHash('sha256').update(layout.root).digest('hex').slice(0, 12)}`;
  const freezer = chooseFreezer({ place, name, table, clock, wanted: options.freezer });
  const groups = new LimitGroups({ place, name, table, clock, logger });
  const limits = new ServerLimits({ groups, defaults: options.limits ?? NO_LIMITS, logger });
  const sockets = socketPaths(layout.databases);
  return {
    memory: machineMemory(),
    limits: () => limits.state,
    async prepare(onProgress) {
      limits.check();
      const progress = onProgress === undefined ? {} : { onProgress };
      const builds = await findBuilds(options, layout, account, progress);
      const { newest } = builds;
      const wanted = options.isolation === undefined ? {} : { wanted: options.isolation };
      const isolation = await chooseIsolation({ account, binaries: newest, ...wanted });
      await prepareTemplate({ layout, account, binaries: newest, ...progress });
      const world = {
        ...{ account, clock, logger, table, freezer, limits: groups, isolation },
        clientsMax: options.clientsMax ?? DEFAULT_CLIENTS_MAX,
        binaries: (pgMajor: number) => builds.of(pgMajor),
      };
      return {
        runtime: processRuntime({ layout, sockets, world, limits, pgMajor: newest.major, sparesMax }),
        servers: {
          ...{ pgVersion: newest.version, pgMajor: newest.major, account: account.name, freezer: freezer.kind },
          isolation: isolation.kind,
          ...(isolation.reason === undefined ? {} : { isolationReason: isolation.reason }),
        },
      };
    },
    close: () =>
      keepAlive(async () => {
        sockets.close();
        await freezer.close();
        await groups.close();
        release();
      }),
  };
}

async function findBuilds(
  { pgBins = [], trustExtensions = [] }: ProcessMachineOptions,
  layout: DataLayout,
  account: Account,
  progress: { readonly onProgress?: (line: string) => void },
): Promise<Builds> {
  try {
    return await prepareBuilds({ directory: layout.binaries, account, pgBins, trustExtensions, ...progress });
  } catch (error) {
    throw diskError(error, 'data_unusable', layout.binaries);
  }
}

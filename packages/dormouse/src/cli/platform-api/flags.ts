import type { LogLevel } from '../../base/index.ts';
import type { PlatformOptions } from '../../platform/index.ts';
import {
  bytes,
  count,
  duration,
  type Flag,
  type FlagsOf,
  limit,
  ownLimit,
  ownRestTime,
  parseBytes,
  parseHttpUrl,
  parseIsolation,
  parseLogLevel,
  parseRegion,
  port,
  restTime,
  text,
  texts,
  toggle,
} from '../command-line/index.ts';

/**
 * All flags of all commands. Parsing, defaults and help read these tables only. A key is in camelCase, and its flag has
 * the same name in kebab-case.
 */

const MiB = 1024 * 1024;
/** Each spare takes 18 MB for good; a larger number than any burst of creations needs is a typing error. */
const SPARES_MAX = 1000;
/**
 * A server reserves 35 kB for each connection that it may get, also while it is suspended. Each connection in use is a
 * process of 2 MB or more.
 */
const CONNECTIONS_MAX = 500;

/** Flags of every command that sends requests to the running platform. */
export interface ConnectionValues {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly data: string | undefined;
}

export const CONNECTION_FLAGS: FlagsOf<ConnectionValues> = {
  url: text('Which platform', 'URL', 'Address of the running platform', {
    environment: 'DORMOUSE_URL',
    shown: 'read from the data directory',
    parse: parseHttpUrl,
  }),
  token: text('Which platform', 'TOKEN', 'Its admin token', {
    environment: 'DORMOUSE_TOKEN',
    shown: 'read from the data directory',
  }),
  data: text('Which platform', 'DIR', 'Its data directory', { shown: './.dormouse, for root /var/lib/dormouse' }),
};

export const JSON_FLAG: Flag<boolean> = toggle('Output', 'Print JSON instead of text');
export const YES_FLAG: Flag<boolean> = toggle('Safety', 'Do not ask for confirmation', 'y');
export const AT_REST_FLAG: Flag<boolean> = toggle(
  'Branch',
  'Stop the source first and copy its files; queries on the source wait until then',
);
export const ROLE_FLAG: Flag<string> = text<string>(
  'Key',
  'ROLE',
  'What the key may do: owner, writer (reads and writes rows) or reader',
  { fallback: 'owner' },
);

export const LABEL_FLAG: Flag<string | undefined> = text('Key', 'TEXT', 'A note that says what the key is for');

/** Flags of `dormouse db set`. */
export interface DatabaseRestValues {
  readonly suspendAfter: number | 'default' | undefined;
  readonly stopAfter: number | 'default' | undefined;
  readonly alwaysOn: boolean;
  readonly noAlwaysOn: boolean;
  readonly listenKeepsAwake: boolean;
  readonly noListenKeepsAwake: boolean;
}

export const DATABASE_REST_FLAGS: FlagsOf<DatabaseRestValues> = {
  suspendAfter: ownRestTime('Sleep', 'Freeze the database when it has been idle for this time'),
  stopAfter: ownRestTime('Sleep', 'Stop the database when it has been frozen for this time'),
  alwaysOn: toggle('Sleep', 'Never freeze or stop the database when it is idle, and start it by itself'),
  noAlwaysOn: toggle('Sleep', 'Freeze and stop the database when it is idle'),
  listenKeepsAwake: toggle('Sleep', 'A session that has run LISTEN keeps the database awake'),
  noListenKeepsAwake: toggle('Sleep', 'A session that has run LISTEN does not keep the database awake'),
};

const OWN_MEMORY = 'Memory of the server with its page cache; a server that exceeds it is ended and started again';
const OWN_CPUS = 'Processors that the server may use, such as 0.5';
const OWN_WEIGHT = 'Share of the processors relative to other databases when processors are short, 1 to 10000';
const OWN_PROCESSES = 'Processes of the server';
const OWN_TEMP = 'Temporary files of one session: sorts and joins that do not fit into work_mem';

/** Further flags of `dormouse db set`. */
export type DatabaseLimitValues = Readonly<
  Record<'memoryLimit' | 'cpuLimit' | 'cpuWeight' | 'processLimit' | 'tempLimit', number | 'default' | undefined>
>;

export const DATABASE_LIMIT_FLAGS: FlagsOf<DatabaseLimitValues> = {
  memoryLimit: ownLimit('memoryLimitBytes', 'SIZE', OWN_MEMORY),
  cpuLimit: ownLimit('cpuLimit', 'N', OWN_CPUS),
  cpuWeight: ownLimit('cpuWeight', 'N', OWN_WEIGHT),
  processLimit: ownLimit('processLimit', 'N', OWN_PROCESSES),
  tempLimit: ownLimit('tempLimitBytes', 'SIZE', OWN_TEMP),
};

/** Flags of `dormouse start`. Every limit of the platform is one of these flags. */
export interface StartValues extends Omit<PlatformOptions, 'data' | 'version'> {
  readonly data: string | undefined;
  readonly json: boolean;
  readonly logLevel: LogLevel;
}

export const START_FLAGS: FlagsOf<StartValues> = {
  data: text('Where', 'DIR', 'Directory of all data', { shown: './.dormouse, for root /var/lib/dormouse' }),
  host: text<string>('Where', 'HOST', 'Address to listen at; 0.0.0.0 opens it to the network', {
    fallback: '127.0.0.1',
  }),
  port: port('Where', 4400, 'Port for HTTP: Prisma, the API and the dashboard'),
  pgPort: port('Where', 5440, 'Port for Postgres connections'),
  publicUrl: text('Where', 'URL', 'Address by which applications reach this platform; printed URLs begin with it', {
    parse: parseHttpUrl,
  }),
  region: text<string>('Where', 'NAME', 'Name of this location in reply headers', {
    fallback: 'local',
    parse: parseRegion,
  }),

  suspendAfter: restTime('Sleep', 5000, 'An idle database is frozen after this time'),
  stopAfter: restTime('Sleep', 300_000, 'A frozen database is stopped after this time'),
  listenKeepsAwake: toggle('Sleep', 'A session that has run LISTEN keeps its database awake'),
  memoryMax: {
    group: 'Sleep',
    placeholder: 'SIZE',
    summary: 'Memory of all databases; over it the longest frozen are stopped',
    fallback: undefined,
    fallbackShown: '70% of the machine or control group',
    parse: parseBytes,
  },
  wakeTimeout: duration('Sleep', 30_000, 'How long a query waits for its database to wake'),

  memoryLimit: limit('memoryLimitBytes', 'SIZE', OWN_MEMORY),
  cpuLimit: limit('cpuLimit', 'N', OWN_CPUS),
  cpuWeight: limit('cpuWeight', 'N', OWN_WEIGHT),
  processLimit: limit('processLimit', 'N', OWN_PROCESSES),
  tempLimit: limit('tempLimitBytes', 'SIZE', OWN_TEMP),

  spares: count('Storage', 3, 'Empty databases kept ready for db create, 18 MB each; 0 for none', {
    min: 0,
    max: SPARES_MAX,
  }),

  bodyMax: bytes('Limits', 16 * MiB, 'Largest request body'),
  replyMax: bytes('Limits', 64 * MiB, 'Largest reply'),
  queryTimeout: duration('Limits', 60_000, 'Longest query over HTTP'),
  transactionTimeout: duration('Limits', 90_000, 'Longest interactive transaction'),
  transactionsMax: count('Limits', 100, 'Open interactive transactions per database'),
  poolConnections: count('Limits', 10, 'Server connections for HTTP, per database and role', { max: CONNECTIONS_MAX }),
  poolWaiters: count('Limits', 1000, 'Requests that may wait for a server connection, per database and role'),
  tcpConnections: count('Limits', 20, 'Direct Postgres sessions per database', { max: CONNECTIONS_MAX }),
  schemasMax: count('Limits', 100, 'Prisma schemas kept per database'),
  schemaMax: bytes('Limits', MiB, 'Largest Prisma schema'),
  plansMax: bytes('Limits', 256 * MiB, 'Memory of the plans and schemas kept for all databases'),
  cacheMax: bytes('Limits', 64 * MiB, 'Memory of the query cache'),

  pgBin: texts('Postgres', 'DIR', 'Programs of another PostgreSQL; new databases use the first of version 18', {
    shown: 'the one npm installed',
  }),
  trustExtension: texts('Postgres', 'NAME', 'Extension of a --pg-bin that owners may create', {
    shown: 'those that the build trusts',
  }),
  pgUser: text('Postgres', 'NAME', 'Account that runs Postgres when started as root', {
    shown: 'postgres, else nobody',
  }),
  isolation: text('Postgres', 'KIND', 'What keeps servers apart: sandbox (bubblewrap) or process', {
    shown: 'sandbox where it works',
    parse: parseIsolation,
  }) as Flag<'sandbox' | 'process' | undefined>,

  json: toggle('Output', 'Print one JSON object after the start; everything else goes to stderr'),
  logLevel: text('Output', 'LEVEL', 'Least severity of log lines: debug, info, warn or error', {
    fallback: 'warn',
    parse: parseLogLevel,
  }) as Flag<LogLevel>,
};

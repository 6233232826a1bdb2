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
  ownRest,
  parseBytes,
  parseHttpUrl,
  parseIsolation,
  parseLogLevel,
  parseRegion,
  port,
  rest,
  text,
  texts,
  toggle,
} from '../command-line/index.ts';

/**
 * Every flag of every command. Parsing, defaults and help all read this table and nothing else.
 * Keys are camelCase; the flag is the same name in kebab-case.
 */

const MiB = 1024 * 1024;
/** 18 MB each, kept for good: more than a burst of creations takes is a slip of the keyboard. */
const SPARES_MAX = 1000;
/**
 * A server is started with room for all that is promised, 35 kB each also asleep; each that is in use is a process of 2
 * MB and more.
 */
const CONNECTIONS_MAX = 500;

/** Flags of any command that asks the running platform. */
export interface ConnectionValues {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly data: string | undefined;
}

export const CONNECTION_FLAGS: FlagsOf<ConnectionValues> = {
  url: text('Which platform', 'URL', 'Address of the running platform', {
    environment: 'DORMOUSE_URL',
    shown: 'as the data directory says',
    parse: parseHttpUrl,
  }),
  token: text('Which platform', 'TOKEN', 'Its admin token', {
    environment: 'DORMOUSE_TOKEN',
    shown: 'as the data directory says',
  }),
  data: text('Which platform', 'DIR', 'Its data directory', { shown: './.dormouse, for root /var/lib/dormouse' }),
};

export const JSON_FLAG: Flag<boolean> = toggle('Output', 'Print JSON instead of text');
export const YES_FLAG: Flag<boolean> = toggle('Safety', 'Do it without asking', 'y');
export const AT_REST_FLAG: Flag<boolean> = toggle(
  'Branch',
  'Stop the source first and copy its files; queries on it wait meanwhile',
);
export const ROLE_FLAG: Flag<string> = text<string>(
  'Key',
  'ROLE',
  'What the key may do: owner, writer (reads and writes rows) or reader',
  { fallback: 'owner' },
);

export const LABEL_FLAG: Flag<string | undefined> = text('Key', 'TEXT', 'A note on what the key is for');

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
  suspendAfter: ownRest('Sleep', 'When idle it is frozen after this time'),
  stopAfter: ownRest('Sleep', 'When frozen it is stopped after this time'),
  alwaysOn: toggle('Sleep', 'Never rest for idleness, and come up by itself'),
  noAlwaysOn: toggle('Sleep', 'Rest when idle again'),
  listenKeepsAwake: toggle('Sleep', 'A session that has run LISTEN keeps it awake'),
  noListenKeepsAwake: toggle('Sleep', 'LISTEN does not keep it awake'),
};

const OWN_MEMORY = 'Memory of its server, page cache included; over it the server is ended and started again';
const OWN_CPUS = 'Processors its server may use, such as 0.5';
const OWN_WEIGHT = 'Its share when processors are short, beside the shares of others, 1 to 10000';
const OWN_PROCESSES = 'Processes of its server';
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

/** Flags of `dormouse start`; every limit of the platform is one of them. */
export interface StartValues extends Omit<PlatformOptions, 'data' | 'version'> {
  readonly data: string | undefined;
  readonly json: boolean;
  readonly logLevel: LogLevel;
}

export const START_FLAGS: FlagsOf<StartValues> = {
  data: text('Where', 'DIR', 'Directory that holds everything', { shown: './.dormouse, for root /var/lib/dormouse' }),
  host: text<string>('Where', 'HOST', 'Address to listen at; 0.0.0.0 opens it to the network', {
    fallback: '127.0.0.1',
  }),
  port: port('Where', 4400, 'Port of HTTP: Prisma, the API and the dashboard'),
  pgPort: port('Where', 5440, 'Port of Postgres connections'),
  publicUrl: text('Where', 'URL', 'Address that apps reach this platform by; printed URLs are built from it', {
    parse: parseHttpUrl,
  }),
  region: text<string>('Where', 'NAME', 'Name of this place in reply headers', {
    fallback: 'local',
    parse: parseRegion,
  }),

  suspendAfter: rest('Sleep', 5000, 'An idle database is frozen after this time'),
  stopAfter: rest('Sleep', 300_000, 'An idle database is stopped after this time'),
  listenKeepsAwake: toggle('Sleep', 'A session that has run LISTEN keeps its database awake'),
  memoryMax: {
    group: 'Sleep',
    placeholder: 'SIZE',
    summary: 'Memory of all databases; over it the longest asleep are stopped',
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

  spares: count('Storage', 3, 'Empty databases that lie ready for db create, 18 MB each; 0 for none', {
    min: 0,
    max: SPARES_MAX,
  }),

  bodyMax: bytes('Limits', 16 * MiB, 'Largest request body'),
  replyMax: bytes('Limits', 64 * MiB, 'Largest reply'),
  queryTimeout: duration('Limits', 60_000, 'Longest query over HTTP'),
  transactionTimeout: duration('Limits', 90_000, 'Longest interactive transaction'),
  transactionsMax: count('Limits', 100, 'Open interactive transactions of a database'),
  poolConnections: count('Limits', 10, 'Connections for HTTP, of a database and role', { max: CONNECTIONS_MAX }),
  poolWaiters: count('Limits', 1000, 'Requests that may wait for such a connection'),
  tcpConnections: count('Limits', 20, 'Direct Postgres sessions of a database', { max: CONNECTIONS_MAX }),
  schemasMax: count('Limits', 100, 'Prisma schemas kept for a database'),
  schemaMax: bytes('Limits', MiB, 'Largest Prisma schema'),
  plansMax: bytes('Limits', 256 * MiB, 'Memory of plans and schemas kept for all databases'),
  cacheMax: bytes('Limits', 64 * MiB, 'Memory of the query cache'),

  pgBin: texts('Postgres', 'DIR', 'Programs of another PostgreSQL: the first of 18 for new databases', {
    shown: 'the one npm installed',
  }),
  trustExtension: texts('Postgres', 'NAME', 'Extension of --pg-bin that owners may create', {
    shown: 'those it trusts',
  }),
  pgUser: text('Postgres', 'NAME', 'Account that runs Postgres when started as root', {
    shown: 'postgres, else nobody',
  }),
  isolation: text('Postgres', 'KIND', 'What keeps servers apart: sandbox (bubblewrap) or process', {
    shown: 'sandbox where it works',
    parse: parseIsolation,
  }) as Flag<'sandbox' | 'process' | undefined>,

  json: toggle('Output', 'Print one JSON object once started; everything else goes to stderr'),
  logLevel: text('Output', 'LEVEL', 'Least severity of log lines: debug, info, warn or error', {
    fallback: 'warn',
    parse: parseLogLevel,
  }) as Flag<LogLevel>,
};

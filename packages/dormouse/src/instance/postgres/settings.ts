/**
 * The configuration of every server. No tenant role is a superuser, so tenants cannot change it. The files are written
 * again before each start, so an old database gets the settings of the platform version that starts it.
 */

import {
  createRoleSql,
  MAINTENANCE_ROLE,
  OWN_ROLES,
  ownerRightsSql,
  REPLICATION_ROLE,
  RESERVE_SQL,
  SUPERUSER,
  TEMPLATE1_SQL,
  TENANT_ROLES,
} from '../administration/index.ts';
import { type Binaries, NEW_MAJOR } from './binaries.ts';

/** Increased when the roles or the initdb flags change, so that the template must be made again. */
export const TEMPLATE_VERSION = 6;

/** The port in the socket's name, `.s.PGSQL.<port>`. It is used nowhere else, as the server has no TCP listener. */
export const SOCKET_PORT = 5432;

/**
 * The directory of the socket, relative to the data directory: the path of a socket is limited to 107 bytes, and the
 * path of a data directory may be longer.
 */
export const SOCKET_DIRECTORY = '../run';

/** The size of a WAL segment. With Postgres's default of 16 MiB an empty database would take twice as much disk. */
export const WAL_SEGMENT_MIB = 1;

/** Connections reserved for superusers: only the platform has superuser sessions. */
const SUPERUSER_CONNECTIONS = 1;
/**
 * Connections reserved for roles with `pg_use_reserved_connections`: the maintenance role, which can end sessions when
 * they take up all other connections.
 */
const RESERVED_CONNECTIONS = 2;
/**
 * Further connections of the platform itself: for maintenance, and for sessions that read settings. Replication
 * connections do not count here, because `max_wal_senders` limits them.
 */
const OWN_CONNECTIONS = 3;

/** The settings of a server that follow from flags of the platform. */
export interface ServerSettings {
  /**
   * The number of client connections to make room for: pooled and direct connections of all roles. Each makes a
   * suspended server 35 kB larger.
   */
  readonly clientsMax: number;
  /** The largest total size of one session's temporary files in bytes, or Infinity. */
  readonly tempLimitBytes: number;
}

/** 3 roles with 10 pooled connections each, and 20 direct sessions. */
export const DEFAULT_CLIENTS_MAX = 50;

/** The major version that introduced a setting. A server does not start with a setting that it does not know. */
const SINCE: Readonly<Record<string, number>> = {
  reserved_connections: 16,
  createrole_self_grant: 16,
  io_method: 18,
  io_max_concurrency: 18,
  autovacuum_worker_slots: 18,
};

type Setting = readonly [name: string, value: string, reason: string];

const SETTINGS: readonly Setting[] = [
  ['listen_addresses', "''", 'clients reach the server only through its private socket'],
  ['port', String(SOCKET_PORT), ''],
  ['unix_socket_directories', `'${SOCKET_DIRECTORY}'`, ''],
  ['unix_socket_permissions', '0700', ''],
  ['superuser_reserved_connections', String(SUPERUSER_CONNECTIONS), ''],
  ['reserved_connections', String(RESERVED_CONNECTIONS), ''],
  ['shared_buffers', '16MB', 'the kernel page cache holds the rest, and can be reclaimed while the database sleeps'],
  ['fsync', 'on', ''],
  ['full_page_writes', 'on', ''],
  ['synchronous_commit', 'on', ''],
  ['wal_level', 'logical', 'event capture decodes the WAL'],
  [
    'client_connection_check_interval',
    '2s',
    'a session whose client is gone ends, even in a function that catches every cancellation',
  ],
  ['max_wal_senders', '4', ''],
  ['max_replication_slots', '4', ''],
  ['max_slot_wal_keep_size', '1GB', 'a slot whose reader never returns must not fill the disk'],
  ['min_wal_size', '2MB', 'two segments, the minimum: spare segments only take up disk'],
  ['max_wal_size', '256MB', ''],
  [
    'io_method',
    'sync',
    'io_uring would continue in the kernel while the server is frozen; method worker has three more processes',
  ],
  [
    'io_max_concurrency',
    '1',
    'io_method=sync has one I/O at a time, but allocates tables of this size for every possible connection',
  ],
  [
    'wal_buffers',
    '128kB',
    'bulk writes measured no slower than with 512 kB, which a suspended server would hold unused',
  ],
  ['max_logical_replication_workers', '0', 'saves the launcher process'],
  ['max_worker_processes', '2', 'only parallel queries use worker processes'],
  ['max_parallel_workers', '2', ''],
  ['autovacuum_worker_slots', '2', ''],
  ['autovacuum_max_workers', '2', ''],
  ['restart_after_crash', 'off', 'after a crash the whole server ends, and the platform starts it again'],
  ['jit', 'off', ''],
  ['huge_pages', 'off', ''],
  ['createrole_self_grant', "'set, inherit'", 'a role that creates a role may act as it and has its rights'],
  ['timezone', "'UTC'", ''],
  ['log_timezone', "'UTC'", ''],
  ['logging_collector', 'off', 'stderr is a file whose size the platform limits'],
  ['log_destination', "'stderr'", ''],
  ['log_line_prefix', "'%m [%p] '", ''],
  ['log_checkpoints', 'off', ''],
  ['log_min_messages', 'log', 'statement errors contain values of the tenant, and go to the client only'],
  ['log_min_error_statement', 'panic', 'statements contain values of the tenant'],
];

/**
 * The number of statements that `pg_stat_statements` distinguishes. They make every server, suspended or not, 0.4 MB
 * larger; Postgres's default of 5000 would make it 3 MB larger.
 */
const STATEMENTS_MAX = 500;

/** The largest value of `temp_file_limit`, which is a number of KiB in 31 bits. */
const TEMP_KIB_MAX = 2 ** 31 - 1;

/** The text of postgresql.conf for a server that runs the given build. */
export function postgresqlConf(
  { major, preload, extensions }: Pick<Binaries, 'major' | 'preload' | 'extensions'>,
  { clientsMax, tempLimitBytes }: ServerSettings,
): string {
  const tempKib = Math.min(Math.ceil(tempLimitBytes / 1024), TEMP_KIB_MAX);
  const settings: Setting[] = [
    ...SETTINGS,
    [
      'max_connections',
      String(clientsMax + SUPERUSER_CONNECTIONS + RESERVED_CONNECTIONS + OWN_CONNECTIONS),
      '--pool-connections for each of three roles, --tcp-connections, and those that the platform uses',
    ],
  ];
  if (tempLimitBytes !== Number.POSITIVE_INFINITY) {
    settings.push(['temp_file_limit', `${tempKib}kB`, 'set by --temp-limit, for the platform or for this database']);
  }
  if (preload.length > 0) {
    settings.push(
      ['shared_preload_libraries', `'${preload.join(', ')}'`, ''],
      [
        'pg_stat_statements.max',
        String(STATEMENTS_MAX),
        'each entry takes shared memory, which a suspended server keeps',
      ],
    );
  }
  if (extensions !== undefined) {
    settings.push([
      'extension_control_path',
      `'${extensions.replaceAll("'", "''")}'`,
      'where the extensions are that an owner may create',
    ]);
  }
  const lines = settings
    .filter(([name]) => major >= (SINCE[name] ?? 0))
    .map(([name, value, reason]) => `${name} = ${value}${reason === '' ? '' : ` # ${reason}`}`);
  return `# Written by Dormouse before every start; changes made here are lost.\n${lines.join('\n')}\n`;
}

/**
 * The text of pg_hba.conf. Only the platform can reach the socket, whose directory has mode 0700. Only the roles that
 * the platform logs in as are admitted: a role that a tenant creates cannot log in.
 */
export function pgHbaConf(): string {
  const ours = [SUPERUSER, ...OWN_ROLES.map(({ name }) => name)];
  return [
    '# Written by Dormouse before every start; changes made here are lost.',
    `local all ${[...ours, ...TENANT_ROLES].join(',')} trust`,
    `local replication ${REPLICATION_ROLE} trust`,
    'local all all reject',
    'local replication all reject',
    '',
  ].join('\n');
}

/**
 * Functions that write without checking any privilege: they create large objects, or write messages to the WAL. By
 * Postgres's default every role may call them.
 */
const WRITING_FUNCTIONS: readonly string[] = [
  'lo_creat(integer)',
  'lo_create(oid)',
  'lo_from_bytea(oid, bytea)',
  'pg_logical_emit_message(boolean, text, text, boolean)',
  'pg_logical_emit_message(boolean, text, bytea, boolean)',
];

/**
 * The SQL that turns a new cluster of initdb into the template. It creates the platform's roles and the three roles of
 * the tenant, and grants the owner its rights in the main database. The role `owner` does not own the main database,
 * because the owner of a database may rename it, drop it and forbid connections to it. The single-user mode needs one
 * command per line. pg_write_all_data includes UPDATE on sequences, which nextval and setval need.
 */
export const TEMPLATE_SQL: readonly string[] = [
  ...OWN_ROLES.map((role) => createRoleSql(role, NEW_MAJOR)),
  'CREATE ROLE owner LOGIN CREATEDB;',
  ...ownerRightsSql(NEW_MAJOR),
  'CREATE ROLE writer LOGIN IN ROLE pg_read_all_data, pg_write_all_data;',
  'CREATE ROLE reader LOGIN IN ROLE pg_read_all_data;',
  // Messages that a tenant's session raises go to its client only: in the log, a loop of RAISE LOG would fill the disk.
  ...TENANT_ROLES.map((role) => `ALTER ROLE ${role} SET log_min_messages = fatal;`),
  'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE postgres TO owner WITH GRANT OPTION;',
  `GRANT CONNECT ON DATABASE postgres TO ${REPLICATION_ROLE}, ${MAINTENANCE_ROLE};`,
  // By default the schema belongs to the owner of the database, here the superuser. Migrations must be able to drop the
  // schema and create it again.
  'ALTER SCHEMA public OWNER TO owner;',
  'REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC;',
  'GRANT TEMPORARY ON DATABASE postgres TO writer;',
  `REVOKE EXECUTE ON FUNCTION ${WRITING_FUNCTIONS.join(', ')} FROM PUBLIC;`,
  `GRANT EXECUTE ON FUNCTION ${WRITING_FUNCTIONS.join(', ')} TO owner, writer;`,
  // Marks these grants as if initdb had made them, so that pg_dump omits them: another server lacks these roles.
  `INSERT INTO pg_init_privs SELECT oid, 'pg_proc'::regclass, 0, 'i', proacl FROM pg_proc WHERE oid = ANY ('{${WRITING_FUNCTIONS.map((name) => `"${name}"`).join(',')}}'::regprocedure[]);`,
  TEMPLATE1_SQL,
  // The files of template0 are removed afterwards.
  `${RESERVE_SQL};`,
  'VACUUM;',
  'CHECKPOINT;',
];

/** The arguments of initdb except the data directory. Without -E and --locale, initdb fails where LANG is unset. */
export const INITDB_ARGUMENTS: readonly string[] = [
  `--username=${SUPERUSER}`,
  '--encoding=UTF8',
  '--locale=C',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  `--wal-segsize=${WAL_SEGMENT_MIB}`,
  '--data-checksums',
  '--auth=trust',
  '--no-instructions',
  // The finished template is synced as a whole before it is renamed to its final name.
  '--no-sync',
];

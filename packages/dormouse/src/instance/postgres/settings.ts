/**
 * The configuration of every server. Tenants are never superuser and cannot change it. It is written again before each
 * start, so an old database gets the settings of the platform that starts it.
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

/** Increased when the template must be made anew, because of other roles or other flags of initdb. */
export const TEMPLATE_VERSION = 6;

/** The port in the socket's name, `.s.PGSQL.<port>`; without a TCP listener it has no other meaning. */
export const SOCKET_PORT = 5432;

/**
 * Relative to the data directory, because the socket's path is limited to 107 bytes and that of a data directory is
 * not.
 */
export const SOCKET_DIRECTORY = '../run';

/** WAL segments are of 1 MiB: with the default of 16 MiB an empty database would take twice as much disk. */
export const WAL_SEGMENT_MIB = 1;

/** Connections reserved for superusers, and so for the platform. */
const SUPERUSER_CONNECTIONS = 1;
/**
 * Connections reserved for roles that may use reserved connections: maintenance, which ends sessions that take up all
 * others.
 */
const RESERVED_CONNECTIONS = 2;
/**
 * Further connections of the platform's own: maintenance, and sessions that read settings. Streams of WAL have
 * connections of their own.
 */
const OWN_CONNECTIONS = 3;

/** The settings of a server that follow from flags of the platform. */
export interface ServerSettings {
  /**
   * The number of client connections to make room for, pooled and direct ones of all roles. Each costs a suspended
   * server 35 kB.
   */
  readonly clientsMax: number;
  /** The limit of one session's temporary files in bytes, or Infinity. */
  readonly tempLimitBytes: number;
}

/** 3 roles × 10 pooled, 20 direct sessions. */
export const DEFAULT_CLIENTS_MAX = 50;

/** The major version that introduced a setting: a server does not start with a setting that it does not know. */
const SINCE: Readonly<Record<string, number>> = {
  reserved_connections: 16,
  createrole_self_grant: 16,
  io_method: 18,
  io_max_concurrency: 18,
  autovacuum_worker_slots: 18,
};

type Setting = readonly [name: string, value: string, reason: string];

const SETTINGS: readonly Setting[] = [
  ['listen_addresses', "''", 'reached through its private socket only'],
  ['port', String(SOCKET_PORT), ''],
  ['unix_socket_directories', `'${SOCKET_DIRECTORY}'`, ''],
  ['unix_socket_permissions', '0700', ''],
  ['superuser_reserved_connections', String(SUPERUSER_CONNECTIONS), ''],
  ['reserved_connections', String(RESERVED_CONNECTIONS), ''],
  ['shared_buffers', '16MB', 'the page cache holds the rest, and is given back while the tenant sleeps'],
  ['fsync', 'on', ''],
  ['full_page_writes', 'on', ''],
  ['synchronous_commit', 'on', ''],
  ['wal_level', 'logical', 'events'],
  [
    'client_connection_check_interval',
    '2s',
    'whose client is gone ends, though his function catches every cancellation',
  ],
  ['max_wal_senders', '4', ''],
  ['max_replication_slots', '4', ''],
  ['max_slot_wal_keep_size', '1GB', 'a reader that never returns must not fill the disk'],
  ['min_wal_size', '2MB', 'two segments, the least: spare ones are disk for nothing'],
  ['max_wal_size', '256MB', ''],
  [
    'io_method',
    'sync',
    'io_uring would go on in the kernel while the server is frozen; workers are three processes more',
  ],
  [
    'io_max_concurrency',
    '1',
    'sync has one under way; its tables, for every connection there may be, are set up at the start',
  ],
  [
    'wal_buffers',
    '128kB',
    'no bulk write was measured to be slower than with 512 kB, which a sleeper would hold for nothing',
  ],
  ['max_logical_replication_workers', '0', 'one process less'],
  ['max_worker_processes', '2', 'only parallel queries have worker processes'],
  ['max_parallel_workers', '2', ''],
  ['autovacuum_worker_slots', '2', ''],
  ['autovacuum_max_workers', '2', ''],
  ['restart_after_crash', 'off', 'the controller sees one kind of end, and starts it again'],
  ['jit', 'off', ''],
  ['huge_pages', 'off', ''],
  ['createrole_self_grant', "'set, inherit'", 'who makes a role may act as it, and has what it has'],
  ['timezone', "'UTC'", ''],
  ['log_timezone', "'UTC'", ''],
  ['logging_collector', 'off', 'stderr is a file that the runtime bounds'],
  ['log_destination', "'stderr'", ''],
  ['log_line_prefix', "'%m [%p] '", ''],
  ['log_checkpoints', 'off', ''],
  ['log_min_messages', 'log', 'errors of statements are for the client who made them, and hold his values'],
  ['log_min_error_statement', 'panic', 'statements hold values'],
];

/**
 * The number of statements that `pg_stat_statements` distinguishes. It makes every server, suspended or not, 0.4 MB
 * larger; Postgres's default of 5000 would take 3 MB.
 */
const STATEMENTS_MAX = 500;

/** The largest value of the setting, which is a number of KiB in 31 bits. */
const TEMP_KIB_MAX = 2 ** 31 - 1;

/** The text of postgresql.conf for a server of this build. */
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
      'what --pool-connections, of three roles, and --tcp-connections promise, and some of our own',
    ],
  ];
  if (tempLimitBytes !== Number.POSITIVE_INFINITY) {
    settings.push(['temp_file_limit', `${tempKib}kB`, 'a flag of the platform, or of this database']);
  }
  if (preload.length > 0) {
    settings.push(
      ['shared_preload_libraries', `'${preload.join(', ')}'`, ''],
      ['pg_stat_statements.max', String(STATEMENTS_MAX), 'each is shared memory that a sleeper holds'],
    );
  }
  if (extensions !== undefined) {
    settings.push(['extension_control_path', `'${extensions.replaceAll("'", "''")}'`, 'what an owner may create']);
  }
  const lines = settings
    .filter(([name]) => major >= (SINCE[name] ?? 0))
    .map(([name, value, reason]) => `${name} = ${value}${reason === '' ? '' : ` # ${reason}`}`);
  return `# Written by Dormouse before every start; changes made here are lost.\n${lines.join('\n')}\n`;
}

/**
 * The text of pg_hba.conf. Only the platform reaches the socket, whose directory has mode 0700, and only the roles that
 * the platform logs in as are admitted. A role that a tenant makes cannot log in.
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
 * Functions that write without a check of any right: large objects, and messages into the WAL. By Postgres's default
 * every role may call them.
 */
const WRITING_FUNCTIONS: readonly string[] = [
  'lo_creat(integer)',
  'lo_create(oid)',
  'lo_from_bytea(oid, bytea)',
  'pg_logical_emit_message(boolean, text, text, boolean)',
  'pg_logical_emit_message(boolean, text, bytea, boolean)',
];

/**
 * The SQL that makes the template from what initdb makes: the platform's roles, the tenant's three, and the owner's
 * rights in the main database. The main database does not belong to the owner, because the owner of a database may
 * rename, drop and close it. One command per line, for the single-user mode. pg_write_all_data covers UPDATE on
 * sequences, which is what nextval and setval need.
 */
export const TEMPLATE_SQL: readonly string[] = [
  ...OWN_ROLES.map((role) => createRoleSql(role, NEW_MAJOR)),
  'CREATE ROLE owner LOGIN CREATEDB;',
  ...ownerRightsSql(NEW_MAJOR),
  'CREATE ROLE writer LOGIN IN ROLE pg_read_all_data, pg_write_all_data;',
  'CREATE ROLE reader LOGIN IN ROLE pg_read_all_data;',
  // Messages that a session of a tenant raises go to its client only: a loop of RAISE LOG would fill the disk.
  ...TENANT_ROLES.map((role) => `ALTER ROLE ${role} SET log_min_messages = fatal;`),
  'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE postgres TO owner WITH GRANT OPTION;',
  `GRANT CONNECT ON DATABASE postgres TO ${REPLICATION_ROLE}, ${MAINTENANCE_ROLE};`,
  // Without this the schema would belong to the owner of the database, the superuser. Migrations drop the schema and
  // make it anew.
  'ALTER SCHEMA public OWNER TO owner;',
  'REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC;',
  'GRANT TEMPORARY ON DATABASE postgres TO writer;',
  `REVOKE EXECUTE ON FUNCTION ${WRITING_FUNCTIONS.join(', ')} FROM PUBLIC;`,
  `GRANT EXECUTE ON FUNCTION ${WRITING_FUNCTIONS.join(', ')} TO owner, writer;`,
  // Marked as if initdb had made these rights: a dump must not carry them to a server that has no such roles.
  `INSERT INTO pg_init_privs SELECT oid, 'pg_proc'::regclass, 0, 'i', proacl FROM pg_proc WHERE oid = ANY ('{${WRITING_FUNCTIONS.map((name) => `"${name}"`).join(',')}}'::regprocedure[]);`,
  TEMPLATE1_SQL,
  // The files of template0 are removed afterwards.
  `${RESERVE_SQL};`,
  'VACUUM;',
  'CHECKPOINT;',
];

/** The arguments of initdb, apart from the data directory. Without -E and --locale it fails where LANG is unset. */
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
  // The finished template is synced as a whole before it gets its name.
  '--no-sync',
];

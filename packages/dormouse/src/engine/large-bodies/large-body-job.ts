import { setImmediate } from 'node:timers/promises';
import {
  Cancellation,
  type Clock,
  DormouseError,
  type MinimalReply,
  type Timer,
  Timings,
  toDormouseError,
} from '../../base/index.ts';
import type { StatementResult } from '../../pool/index.ts';
import type { ExecutionCounts } from '../program/index.ts';
import type { LargeBodyContext } from './large-body-context.ts';
import type {
  Ask,
  FromThread,
  LargeBodyRequest,
  StatementAnswer,
  StatementAsk,
  ToThread,
} from './large-body-protocol.ts';
import { packError, unpackError } from './packed-errors.ts';
import { packRows } from './packed-rows.ts';

/** How long a thread may take to stop a request that is cancelled or late, before the thread is ended. */
const GRACE_MS = 1_000;

/** The last message of a thread about a request: its outcome and what it cost. */
type Done = Extract<FromThread, { from: 'done' }>;

/** A connection, or a turn in an interactive transaction, on which the thread runs statements. */
interface Session {
  execute(ask: StatementAsk): Promise<StatementResult>;
  status(): 'I' | 'T' | 'E';
  /**
   * Ends the session: the thread does not need it any more. Rejects if the transaction that the turn belongs to failed
   * for a reason other than `error`.
   */
  end(error: Error | undefined): Promise<void>;
}

/** How a job reaches the thread that works on it. */
export interface JobThreadLink {
  post(message: ToThread, transfer?: ArrayBuffer[]): void;
  /** Ends the thread, because this job has outlasted its time. */
  kill(reason: string): void;
}

export interface LargeBodyJobOptions {
  /** The thread's executions are added to these counts. */
  readonly counts: ExecutionCounts;
  readonly prepareMsMax: number;
}

/**
 * One request with a large body, on the main thread: gives the request's thread what only the main thread has, and
 * holds the thread to its time limits.
 */
export class LargeBodyJob {
  readonly id: number;
  /** Bytes of the request's body. */
  readonly bytes: number;
  /** The request belongs to a transaction, which may hold locks: it goes before the database's other requests. */
  readonly urgent: boolean;
  readonly reply: Promise<MinimalReply>;
  readonly #context: LargeBodyContext;
  readonly #request: LargeBodyRequest;
  readonly #options: LargeBodyJobOptions;
  readonly #clock: Clock;
  readonly #cancellation = new Cancellation();
  readonly #sessions = new Map<number, Session>();
  /** Statements that run on the server. */
  readonly #running = new Set<Promise<unknown>>();
  /** The turn of a query that belongs to an interactive transaction. */
  readonly #turn: Promise<Session> | undefined;
  /** The turn, once it has come and until the thread asks for it. */
  #unused: Session | undefined;
  #settle!: { resolve(reply: MinimalReply): void; reject(error: Error): void };
  #link: JobThreadLink | undefined;
  #timer: Timer | undefined;
  #preparing: Timer | undefined;
  #forget: (() => void) | undefined;
  #sent = false;
  #ended = false;

  constructor(id: number, context: LargeBodyContext, request: LargeBodyRequest, options: LargeBodyJobOptions) {
    this.id = id;
    this.bytes = request.body.byteLength;
    this.urgent = context.transactionId !== undefined;
    this.#context = context;
    this.#request = request;
    this.#options = options;
    this.#clock = context.bounds.clock;
    this.reply = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    const { cancellation, deadline } = context.bounds;
    this.#forget = cancellation.onCancel(() => this.#cancel());
    this.#timer = this.#clock.after(Math.ceil(deadline.remainingMs()), () => this.#late());
    if (context.transactionId !== undefined) {
      this.#turn = this.#takeTurn(context.transactionId);
      // A failure is told to the thread when it asks for the turn.
      this.#turn.catch(() => undefined);
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Sends the request to the thread that works on it. */
  begin(link: JobThreadLink): void {
    this.#link = link;
    const remainingMs = this.#context.bounds.deadline.remainingMs();
    const request: LargeBodyRequest = { ...this.#request, remainingMs };
    link.post({ to: 'begin', job: this.id, request }, [request.body.buffer as ArrayBuffer]);
  }

  /** Takes a message from the thread that works on it. */
  take(message: Exclude<FromThread, Done>): void {
    if (this.#ended) return;
    switch (message.from) {
      case 'begun':
        this.#preparing = this.#clock.after(this.#options.prepareMsMax, () => {
          const text = 'The query took too long to compile. Make it smaller.';
          this.#kill(new DormouseError('query_timeout', { message: text }));
        });
        return;
      case 'operation':
        this.#context.onOperation();
        return;
      case 'release':
        void this.#leave(message.session, undefined);
        return;
      case 'ask':
        // An answer that cannot be cloned for the thread is a bug of the platform, and ends this query.
        this.#answer(message.id, message.ask).catch((error: unknown) => this.#kill(toDormouseError(error)));
    }
  }

  /** Ends the job with the thread's outcome. */
  done({ outcome, compileMs, sqlMs, executions }: Done): void {
    const { timings } = this.#context.call;
    if (compileMs !== undefined) timings.add('compile', compileMs);
    if (sqlMs !== undefined) timings.add('sql', sqlMs);
    const { counts } = this.#options;
    counts.byProgram += executions.byProgram;
    counts.handedOver += executions.handedOver;
    counts.failed += executions.failed;
    if ('reply' in outcome) this.#end(outcome.reply);
    else this.#end(unpackError(outcome.error));
  }

  /** Ends the job because its thread is gone, or never started. */
  lost(error: DormouseError): void {
    const { code, message, cause } = error;
    if (!this.#sent) {
      this.#end(error);
      return;
    }
    // The client must not send the query again without looking at what was written, so the error is not one to retry.
    const publicCode = code === 'query_invalid' ? code : 'query_timeout';
    this.#end(
      new DormouseError(publicCode, { message: `${message} What it wrote before that may have been kept.`, cause }),
    );
  }

  async #answer(id: number, ask: Ask): Promise<void> {
    try {
      const value = await this.#do(id, ask);
      this.#post({ to: 'answer', job: this.id, id, answer: { value }, status: this.#status(ask) });
    } catch (error) {
      this.#post({ to: 'answer', job: this.id, id, answer: { error: packError(error) }, status: this.#status(ask) });
    }
  }

  #status(ask: Ask): 'I' | 'T' | 'E' {
    return ('session' in ask ? this.#sessions.get(ask.session)?.status() : undefined) ?? 'I';
  }

  #do(id: number, ask: Ask): Promise<unknown> {
    switch (ask.kind) {
      case 'schema':
        return this.#context.schema();
      case 'acquire':
        return this.#acquire(ask.session);
      case 'enter':
        return this.#enter(ask.session);
      case 'leave':
        return this.#leave(ask.session, ask.error === undefined ? undefined : unpackError(ask.error));
      case 'execute':
        return this.#execute(id, ask);
    }
  }

  async #acquire(session: number): Promise<void> {
    this.#prepared();
    const { call, bounds, pool } = this.#context;
    const { deadline, key } = bounds;
    const lease = await pool.acquire({ deadline, timings: call.timings, cancellation: this.#cancellation, key });
    if (this.#ended) {
      lease.release();
      return;
    }
    const rowBudget = { left: bounds.rowBytesMax };
    const cancellation = this.#cancellation;
    this.#sessions.set(session, {
      execute: ({ sql, parameters, pipelined, simple, before }) =>
        lease.execute(sql, parameters, { deadline, cancellation, rowBudget, pipelined, simple, before }),
      status: () => lease.transactionStatus,
      end: async () => lease.release(),
    });
  }

  /**
   * Takes the request's turn in the interactive transaction, as any query does: requests that come later wait for it.
   */
  #takeTurn(transactionId: string): Promise<Session> {
    const { call, bounds, transactions } = this.#context;
    return new Promise((entered, failed) => {
      // The thread measures how long the statements took, and tells at the end.
      const own = { ...bounds, cancellation: this.#cancellation, timings: new Timings() };
      const turn = transactions.run(
        call,
        transactionId,
        own,
        (statements) =>
          new Promise<void>((resolve, reject) => {
            if (this.#ended) {
              resolve();
              return;
            }
            this.#unused = {
              execute: ({ sql, parameters, pipelined, simple }) =>
                statements.execute(sql, parameters, pipelined, simple),
              status: () => statements.lease?.transactionStatus ?? 'I',
              end: async (error) => {
                if (error === undefined) resolve();
                else reject(error);
                await turn.catch((ended: unknown) => {
                  if (ended !== error) throw ended;
                });
              },
            };
            entered(this.#unused);
          }),
      );
      turn.catch(failed);
    });
  }

  async #enter(session: number): Promise<void> {
    this.#prepared();
    const turn = await this.#turn;
    if (turn === undefined || this.#ended) throw new DormouseError('interrupted');
    this.#unused = undefined;
    this.#sessions.set(session, turn);
  }

  async #leave(session: number, error: Error | undefined): Promise<void> {
    const left = this.#sessions.get(session);
    this.#sessions.delete(session);
    await left?.end(error);
  }

  async #execute(id: number, ask: StatementAsk): Promise<StatementAnswer> {
    const session = this.#sessions.get(ask.session);
    if (session === undefined) throw new DormouseError('interrupted');
    this.#sent = true;
    const running = session.execute(ask);
    this.#running.add(running);
    try {
      const { rows, fields, commandTag, affectedRows, dates } = await running;
      await this.#sendRows(id, rows);
      return { fields, commandTag, affectedRows, dates };
    } finally {
      this.#running.delete(running);
    }
  }

  async #sendRows(id: number, rows: StatementResult['rows']): Promise<void> {
    let isFirst = true;
    for (const packed of packRows(rows)) {
      if (!isFirst) await setImmediate();
      if (this.#ended) return;
      isFirst = false;
      this.#post({ to: 'rows', job: this.id, id, rows: packed }, [packed.buffer]);
    }
  }

  #post(message: ToThread, transfer?: ArrayBuffer[]): void {
    if (!this.#ended) this.#link?.post(message, transfer);
  }

  /** Called when the body is read and planned: from here on only the query's own deadline bounds it. */
  #prepared(): void {
    this.#preparing?.cancel();
  }

  /** The client does not wait for the reply any more. */
  #cancel(): void {
    this.#cancellation.cancel();
    const interrupted = new DormouseError('interrupted');
    if (this.#link === undefined) {
      this.#end(interrupted);
      return;
    }
    this.#post({ to: 'cancel', job: this.id });
    this.#timer?.cancel();
    this.#timer = this.#clock.after(GRACE_MS, () => this.#kill(interrupted));
  }

  /** The deadline has passed. The thread notices that by itself; a thread that does not within the grace is ended. */
  #late(): void {
    if (this.#link === undefined) {
      this.#end(new DormouseError('query_timeout', { message: 'The query waited too long for its turn.' }));
    } else {
      this.#timer = this.#clock.after(GRACE_MS, () => this.#kill(new DormouseError('query_timeout')));
    }
  }

  #kill(error: DormouseError): void {
    const link = this.#link;
    this.#end(error);
    link?.kill(error.message);
  }

  #end(outcome: MinimalReply | Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#preparing?.cancel();
    this.#forget?.();
    void this.#close(outcome);
  }

  /** Cancels the statements that still run, and waits for their end before their connections are given back. */
  async #close(outcome: MinimalReply | Error): Promise<void> {
    this.#cancellation.cancel();
    await Promise.allSettled(this.#running);
    const sessions = [...this.#sessions.keys()];
    await this.#unused?.end(undefined).catch(() => undefined);
    await Promise.allSettled(sessions.map((session) => this.#leave(session, new DormouseError('interrupted'))));
    if (outcome instanceof Error) this.#settle.reject(outcome);
    else this.#settle.resolve(outcome);
  }
}

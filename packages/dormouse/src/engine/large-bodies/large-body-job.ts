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

/** How long a thread may take to see that its request is cancelled or late, before it is ended. */
const GRACE_MS = 1_000;

/** What became of a request: all that a thread says at its end. */
type Done = Extract<FromThread, { from: 'done' }>;

/** A connection, or a turn in an interactive transaction, that the thread runs statements on. */
interface Session {
  execute(ask: StatementAsk): Promise<StatementResult>;
  status(): 'I' | 'T' | 'E';
  /**
   * The thread has no more use for it. Resolves when that has come through; rejects with what became of a turn instead.
   */
  end(error: Error | undefined): Promise<void>;
}

/** How a job reaches the thread that it is on. */
export interface JobThreadLink {
  post(message: ToThread, transfer?: ArrayBuffer[]): void;
  /** Ends the thread: this job outlasted its time. */
  kill(reason: string): void;
}

export interface LargeBodyJobOptions {
  /** Executions by the engine's programs are added to these. */
  readonly counts: ExecutionCounts;
  readonly prepareMsMax: number;
}

/**
 * One request with a large body, on the main thread: gives the request's thread what only the main thread has, and
 * holds the thread to its time limits.
 */
export class LargeBodyJob {
  readonly id: number;
  /** Bytes of its body. */
  readonly bytes: number;
  /** Of a transaction that holds locks already: it must not wait for others of its database. */
  readonly urgent: boolean;
  readonly reply: Promise<MinimalReply>;
  readonly #world: LargeBodyContext;
  readonly #request: LargeBodyRequest;
  readonly #options: LargeBodyJobOptions;
  readonly #clock: Clock;
  readonly #cancellation = new Cancellation();
  readonly #sessions = new Map<number, Session>();
  /** Statements under way. */
  readonly #running = new Set<Promise<unknown>>();
  /** Of a query in an interactive transaction. */
  readonly #turn: Promise<Session> | undefined;
  /** A turn that has come, and the thread has not asked for. */
  #unused: Session | undefined;
  #settle!: { resolve(reply: MinimalReply): void; reject(error: Error): void };
  #link: JobThreadLink | undefined;
  #timer: Timer | undefined;
  #preparing: Timer | undefined;
  #forget: (() => void) | undefined;
  #sent = false;
  #ended = false;

  constructor(id: number, world: LargeBodyContext, request: LargeBodyRequest, options: LargeBodyJobOptions) {
    this.id = id;
    this.bytes = request.body.byteLength;
    this.urgent = world.transactionId !== undefined;
    this.#world = world;
    this.#request = request;
    this.#options = options;
    this.#clock = world.bounds.clock;
    this.reply = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    const { cancellation, deadline } = world.bounds;
    this.#forget = cancellation.onCancel(() => this.#cancel());
    this.#timer = this.#clock.after(Math.ceil(deadline.remainingMs()), () => this.#late());
    if (world.transactionId !== undefined) {
      this.#turn = this.#takeTurn(world.transactionId);
      // The thread hears of it when it asks.
      this.#turn.catch(() => undefined);
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Sends the request to its thread. */
  begin(link: JobThreadLink): void {
    this.#link = link;
    const remainingMs = this.#world.bounds.deadline.remainingMs();
    const request: LargeBodyRequest = { ...this.#request, remainingMs };
    link.post({ to: 'begin', job: this.id, request }, [request.body.buffer as ArrayBuffer]);
  }

  /** Takes a message of its thread's. */
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
        this.#world.onOperation();
        return;
      case 'release':
        void this.#leave(message.session, undefined);
        return;
      case 'ask':
        // What cannot be handed over is a bug of ours, and this query's end.
        this.#answer(message.id, message.ask).catch((error: unknown) => this.#kill(toDormouseError(error)));
    }
  }

  /** The thread has ended it. */
  done({ outcome, compileMs, sqlMs, executions }: Done): void {
    const { timings } = this.#world.call;
    if (compileMs !== undefined) timings.add('compile', compileMs);
    if (sqlMs !== undefined) timings.add('sql', sqlMs);
    const { counts } = this.#options;
    counts.byProgram += executions.byProgram;
    counts.handedOver += executions.handedOver;
    counts.failed += executions.failed;
    if ('reply' in outcome) this.#end(outcome.reply);
    else this.#end(unpackError(outcome.error));
  }

  /** The thread is gone, or never came. */
  lost(error: DormouseError): void {
    const { code, message, cause } = error;
    if (!this.#sent) {
      this.#end(error);
      return;
    }
    // Nobody may send it again without looking.
    const said = code === 'query_invalid' ? code : 'query_timeout';
    this.#end(new DormouseError(said, { message: `${message} What it wrote before that may have been kept.`, cause }));
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
        return this.#world.schema();
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
    const { call, bounds, pool } = this.#world;
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

  /** Takes its turn in the interactive transaction when it comes, as any query does: what comes later waits for it. */
  #takeTurn(transactionId: string): Promise<Session> {
    const { call, bounds, transactions } = this.#world;
    return new Promise((entered, failed) => {
      // The thread notes how long its statements took.
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

  /** It is read and planned, and goes on to what the query's own deadline bounds. */
  #prepared(): void {
    this.#preparing?.cancel();
  }

  /** Nobody waits for it any more. */
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

  /** Its time is up: its thread sees that by itself, unless it cannot. */
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

  /** What still runs is cancelled, and has ended before its connection goes to somebody else. */
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

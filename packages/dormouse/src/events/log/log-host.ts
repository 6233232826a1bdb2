import { Worker } from 'node:worker_threads';
import { type Clock, DormouseError, type Epoch } from '../../base/index.ts';
import { threadFile } from '../../threads/index.ts';
import type { Lsn } from '../../wire/index.ts';
import type {
  AppendBatch,
  CursorKey,
  EventLog,
  History,
  LogCursor,
  LogState,
  NotedTables,
  ReadRequest,
  ReadResult,
  TableFacts,
  TableName,
} from './event-log.ts';
import type { LogLimits } from './log-bounds.ts';
import type { LogAsk, LogCallName, LogCalls, LogReply, LogRequest } from './log-protocol.ts';
import { type LogJob, type LogJobKind, LogTurns } from './log-turns.ts';
import { comparePositions, type Position } from './position.ts';
import { slicesOf } from './slices.ts';

/**
 * Jobs that the thread has at a time: the second lies ready when the first is done. What is not with the thread can be
 * taken out.
 */
const IN_HAND_MAX = 2;
/** Jobs of one database that may wait: 100 live readers, as many plain ones, their acknowledgements. */
const WAITING_MAX = 1000;

interface Job extends LogJob {
  readonly request: LogRequest;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface CallOptions {
  readonly kind: LogJobKind;
  /** Takes the job out if the thread has not begun it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The logs of one process: one worker thread for all of them, started with the first call. Databases have turns in it.
 */
export class EventLogs {
  readonly #clock: Clock;
  readonly #turns = new LogTurns<Job>();
  /** What the thread has in hand. */
  readonly #inHand = new Map<number, Job>();
  #worker: Worker | undefined;
  #nextId = 1;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The log in this file; touches nothing until it is used. */
  open(path: string, limits: LogLimits): EventLog {
    return new HostedLog(this, this.#clock, path, limits);
  }

  /**
   * Asks the thread, in this database's turn. Fails as the call does, and with `queue_full`, `shutting_down`,
   * `database_deleted`, and the reason of a signal that fired before the thread began.
   */
  async call<Name extends LogCallName>(
    path: string,
    limits: LogLimits,
    ask: { readonly call: Name } & LogCalls[Name]['ask'],
    { kind, signal }: CallOptions,
  ): Promise<LogCalls[Name]['give']> {
    if (this.#closed) throw new DormouseError('shutting_down');
    signal?.throwIfAborted();
    if (this.#turns.waiting(path) >= WAITING_MAX) {
      throw new DormouseError('queue_full', {
        message: 'Too many readers of the events of this database wait already. Try again in a moment.',
      });
    }
    const request: LogRequest = { id: this.#nextId++, path, limits, ask: ask as LogAsk };
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (this.#turns.remove(job)) reject(signal?.reason);
      };
      const settled = (): void => signal?.removeEventListener('abort', leave);
      const job: Job = {
        ...{ owner: path, kind, request },
        resolve: (value) => {
          settled();
          resolve(value as LogCalls[Name]['give']);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#turns.add(job);
      this.#hand();
    });
  }

  /** Refuses what waits for this log; what the thread has in hand it finishes. */
  refuse(path: string, error: DormouseError): void {
    for (const { reject } of this.#turns.removeAll(path)) reject(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    const error = new DormouseError('shutting_down');
    for (const { reject } of this.#turns.removeAll()) reject(error);
    this.#fail(error);
    await worker?.terminate();
  }

  /** Gives the thread what is next, as long as it has a hand free. */
  #hand(): void {
    while (this.#inHand.size < IN_HAND_MAX) {
      const job = this.#turns.take();
      if (job === undefined) return;
      this.#worker ??= this.#start();
      this.#inHand.set(job.request.id, job);
      this.#worker.postMessage(job.request);
    }
  }

  #start(): Worker {
    const worker = new Worker(threadFile('log-worker', import.meta.url), { name: 'dormouse-events' });
    worker.unref();
    worker.on('message', (reply: LogReply) => {
      const job = this.#inHand.get(reply.id);
      this.#inHand.delete(reply.id);
      this.#hand();
      if (reply.ok) {
        job?.resolve(reply.value);
        return;
      }
      const message = reply.message === '' ? {} : { message: reply.message };
      job?.reject(new DormouseError(reply.code, { ...message, cause: reply.cause }));
    });
    const gone = (cause: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#fail(new DormouseError('internal', { cause }));
      // Who waits had no part in it: a new thread serves them.
      this.#hand();
    };
    worker.on('error', gone);
    worker.on('exit', (code) => gone(`the log's worker ended with ${code}`));
    return worker;
  }

  #fail(error: DormouseError): void {
    const jobs = [...this.#inHand.values()];
    this.#inHand.clear();
    for (const { reject } of jobs) reject(error);
  }
}

class HostedLog implements EventLog {
  readonly #host: EventLogs;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #limits: LogLimits;
  readonly #listeners = new Set<(tail: Position) => void>();
  /** As the thread told it last. Nobody else changes it, so nobody waits for the thread to read it. */
  #known: LogState | undefined;
  #closing: Promise<void> | undefined;

  constructor(host: EventLogs, clock: Clock, path: string, limits: LogLimits) {
    this.#host = host;
    this.#clock = clock;
    this.#path = path;
    this.#limits = limits;
  }

  async state(): Promise<LogState> {
    if (this.#closing !== undefined) throw new DormouseError('database_deleted');
    return this.#known ?? this.#state({ call: 'state' }, 'manage');
  }
  epochs(): Promise<readonly { readonly ordinal: number; readonly epoch: Epoch }[]> {
    return this.#call({ call: 'epochs' }, { kind: 'manage' });
  }
  checkEpoch(position: Position, epoch: Epoch): Promise<void> {
    return this.#call({ call: 'checkEpoch', position, epoch }, { kind: 'read' });
  }
  begin(history: History, lsn: Lsn): Promise<LogState> {
    return this.#state({ call: 'begin', history, lsn });
  }
  newEpoch(): Promise<LogState> {
    return this.#state({ call: 'newEpoch', nowMs: this.#clock.now() });
  }
  discardPending(): Promise<LogState> {
    return this.#state({ call: 'discardPending' });
  }
  async append(batch: AppendBatch): Promise<void> {
    for (const slice of slicesOf(batch)) {
      let state = await this.#state({ call: 'append', batch: slice });
      // What one slice brought in may outweigh what it dropped. An incomplete transaction is over the bounds until it
      // is complete.
      for (let events = -1; this.#over(state) && state.events !== events; ) {
        events = state.events;
        state = await this.#state({ call: 'trim', nowMs: this.#clock.now() });
      }
    }
  }
  tables(): Promise<readonly TableFacts[]> {
    return this.#call({ call: 'tables' }, { kind: 'manage' });
  }
  read(request: ReadRequest, signal?: AbortSignal): Promise<ReadResult> {
    return this.#call({ call: 'read', request }, { kind: 'read', signal });
  }
  hasTable(table: TableName): Promise<boolean> {
    return this.#call({ call: 'hasTable', table }, { kind: 'read' });
  }
  noteTables(text: string): Promise<void> {
    return this.#call({ call: 'noteTables', text }, { kind: 'write' });
  }
  notedTables(): Promise<NotedTables | undefined> {
    return this.#call({ call: 'notedTables' }, { kind: 'read' });
  }
  cursor(key: CursorKey): Promise<LogCursor | undefined> {
    return this.#call({ call: 'cursor', key }, { kind: 'read' });
  }
  saveCursor(key: CursorKey, position: Position): Promise<LogCursor> {
    return this.#call({ call: 'saveCursor', key, position, nowMs: this.#clock.now() }, { kind: 'read' });
  }
  deleteCursor(key: CursorKey): Promise<void> {
    return this.#call({ call: 'deleteCursor', key }, { kind: 'read' });
  }
  cursors(): Promise<readonly LogCursor[]> {
    return this.#call({ call: 'cursors' }, { kind: 'manage' });
  }
  async trim(): Promise<void> {
    const nowMs = this.#clock.now();
    let before: LogState | undefined;
    // A slice at a time, until there is nothing more to drop.
    do {
      before = this.#known;
      await this.#state({ call: 'trim', nowMs });
    } while (before === undefined || before.events !== this.#known?.events);
  }
  onAppend(listener: (tail: Position) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#host.refuse(this.#path, new DormouseError('database_deleted'));
    await this.#host.call(this.#path, this.#limits, { call: 'close' }, { kind: 'manage' });
    this.#listeners.clear();
  }

  #call<Name extends LogCallName>(
    ask: { readonly call: Name } & LogCalls[Name]['ask'],
    options: CallOptions,
  ): Promise<LogCalls[Name]['give']> {
    if (this.#closing !== undefined) return Promise.reject(new DormouseError('database_deleted'));
    return this.#host.call(this.#path, this.#limits, ask, options);
  }

  #over({ events, bytes }: LogState): boolean {
    return events > this.#limits.eventsMax || bytes > this.#limits.bytesMax;
  }

  /** A call that gives the state: tells the listeners when the tail has moved. */
  async #state<Name extends 'state' | 'begin' | 'newEpoch' | 'discardPending' | 'append' | 'trim'>(
    ask: { readonly call: Name } & LogCalls[Name]['ask'],
    kind: LogJobKind = 'write',
  ): Promise<LogState> {
    let state: LogState;
    try {
      state = await this.#call(ask, { kind });
    } catch (error) {
      // Whether it was done is not known: the next who needs it asks.
      this.#known = undefined;
      throw error;
    }
    const moved = this.#known === undefined || comparePositions(state.tail, this.#known.tail) > 0;
    this.#known = state;
    if (moved) for (const listener of this.#listeners) listener(state.tail);
    return state;
  }
}

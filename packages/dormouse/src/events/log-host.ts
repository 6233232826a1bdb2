import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Clock, DormouseError, type Epoch } from '../base/index.ts';
import type { Lsn } from '../wire/index.ts';
import type {
  AppendBatch,
  CursorKey,
  EventLog,
  History,
  LogCursor,
  LogState,
  ReadRequest,
  ReadResult,
} from './event-log.ts';
import type { LogLimits } from './log-bounds.ts';
import type { LogAsk, LogCallName, LogCalls, LogReply, LogRequest } from './log-protocol.ts';
import { comparePositions, type Position } from './position.ts';

/** Node 20 cannot run TypeScript in a worker: from src/ the built file is taken. */
function workerFile(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const built = import.meta.url.endsWith('.ts')
    ? here.replace(/([\\/])src([\\/])events([\\/])$/, '$1dist$2events$3')
    : here;
  return `${built}log-worker.js`;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The logs of one process: one worker thread for all of them, started with the first call. */
export class EventLogs {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
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

  async call<Name extends LogCallName>(
    path: string,
    limits: LogLimits,
    ask: { readonly call: Name } & LogCalls[Name]['ask'],
  ): Promise<LogCalls[Name]['give']> {
    if (this.#closed) throw new DormouseError('shutting_down');
    const worker = this.#worker ?? this.#start();
    const id = this.#nextId++;
    const request: LogRequest = { id, path, limits, ask: ask as LogAsk };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    this.#fail(new DormouseError('shutting_down'));
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(workerFile(), { name: 'dormouse-events' });
    worker.unref();
    worker.on('message', (reply: LogReply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.ok) {
        waiting?.resolve(reply.value);
        return;
      }
      const message = reply.message === '' ? {} : { message: reply.message };
      waiting?.reject(new DormouseError(reply.code, { ...message, cause: reply.cause }));
    });
    const gone = (cause: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#fail(new DormouseError('internal', { cause }));
    };
    worker.on('error', gone);
    worker.on('exit', (code) => gone(`the log's worker ended with ${code}`));
    this.#worker = worker;
    return worker;
  }

  #fail(error: DormouseError): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }
}

class HostedLog implements EventLog {
  readonly #host: EventLogs;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #limits: LogLimits;
  readonly #listeners = new Set<(tail: Position) => void>();
  #tail: Position | undefined;
  #closed = false;

  constructor(host: EventLogs, clock: Clock, path: string, limits: LogLimits) {
    this.#host = host;
    this.#clock = clock;
    this.#path = path;
    this.#limits = limits;
  }

  state(): Promise<LogState> {
    return this.#state({ call: 'state' });
  }
  epochs(): Promise<readonly { readonly ordinal: number; readonly epoch: Epoch }[]> {
    return this.#call({ call: 'epochs' });
  }
  checkEpoch(position: Position, epoch: Epoch): Promise<void> {
    return this.#call({ call: 'checkEpoch', position, epoch });
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
    await this.#state({ call: 'append', batch });
  }
  read(request: ReadRequest): Promise<ReadResult> {
    return this.#call({ call: 'read', request });
  }
  cursor(key: CursorKey): Promise<LogCursor | undefined> {
    return this.#call({ call: 'cursor', key });
  }
  saveCursor(key: CursorKey, position: Position): Promise<LogCursor> {
    return this.#call({ call: 'saveCursor', key, position, nowMs: this.#clock.now() });
  }
  deleteCursor(key: CursorKey): Promise<void> {
    return this.#call({ call: 'deleteCursor', key });
  }
  cursors(): Promise<readonly LogCursor[]> {
    return this.#call({ call: 'cursors' });
  }
  trim(): Promise<void> {
    return this.#call({ call: 'trim', nowMs: this.#clock.now() });
  }
  onAppend(listener: (tail: Position) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#host.call(this.#path, this.#limits, { call: 'close' });
    this.#closed = true;
    this.#listeners.clear();
  }

  #call<Name extends LogCallName>(
    ask: { readonly call: Name } & LogCalls[Name]['ask'],
  ): Promise<LogCalls[Name]['give']> {
    if (this.#closed) return Promise.reject(new DormouseError('database_deleted'));
    return this.#host.call(this.#path, this.#limits, ask);
  }

  /** A call that gives the state: tells the listeners when the tail has moved. */
  async #state<Name extends 'state' | 'begin' | 'newEpoch' | 'discardPending' | 'append'>(
    ask: { readonly call: Name } & LogCalls[Name]['ask'],
  ): Promise<LogState> {
    const state: LogState = await this.#call(ask);
    const moved = this.#tail === undefined || comparePositions(state.tail, this.#tail) > 0;
    if (moved) {
      this.#tail = state.tail;
      for (const listener of this.#listeners) listener(state.tail);
    }
    return state;
  }
}

import { type Clock, DormouseError, type Epoch } from '../../base/index.ts';
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
import type { LogCallName, LogCallParameters, LogCallResult, LogFileName } from './log-calls.ts';
import { comparePositions, type Position } from './position.ts';
import { slicesOf } from './slices.ts';

/** What a log needs of the thread that holds its file. */
export interface LogHost {
  /** Makes a call to the file, in the turn of its database. A signal takes the call out before the thread begins it. */
  call<Name extends LogCallName>(
    file: LogFileName,
    name: Name,
    parameters: LogCallParameters<Name>,
    signal?: AbortSignal,
  ): Promise<LogCallResult<Name>>;
  /** Fails the calls to the file that the thread has not got yet. */
  refuse(path: string, error: DormouseError): void;
}

type StateCall = {
  [Name in LogCallName]: LogCallResult<Name> extends LogState ? Name : never;
}[LogCallName];

/** One database's log, whose file is held by the log's thread. */
export class HostedLog implements EventLog {
  readonly #host: LogHost;
  readonly #clock: Clock;
  readonly #file: LogFileName;
  readonly #listeners = new Set<(tail: Position) => void>();
  /** The state as the thread gave it last. Only this log's own calls change it, so it is known without asking. */
  #known: LogState | undefined;
  #closing: Promise<void> | undefined;

  constructor(host: LogHost, clock: Clock, file: LogFileName) {
    this.#host = host;
    this.#clock = clock;
    this.#file = file;
  }

  async state(): Promise<LogState> {
    if (this.#closing !== undefined) throw new DormouseError('database_deleted');
    return this.#known ?? this.#state('state');
  }
  epochs(): Promise<readonly { readonly ordinal: number; readonly epoch: Epoch }[]> {
    return this.#call('epochs', []);
  }
  checkEpoch(position: Position, epoch: Epoch): Promise<void> {
    return this.#call('checkEpoch', [position, epoch]);
  }
  begin(history: History, lsn: Lsn): Promise<LogState> {
    return this.#state('begin', history, lsn);
  }
  newEpoch(): Promise<LogState> {
    return this.#state('newEpoch', this.#clock.now());
  }
  discardPending(): Promise<LogState> {
    return this.#state('discardPending');
  }
  async append(batch: AppendBatch): Promise<void> {
    for (const slice of slicesOf(batch)) {
      let state = await this.#state('append', slice);
      // One trim drops a bounded number of events, which may be fewer than the slice brought in. The events of an
      // incomplete transaction cannot be dropped: the log is over its bounds until the transaction is complete.
      for (let events = -1; this.#over(state) && state.events !== events; ) {
        events = state.events;
        state = await this.#state('trim', this.#clock.now());
      }
    }
  }
  tables(): Promise<readonly TableFacts[]> {
    return this.#call('tables', []);
  }
  read(request: ReadRequest, signal?: AbortSignal): Promise<ReadResult> {
    return this.#call('read', [request], signal);
  }
  hasTable(table: TableName): Promise<boolean> {
    return this.#call('hasTable', [table]);
  }
  noteTables(text: string): Promise<void> {
    return this.#call('noteTables', [text]);
  }
  notedTables(): Promise<NotedTables | undefined> {
    return this.#call('notedTables', []);
  }
  cursor(key: CursorKey): Promise<LogCursor | undefined> {
    return this.#call('cursor', [key]);
  }
  saveCursor(key: CursorKey, position: Position): Promise<LogCursor> {
    return this.#call('saveCursor', [key, position, this.#clock.now()]);
  }
  deleteCursor(key: CursorKey): Promise<void> {
    return this.#call('deleteCursor', [key]);
  }
  cursors(): Promise<readonly LogCursor[]> {
    return this.#call('cursors', []);
  }
  async trim(): Promise<void> {
    const nowMs = this.#clock.now();
    let before: LogState | undefined;
    // One call drops a bounded number of events: it is repeated until a call drops none.
    do {
      before = this.#known;
      await this.#state('trim', nowMs);
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
    this.#host.refuse(this.#file.path, new DormouseError('database_deleted'));
    await this.#host.call(this.#file, 'close', []);
    this.#listeners.clear();
  }

  #call<Name extends LogCallName>(
    name: Name,
    parameters: LogCallParameters<Name>,
    signal?: AbortSignal,
  ): Promise<LogCallResult<Name>> {
    if (this.#closing !== undefined) return Promise.reject(new DormouseError('database_deleted'));
    return this.#host.call(this.#file, name, parameters, signal);
  }

  #over({ events, bytes }: LogState): boolean {
    return events > this.#file.limits.eventsMax || bytes > this.#file.limits.bytesMax;
  }

  /** Makes a call that gives the state, and tells the listeners when the tail has moved. */
  async #state<Name extends StateCall>(name: Name, ...parameters: LogCallParameters<Name>): Promise<LogState> {
    let state: LogState;
    try {
      state = await this.#call(name, parameters);
    } catch (error) {
      // The call may or may not have been done: the next caller of `state` asks the thread.
      this.#known = undefined;
      throw error;
    }
    const moved = this.#known === undefined || comparePositions(state.tail, this.#known.tail) > 0;
    this.#known = state;
    if (moved) for (const listener of this.#listeners) listener(state.tail);
    return state;
  }
}

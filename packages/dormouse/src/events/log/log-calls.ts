import type { Epoch } from '../../base/index.ts';
import type {
  AppendBatch,
  CursorKey,
  History,
  LogCursor,
  LogState,
  NotedTables,
  ReadRequest,
  ReadResult,
  TableFacts,
  TableName,
} from './event-log.ts';
import type { CallKind } from './fair-queue.ts';
import type { LogLimits } from './log-bounds.ts';
import type { Position } from './position.ts';

/** Every call that the main thread makes to one log file. Times are those of the main thread's clock. */
export type LogFileCalls = {
  state(): LogState;
  epochs(): readonly { readonly ordinal: number; readonly epoch: Epoch }[];
  checkEpoch(position: Position, epoch: Epoch): void;
  begin(history: History, lsn: bigint): LogState;
  newEpoch(nowMs: number): LogState;
  discardPending(): LogState;
  tables(): readonly TableFacts[];
  append(batch: AppendBatch): LogState;
  read(request: ReadRequest): ReadResult;
  hasTable(table: TableName): boolean;
  noteTables(text: string): void;
  notedTables(): NotedTables | undefined;
  cursor(key: CursorKey): LogCursor | undefined;
  saveCursor(key: CursorKey, position: Position, nowMs: number): LogCursor;
  deleteCursor(key: CursorKey): void;
  cursors(): readonly LogCursor[];
  trim(nowMs: number): LogState;
  close(): void;
};

export type LogCallName = keyof LogFileCalls;

/** The kind of turn that each call takes in the log's thread; see {@link QueuedCall}. */
export const LOG_CALL_KINDS: Readonly<Record<LogCallName, CallKind>> = {
  state: 'manage',
  epochs: 'manage',
  checkEpoch: 'read',
  begin: 'write',
  newEpoch: 'write',
  discardPending: 'write',
  tables: 'manage',
  append: 'write',
  read: 'read',
  hasTable: 'read',
  noteTables: 'write',
  notedTables: 'read',
  cursor: 'read',
  saveCursor: 'read',
  deleteCursor: 'read',
  cursors: 'manage',
  trim: 'write',
  close: 'manage',
};

/** A log file, as every call names it: the file is opened with these limits if it is not open. */
export interface LogFileName {
  readonly path: string;
  readonly limits: LogLimits;
}

/** The calls of the log's thread, which holds the files of many databases: each call names its file first. */
export type LogCalls = {
  [Name in LogCallName]: (
    file: LogFileName,
    ...parameters: Parameters<LogFileCalls[Name]>
  ) => ReturnType<LogFileCalls[Name]>;
};

export type LogCallParameters<Name extends LogCallName> = Parameters<LogFileCalls[Name]>;
export type LogCallResult<Name extends LogCallName> = ReturnType<LogCalls[Name]>;

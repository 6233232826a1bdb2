import type { Epoch, ErrorCode } from '../../base/index.ts';
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
import type { LogLimits } from './log-bounds.ts';
import type { Position } from './position.ts';

/** What the main thread may ask of a log file, and what it gets. */
export interface LogCalls {
  state: { ask: Record<never, never>; give: LogState };
  epochs: { ask: Record<never, never>; give: readonly { readonly ordinal: number; readonly epoch: Epoch }[] };
  checkEpoch: { ask: { position: Position; epoch: Epoch }; give: undefined };
  begin: { ask: { history: History; lsn: bigint }; give: LogState };
  newEpoch: { ask: { nowMs: number }; give: LogState };
  discardPending: { ask: Record<never, never>; give: LogState };
  tables: { ask: Record<never, never>; give: readonly TableFacts[] };
  append: { ask: { batch: AppendBatch }; give: LogState };
  read: { ask: { request: ReadRequest }; give: ReadResult };
  hasTable: { ask: { table: TableName }; give: boolean };
  noteTables: { ask: { text: string }; give: undefined };
  notedTables: { ask: Record<never, never>; give: NotedTables | undefined };
  cursor: { ask: { key: CursorKey }; give: LogCursor | undefined };
  saveCursor: { ask: { key: CursorKey; position: Position; nowMs: number }; give: LogCursor };
  deleteCursor: { ask: { key: CursorKey }; give: undefined };
  cursors: { ask: Record<never, never>; give: readonly LogCursor[] };
  trim: { ask: { nowMs: number }; give: LogState };
  close: { ask: Record<never, never>; give: undefined };
}

export type LogCallName = keyof LogCalls;
export type LogAsk = { [Name in LogCallName]: { readonly call: Name } & LogCalls[Name]['ask'] }[LogCallName];

export interface LogRequest {
  readonly id: number;
  readonly path: string;
  readonly limits: LogLimits;
  readonly ask: LogAsk;
}

export type LogReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number;
      readonly ok: false;
      readonly code: ErrorCode;
      readonly message: string;
      readonly cause: string;
    };

import type { Epoch } from '../../base/index.ts';
import type { Lsn } from '../../wire/index.ts';
import type { Position } from './position.ts';

export interface ColumnDefinition {
  readonly name: string;
  readonly typeOid: number;
  /**
   * Part of the key. As written: false for every column of a table without a key. As read: true for every column of a
   * table that still has none.
   */
  readonly key: boolean;
  /** An array of a type that the database defines itself, such as an enum, whose OID is not known here. */
  readonly list?: true;
}

/**
 * The columns of a table as they were when its events were written. `ancestors` and `partition` are as they are now; a
 * table that had no key then has the first key that it was given later.
 */
export interface RelationDefinition {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly ColumnDefinition[];
  /** The tables that this one is a partition of or inherits from, nearest first; absent: none. */
  readonly ancestors?: readonly TableName[];
  /**
   * The table is a partition: its rows count as rows of the root, the last of its ancestors. The rows of a table that
   * inherits count as its own.
   */
  readonly partition?: true;
}

/**
 * Facts of a table that do not depend on its columns at the time of an event. Rows that were written before the table
 * had a key have its first key: a restore loads the rows first and adds the key last, and a row must not change its
 * key.
 */
export interface TableFacts extends TableName {
  /** The columns of the table's first key; null: it has had none yet. */
  readonly key: readonly string[] | null;
  readonly ancestors: readonly TableName[];
  readonly partition?: true;
}

/** `gap`: events may be missing before this one, in every table; readers have to read their state anew. */
export type Operation = 'insert' | 'update' | 'delete' | 'truncate' | 'gap';

/** A value that is not known: an unchanged TOASTed value without the old row, or a column outside the key. */
export const UNKNOWN = 0;
/** A value that was too large for an event. */
export const OMITTED = 1;
/** A row by column position: text, null for NULL, or the reason why there is no value. */
export type Row = readonly (string | null | typeof UNKNOWN | typeof OMITTED)[];

/** One change as capture gives it. */
export interface NewEvent {
  /** Index into the batch's `relations`; -1 for a gap. */
  readonly relation: number;
  readonly operation: Operation;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

/** One transaction, or a piece of one. */
export interface NewTransaction {
  /** Orders transactions; no two have the same: where in the server's WAL the transaction before had ended. */
  readonly lsn: Lsn;
  readonly xid: number;
  readonly committedAtMs: number;
  /** Index of the first event in the transaction: 0 unless pieces of it went before. */
  readonly firstIndex: number;
  readonly events: readonly NewEvent[];
}

export interface AppendBatch {
  readonly relations: readonly RelationDefinition[];
  /** Tables whose facts have changed. */
  readonly tables?: readonly TableFacts[];
  readonly transactions: readonly NewTransaction[];
  /**
   * Where capture goes on after this batch; stored with the events in one SQLite transaction. Undefined while the last
   * transaction is incomplete: its events stay invisible, and are dropped unless a later batch completes it.
   */
  readonly endLsn: Lsn | undefined;
}

/** The server history that an epoch belongs to. */
export interface History {
  readonly systemId: string;
  readonly timeline: number;
  /** The output plugin of the epoch's slot; absent: the plugin of versions that did not record it. */
  readonly plugin?: string;
}

export interface LogState {
  readonly epoch: Epoch;
  readonly ordinal: number;
  /** Undefined until the epoch's slot is known to exist. */
  readonly history: History | undefined;
  /** Commit end LSN up to which everything is in the log. */
  readonly storedLsn: Lsn | undefined;
  /** The last visible event, or the last dropped one if none is left. */
  readonly tail: Position;
  /** The last event that was dropped: no event at or before it can be read. */
  readonly floor: Position;
  readonly events: number;
  readonly bytes: number;
}

export interface StoredEvent {
  readonly position: Position;
  readonly epoch: Epoch;
  readonly xid: number;
  readonly committedAtMs: number;
  readonly operation: Operation;
  /** Undefined for a gap. */
  readonly relation: RelationDefinition | undefined;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

export interface ReadRequest {
  readonly after: Position;
  /** At most this many events. */
  readonly limit: number;
  /** Give also an event that alone is more than one read gives. Otherwise the read ends before such an event. */
  readonly large?: boolean;
  /** Only these tables' events, and gaps. Absent: all. */
  readonly tables?: readonly TableName[];
}

export interface ReadResult {
  readonly events: readonly StoredEvent[];
  /** Everything up to here was read, also if no event was of a wanted table: where the next read starts. */
  readonly upTo: Position;
  /** No visible event lies behind `upTo`. */
  readonly atTail: boolean;
  /** The next event has to be asked for with `large`. */
  readonly largeNext: boolean;
}

/** The tables that there were when the server went to rest, as the text that was noted, and where the log was then. */
export interface NotedTables {
  readonly text: string;
  readonly storedLsn: Lsn;
}

/** The identity of a cursor: the subscriber's protocol, what it reads, its name. */
export interface CursorKey {
  readonly kind: 'pulse' | 'stream';
  readonly subject: string;
  readonly name: string;
}

export interface LogCursor {
  readonly key: CursorKey;
  readonly position: Position;
  readonly updatedAtMs: number;
}

/**
 * The durable, ordered events of one database. Every method is asynchronous: the file lives in a worker thread.
 * Every method may fail with `disk_full`, `data_unusable`, `data_version`, `database_deleted` (closed).
 */
export interface EventLog {
  state(): Promise<LogState>;
  /** All epochs of this log, by ordinal. */
  epochs(): Promise<readonly { readonly ordinal: number; readonly epoch: Epoch }[]>;
  /** Fails with `stream_gone` unless the epoch of an offset is one of this log. */
  checkEpoch(position: Position, epoch: Epoch): Promise<void>;
  /** Records that the epoch's slot exists on that history and that capture starts at `lsn`. */
  begin(history: History, lsn: Lsn): Promise<LogState>;
  /** The old history is lost: a new epoch begins, with a gap event unless the log has never held an event. */
  newEpoch(): Promise<LogState>;
  /** Drops the events of a transaction that was not completed. */
  discardPending(): Promise<LogState>;
  append(batch: AppendBatch): Promise<void>;
  /** What is known of the tables that have events. */
  tables(): Promise<readonly TableFacts[]>;
  /**
   * Events behind `after`, in order. Fails with `stream_gone` when `after` lies before the kept events, with
   * `queue_full` when too many reads of this database wait, and with the reason of `signal` when the signal fires
   * before the read has begun.
   */
  read(request: ReadRequest, signal?: AbortSignal): Promise<ReadResult>;
  /** True if a table of this name, or a part of it, has ever left an event. */
  hasTable(table: TableName): Promise<boolean>;
  /** Notes the tables, in place of those that were noted before. */
  noteTables(text: string): Promise<void>;
  notedTables(): Promise<NotedTables | undefined>;
  cursor(key: CursorKey): Promise<LogCursor | undefined>;
  /** Creates or moves a cursor. Fails with `quota_exceeded` when there are too many. A cursor never moves back. */
  saveCursor(key: CursorKey, position: Position): Promise<LogCursor>;
  deleteCursor(key: CursorKey): Promise<void>;
  cursors(): Promise<readonly LogCursor[]>;
  /** Drops events that are too old. The bounds of count and bytes are kept by every append. */
  trim(): Promise<void>;
  /** Calls `listener` after every append that made events visible, until the function that it returns is called. */
  onAppend(listener: (tail: Position) => void): () => void;
  close(): Promise<void>;
}

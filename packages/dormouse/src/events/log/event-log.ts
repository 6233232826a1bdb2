import type { Epoch } from '../../base/index.ts';
import type { Lsn } from '../../wire/index.ts';
import type { Position } from './position.ts';

export interface ColumnDefinition {
  readonly name: string;
  readonly typeOid: number;
  /** Part of the key. Written, none is where the table had no key; read, all are where it still has none. */
  readonly key: boolean;
  /** An array of a type of the database's own (an enum): its OID says nothing. */
  readonly list?: true;
}

/**
 * A table as it was when its events were written; what it is a part of is as it is now, and its first key stands for
 * none.
 */
export interface RelationDefinition {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly ColumnDefinition[];
  /** The tables that it is a partition of or inherits from, nearest first; absent: none. */
  readonly ancestors?: readonly TableName[];
  /** It is a partition: its rows are its root's, the last of its ancestors. An heir's rows are its own. */
  readonly partition?: true;
}

/**
 * What holds of a table whatever its columns were. Its first key is that of the rows too that were written before there
 * was one: a restore loads rows first and adds the key last, and each row has one key all the same.
 */
export interface TableFacts extends TableName {
  /** The columns of the first key that it had; null: none yet. */
  readonly key: readonly string[] | null;
  readonly ancestors: readonly TableName[];
  readonly partition?: true;
}

/** `gap`: events may be missing before this one; the readers' state is to be read anew. It concerns every table. */
export type Operation = 'insert' | 'update' | 'delete' | 'truncate' | 'gap';

/** A value that is not known: an unchanged TOASTed one without the old row, or a column outside the key. */
export const UNKNOWN = 0;
/** A value that was too large for an event. */
export const OMITTED = 1;
/** A row by column position: text, null for NULL, or why there is neither. */
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
  /** Orders transactions, each by one of its own: where in the server's WAL the one before had ended. */
  readonly lsn: Lsn;
  readonly xid: number;
  readonly committedAtMs: number;
  /** Index of the first event in the transaction: 0 unless pieces of it went before. */
  readonly firstIndex: number;
  readonly events: readonly NewEvent[];
}

export interface AppendBatch {
  readonly relations: readonly RelationDefinition[];
  /** Tables of which something else holds from now on. */
  readonly tables?: readonly TableFacts[];
  readonly transactions: readonly NewTransaction[];
  /**
   * Where capture goes on after this batch; stored with the events in one SQLite transaction. Undefined while the last
   * transaction is incomplete: its events stay invisible, and vanish unless a later batch completes it.
   */
  readonly endLsn: Lsn | undefined;
}

/** Which server's history an epoch belongs to. */
export interface History {
  readonly systemId: string;
  readonly timeline: number;
  /** The output plugin of its slot; absent: the one of versions that did not say so. */
  readonly plugin?: string;
}

export interface LogState {
  readonly epoch: Epoch;
  readonly ordinal: number;
  /** Undefined until the epoch's slot is known to exist. */
  readonly history: History | undefined;
  /** Commit end LSN up to which everything is in the log. */
  readonly storedLsn: Lsn | undefined;
  /** The last visible event, or where retention last cut. */
  readonly tail: Position;
  /** The last event that was dropped: nothing at or before it can be read. */
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
  /** Also an event that alone is more than one read gives; else the read ends before it. */
  readonly large?: boolean;
  /** Only these tables' events, and gaps. Absent: all. */
  readonly tables?: readonly TableName[];
}

export interface ReadResult {
  readonly events: readonly StoredEvent[];
  /** Read up to here: where the next read starts, also when the filter let nothing through. */
  readonly upTo: Position;
  /** Nothing visible lies behind `upTo`. */
  readonly atTail: boolean;
  /** The next event is to be asked for with `large`. */
  readonly largeNext: boolean;
}

/** The tables that there were when the server went to rest, as text of their reader's; where the log was then. */
export interface NotedTables {
  readonly text: string;
  readonly storedLsn: Lsn;
}

/** Identity of a subscriber's place: its protocol, what it reads, its name. */
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
 * The durable, ordered events of one database. Async from the start: the file lives in a worker thread.
 * Every method may fail with `disk_full`, `data_unusable`, `data_version`, `database_deleted` (closed).
 */
export interface EventLog {
  state(): Promise<LogState>;
  /** All epochs of this log, by ordinal. */
  epochs(): Promise<readonly { readonly ordinal: number; readonly epoch: Epoch }[]>;
  /** Whether an offset's epoch is one of this log; `stream_gone` if not. */
  checkEpoch(position: Position, epoch: Epoch): Promise<void>;
  /** Records that the epoch's slot exists on that history and that capture starts at `lsn`. */
  begin(history: History, lsn: Lsn): Promise<LogState>;
  /** The old history is lost: a new epoch, opened by a gap event unless the log never held anything. */
  newEpoch(): Promise<LogState>;
  /** Drops events of a transaction that was never completed. */
  discardPending(): Promise<LogState>;
  append(batch: AppendBatch): Promise<void>;
  /** What is known of the tables that have events. */
  tables(): Promise<readonly TableFacts[]>;
  /**
   * Events behind `after` in order. Fails with `stream_gone` when `after` lies before what is kept, with `queue_full`
   * when too many of this database wait, and with the reason of `signal` when that fires before it is begun.
   */
  read(request: ReadRequest, signal?: AbortSignal): Promise<ReadResult>;
  /** Whether a table of this name, or a part of it, has ever left an event. */
  hasTable(table: TableName): Promise<boolean>;
  /** Keeps them in place of what was noted before. */
  noteTables(text: string): Promise<void>;
  notedTables(): Promise<NotedTables | undefined>;
  cursor(key: CursorKey): Promise<LogCursor | undefined>;
  /** Creates or moves a cursor. Fails with `quota_exceeded` when there are too many. A cursor never moves back. */
  saveCursor(key: CursorKey, position: Position): Promise<LogCursor>;
  deleteCursor(key: CursorKey): Promise<void>;
  cursors(): Promise<readonly LogCursor[]>;
  /** Drops what is too old. Appending keeps the bounds of count and bytes by itself. */
  trim(): Promise<void>;
  /** Calls `listener` after every append that made events visible; the result takes it back. */
  onAppend(listener: (tail: Position) => void): () => void;
  close(): Promise<void>;
}

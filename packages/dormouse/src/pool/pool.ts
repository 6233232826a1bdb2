import type { Cancellation, Deadline, Timings } from '../base/index.ts';
import type { FieldDescription, ParameterValue } from '../wire/index.ts';

export type { ParameterValue };

/** How a session writes dates, where it does not write them as ISO. */
export interface DateFormat {
  /** Which of the numbers in 01/02/2024 comes first. */
  readonly order: 'DMY' | 'MDY' | 'YMD';
  /** The session's TimeZone; such a date has only its abbreviation. */
  readonly timeZone: string;
}

/** The result of one statement. */
export interface StatementResult {
  readonly fields: readonly FieldDescription[];
  /**
   * The payloads of the DataRow messages, in order, undecoded (text format): an int16 count, then for each value an
   * int32 length and the bytes.
   */
  readonly rows: readonly Uint8Array[];
  /** CommandComplete's tag, such as `INSERT 0 1`. */
  readonly commandTag: string;
  /**
   * The count at the end of the tag, or 0. For several statements sent as one text (`simple`) it is 0, as in the
   * drivers of Node.js.
   */
  readonly affectedRows: number;
  /** Set if dates were written otherwise than as ISO, both before and after the statement. */
  readonly dates?: DateFormat | undefined;
}

export interface AcquireOptions {
  readonly deadline: Deadline;
  /** Gets the times `wake` and `queue`. */
  readonly timings?: Timings;
  /** The caller leaves the queue when this fires. */
  readonly cancellation?: Cancellation;
  /**
   * The key of the caller. Keys that wait are served in turn, and the callers of one key in the order in which they
   * came.
   */
  readonly key?: string | undefined;
}

/** The bytes of rows that several statements may still read together. */
export interface RowBudget {
  left: number;
}

export interface ExecuteOptions {
  /** Type OIDs by position; 0 or absent lets Postgres infer. */
  readonly parameterTypes?: readonly number[];
  readonly deadline?: Deadline;
  readonly cancellation?: Cancellation;
  /** Stops reading and throws `reply_too_large` once the rows exceed this many bytes. */
  readonly rowBytesMax?: number;
  /** The same bound for several statements together; counted down as rows arrive. */
  readonly rowBudget?: RowBudget;
  /**
   * May be sent while other pipelined statements are under way, so that they share one way to the server and back. Each
   * statement stands for itself: one that fails leaves the others alone, except inside a transaction, where Postgres
   * refuses the statements behind a failure. One that is cancelled or times out takes the statements behind it along.
   * Only for statements that read.
   */
  readonly pipelined?: boolean;
  /**
   * Runs by the simple protocol: the text may hold several statements, none of which takes parameters. Gives the result
   * of the last one.
   */
  readonly simple?: boolean;
  /**
   * A statement without values or rows, such as BEGIN, that is sent first, in the same write. If it fails, the other
   * statement is not run.
   */
  readonly before?: string | undefined;
}

/** The right to one server connection, until `release`. */
export interface Lease {
  /**
   * Runs one statement by the extended protocol; parameters go as text unless they are bytes. A Postgres error throws
   * `PostgresError` (wire/) and leaves the connection usable. After `deadline` the statement is cancelled in Postgres
   * and `query_timeout` is thrown. A session that Postgres ended throws the FATAL error that Postgres sent; a session
   * that ended with its server, or without an error, throws `database_stopped` or `database_crashed`.
   */
  execute(sql: string, parameters: readonly ParameterValue[], options?: ExecuteOptions): Promise<StatementResult>;
  /** Runs a script of several statements by the simple protocol; gives the last result. */
  script(sql: string, options?: { readonly deadline?: Deadline }): Promise<StatementResult>;
  /** 'I': idle; 'T': in a transaction; 'E': in a failed transaction (the last ReadyForQuery). */
  readonly transactionStatus: 'I' | 'T' | 'E';
  /** False once the connection is gone, and the transaction with it. */
  readonly usable: boolean;
  /**
   * Gives the connection back. A connection that is inside a transaction is rolled back first; a broken one is dropped.
   * Idempotent.
   */
  release(): void;
}

/** The server connections of one database and role. */
export interface Pool {
  /**
   * Wakes the database if necessary. Fails with `queue_full`, `connection_timeout`, and what `Instance.hold` fails
   * with.
   */
  acquire(options: AcquireOptions): Promise<Lease>;
  /**
   * Asks for one text over an idle connection, without a hold: for a last question before the server is suspended or
   * stopped, while it still runs. Never rejects: undefined if no connection is idle, or if no answer comes.
   */
  askIdle(sql: string): Promise<string | undefined>;
  readonly stats: { readonly open: number; readonly idle: number; readonly leased: number; readonly waiting: number };
  close(): Promise<void>;
}

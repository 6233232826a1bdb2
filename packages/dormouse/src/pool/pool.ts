import type { Cancellation, Deadline, Timings } from '../base/index.ts';
import type { FieldDescription, ParameterValue } from '../wire/index.ts';

export type { ParameterValue };

/** How a session writes dates, where that is not ISO. */
export interface DateFormat {
  /** Which of the numbers in 01/02/2024 comes first. */
  readonly order: 'DMY' | 'MDY' | 'YMD';
  /** The session's TimeZone, of which such a form has the abbreviation. */
  readonly timeZone: string;
}

/** What one statement gave. */
export interface StatementResult {
  readonly fields: readonly FieldDescription[];
  /**
   * The payloads of the DataRow messages, in order, undecoded (text format): int16 count, then int32 length and bytes
   * each.
   */
  readonly rows: readonly Uint8Array[];
  /** CommandComplete's tag, such as `INSERT 0 1`. */
  readonly commandTag: string;
  /**
   * The count at the end of the tag, or 0; of several statements asked for as one (`simple`) 0, as with the drivers
   * that people use.
   */
  readonly affectedRows: number;
  /** Set if dates were not in the form ISO, before and after the statement. */
  readonly dates?: DateFormat | undefined;
}

export interface AcquireOptions {
  readonly deadline: Deadline;
  /** Gets `wake` and `queue`. */
  readonly timings?: Timings;
  /** Leaves the queue when it fires. */
  readonly cancellation?: Cancellation;
  /** Whose request it is: keys that wait are served in turn, the callers of one key in order of arrival. */
  readonly key?: string | undefined;
}

/** Bytes of rows that some statements may still read, all of them together. */
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
  /** The same for several statements; counted down as rows arrive. */
  readonly rowBudget?: RowBudget;
  /**
   * May be sent while other pipelined statements are under way, so that they share a way to the server and back. Each
   * stands for itself: one that fails leaves the others (but inside a transaction, where Postgres refuses what comes
   * behind a failure), one that is cancelled or times out takes those behind it along. For statements that only read.
   */
  readonly pipelined?: boolean;
  /**
   * By the simple protocol: the text may be several statements, none of which takes parameters. Gives the last one's
   * result.
   */
  readonly simple?: boolean;
  /**
   * A statement without values or rows, such as BEGIN, that is sent in front, in the same write. If it fails, the other
   * is not run.
   */
  readonly before?: string | undefined;
}

/** The right to one server connection, until `release`. */
export interface Lease {
  /**
   * Runs one statement by the extended protocol; parameters as text unless bytes. A Postgres error throws
   * `PostgresError` (wire/) and leaves the connection usable. Past `deadline` the statement is cancelled in Postgres
   * and `query_timeout` is thrown. A session that Postgres ended throws the FATAL that it said; one that ended with its
   * server, or without a word, `database_stopped` or `database_crashed`.
   */
  execute(sql: string, parameters: readonly ParameterValue[], options?: ExecuteOptions): Promise<StatementResult>;
  /** Runs a script of several statements by the simple protocol; gives the last result. */
  script(sql: string, options?: { readonly deadline?: Deadline }): Promise<StatementResult>;
  /** 'I' idle, 'T' in a transaction, 'E' in a failed one (the last ReadyForQuery). */
  readonly transactionStatus: 'I' | 'T' | 'E';
  /** False once the connection is gone, and its transaction with it. */
  readonly usable: boolean;
  /**
   * Gives the connection back. One that is inside a transaction is rolled back first; one that is broken is dropped.
   * Idempotent.
   */
  release(): void;
}

/** Server connections of one database and role. */
export interface Pool {
  /**
   * Wakes the database if need be. Fails with `queue_full`, `connection_timeout`, and what `Instance.hold` fails with.
   */
  acquire(options: AcquireOptions): Promise<Lease>;
  /**
   * Asks for one text over a connection that lies idle, without a hold: for last words before a rest, while the server
   * still runs. Never rejects: undefined if no connection lies idle, or there is no answer.
   */
  askIdle(sql: string): Promise<string | undefined>;
  readonly stats: { readonly open: number; readonly idle: number; readonly leased: number; readonly waiting: number };
  close(): Promise<void>;
}

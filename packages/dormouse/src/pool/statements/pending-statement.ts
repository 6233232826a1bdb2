import { type Cancellation, DormouseError } from '../../base/index.ts';
import { affectedRowsOf, type FieldDescription, type PostgresError } from '../../wire/index.ts';
import type { DateFormat, ExecuteOptions, ParameterValue, RowBudget, StatementResult } from '../pool.ts';
import type { CachedStatement } from './statement-cache.ts';

export const NO_FIELDS: readonly FieldDescription[] = [];
const NO_TYPES: readonly number[] = [];
const IGNORE = (): void => {};

/** Which of the statements that were sent together the server works on. */
export type Part = 'before' | 'main';

/**
 * One statement that a caller waits for, and its result as it grows. It is a class, so that a query makes no closures
 * of its own.
 */
export class PendingStatement {
  readonly sql: string;
  /** Undefined for a script by the simple protocol. */
  readonly parameters: readonly ParameterValue[] | undefined;
  readonly types: readonly number[];
  readonly deadlineAtMs: number;
  readonly cancellation: Cancellation | undefined;
  readonly budget: RowBudget;
  /** A statement that is sent first, such as BEGIN; if it fails, this one is not run. */
  readonly before: string | undefined;
  /** The text may hold several statements (see `ExecuteOptions.simple`). */
  readonly simple: boolean;
  /** A statement of the pool's own: it changes nothing that a caller could see. */
  own = false;
  /** May be sent while other pipelined statements are under way. */
  readonly pipelined: boolean;
  readonly promise: Promise<StatementResult>;
  resolve!: (result: StatementResult) => void;
  reject!: (error: Error) => void;

  part: Part = 'main';
  /** The server has sent a message that belongs to this statement. */
  touched = false;
  /** The statement was sent a second time, because the server had lost or outdated its prepared statement. */
  resent = false;
  /** Sent under a name that the server had parsed before. */
  reused = false;
  /** The server has taken the parameters: from here on it executes the statement. */
  bound = false;
  /** The statement was sent outside a transaction. */
  outside = true;
  statement: CachedStatement | undefined;
  beforeStatement: CachedStatement | undefined;
  fields: readonly FieldDescription[] = NO_FIELDS;
  rows: Uint8Array[] = [];
  tag = '';
  /** The number of statements that have run: a script may hold several. */
  ran = 0;
  error: PostgresError | undefined;
  /** How dates were written when the server began to work on this statement. */
  datesBefore: DateFormat | undefined;
  /** Rows of the result were dropped. */
  cut = false;
  /** Why the pool stopped the statement. */
  stopped: DormouseError | undefined;
  /** Stops listening to the caller's cancellation. */
  detach: () => void = IGNORE;

  constructor(sql: string, parameters: readonly ParameterValue[] | undefined, options: ExecuteOptions | undefined) {
    this.sql = sql;
    this.parameters = parameters;
    this.types = options?.parameterTypes ?? NO_TYPES;
    this.deadlineAtMs = options?.deadline?.atMs ?? Number.POSITIVE_INFINITY;
    this.cancellation = options?.cancellation;
    this.budget = options?.rowBudget ?? { left: options?.rowBytesMax ?? Number.POSITIVE_INFINITY };
    this.before = options?.before;
    this.simple = options?.simple === true;
    this.pipelined = options?.pipelined === true && parameters !== undefined && this.before === undefined;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Prepares the statement for being sent, for the first time or again. */
  begin(outside: boolean): void {
    this.outside = outside;
    this.part = this.before === undefined ? 'main' : 'before';
    this.bound = false;
    this.error = undefined;
    this.ran = 0;
    this.clearResult();
  }

  /** Forgets the result so far: for the next statement of a script, or another try. */
  clearResult(): void {
    this.fields = NO_FIELDS;
    this.rows = [];
    this.tag = '';
  }

  /** Rejects the caller's promise. */
  fail(error: Error): void {
    this.detach();
    this.reject(error);
  }

  /**
   * Settles the caller's promise with what the server answered. A statement that the pool stopped may have completed
   * before the stop.
   */
  settle(datesAfter: DateFormat | undefined): void {
    const { error, stopped, cut, fields, rows, tag, ran, simple } = this;
    if (stopped !== undefined && (error !== undefined || cut)) this.fail(stopped);
    else if (error !== undefined) this.fail(error);
    else {
      this.detach();
      const before = this.datesBefore;
      // Where the statement itself changed the form, some rows have one form and some the other.
      const steady = before?.order === datesAfter?.order && before?.timeZone === datesAfter?.timeZone;
      this.resolve({
        fields,
        rows,
        commandTag: tag,
        affectedRows: simple && ran > 1 ? 0 : affectedRowsOf(tag),
        dates: steady ? datesAfter : undefined,
      });
    }
  }
}

/** The reason for a statement that is stopped because the one before it is: both belong to one operation. */
export function stoppedWith(reason: DormouseError): DormouseError {
  return reason.code === 'reply_too_large' ? new DormouseError('interrupted') : reason;
}

import { type Cancellation, DormouseError } from '../../base/index.ts';
import { affectedRowsOf, type FieldDescription, type PostgresError } from '../../wire/index.ts';
import type { DateFormat, ExecuteOptions, ParameterValue, RowBudget, StatementResult } from '../pool.ts';
import type { CachedStatement } from './statement-cache.ts';

export const NO_FIELDS: readonly FieldDescription[] = [];
const NO_TYPES: readonly number[] = [];
const IGNORE = (): void => {};

/** Which of the statements that went out together the server is at. */
export type Part = 'before' | 'main';

/**
 * One statement on its way through a backend, and its result as it grows. A class, so that a query makes no closures of
 * its own.
 */
export class PendingStatement {
  readonly sql: string;
  /** Undefined for a script by the simple protocol. */
  readonly parameters: readonly ParameterValue[] | undefined;
  readonly types: readonly number[];
  readonly deadlineAtMs: number;
  readonly cancellation: Cancellation | undefined;
  readonly budget: RowBudget;
  /** A statement that goes out in front, such as BEGIN; if it fails, this one is not run. */
  readonly before: string | undefined;
  /** Asked for as a statement that may be several. */
  readonly simple: boolean;
  /** Of the pool itself: it changes nothing that anybody is to see. */
  own = false;
  /** May be sent while others of its kind are under way. */
  readonly pipelined: boolean;
  readonly promise: Promise<StatementResult>;
  resolve!: (result: StatementResult) => void;
  reject!: (error: Error) => void;

  part: Part = 'main';
  /** A message of the server's belongs to this request. */
  touched = false;
  /** Sent again once because the server had lost or outdated its prepared statement. */
  resent = false;
  /** Sent under a name that the server had parsed before. */
  reused = false;
  /** The server has taken the parameters: from here on it executes. */
  bound = false;
  /** It began outside a transaction. */
  outside = true;
  statement: CachedStatement | undefined;
  beforeStatement: CachedStatement | undefined;
  fields: readonly FieldDescription[] = NO_FIELDS;
  rows: Uint8Array[] = [];
  tag = '';
  /** Statements that have run: a script may hold several. */
  ran = 0;
  error: PostgresError | undefined;
  /** How dates were written when the server began to work on it. */
  datesBefore: DateFormat | undefined;
  /** Rows of it were dropped. */
  cut = false;
  /** Why we stopped it. */
  stopped: DormouseError | undefined;
  /** Takes back the caller's cancellation. */
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

  /** Gets ready to be sent, for the first time or again. */
  begin(outside: boolean): void {
    this.outside = outside;
    this.part = this.before === undefined ? 'main' : 'before';
    this.bound = false;
    this.error = undefined;
    this.ran = 0;
    this.clearResult();
  }

  /** Forgets the result so far: the next statement of a script, or another try. */
  clearResult(): void {
    this.fields = NO_FIELDS;
    this.rows = [];
    this.tag = '';
  }

  /** Tells the caller how it failed. */
  fail(error: Error): void {
    this.detach();
    this.reject(error);
  }

  /** Tells the caller how it ended on the server. What we stopped may have ended well before that. */
  settle(datesAfter: DateFormat | undefined): void {
    const { error, stopped, cut, fields, rows, tag, ran, simple } = this;
    if (stopped !== undefined && (error !== undefined || cut)) this.fail(stopped);
    else if (error !== undefined) this.fail(error);
    else {
      this.detach();
      const before = this.datesBefore;
      // Changed by the statement itself: of some rows one holds, of some the other.
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

/** Stopped because the one before it was: both belong to one operation. */
export function stoppedWith(reason: DormouseError): DormouseError {
  return reason.code === 'reply_too_large' ? new DormouseError('interrupted') : reason;
}

import type { DormouseError } from '../base/index.ts';
import type { FieldDescription, PostgresError } from '../wire/index.ts';
import type { ParameterValue, StatementResult } from './pool.ts';
import type { CachedStatement } from './statement-cache.ts';

export const NO_FIELDS: readonly FieldDescription[] = [];
const IGNORE = (): void => {};

/** One statement on its way through a backend, and its result as it grows. A class, so that a query makes no closures of its own. */
export class Request {
  readonly sql: string;
  /** Undefined for a script by the simple protocol. */
  readonly parameters: readonly ParameterValue[] | undefined;
  readonly types: readonly number[];
  readonly deadlineAtMs: number;
  readonly rowBytesMax: number;
  readonly promise: Promise<StatementResult>;
  resolve!: (result: StatementResult) => void;
  reject!: (error: Error) => void;

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
  fields: readonly FieldDescription[] = NO_FIELDS;
  rows: Uint8Array[] = [];
  rowBytes = 0;
  tag = '';
  error: PostgresError | undefined;
  /** Why we stopped it. */
  stopped: DormouseError | undefined;
  /** Takes back the caller's cancellation. */
  detach: () => void = IGNORE;

  constructor(
    sql: string,
    parameters: readonly ParameterValue[] | undefined,
    types: readonly number[],
    deadlineAtMs: number,
    rowBytesMax: number,
  ) {
    this.sql = sql;
    this.parameters = parameters;
    this.types = types;
    this.deadlineAtMs = deadlineAtMs;
    this.rowBytesMax = rowBytesMax;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Forgets the result so far: the next statement of a script, or another try. */
  clearResult(): void {
    this.fields = NO_FIELDS;
    this.rows = [];
    this.tag = '';
  }
}

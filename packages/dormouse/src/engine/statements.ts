import type { SqlQuery, SqlQueryable, SqlResultSet } from '@prisma/driver-adapter-utils';
import { type Cancellation, type Clock, type Deadline, DormouseError, type Role, type Timings } from '../base/index.ts';
import type { Lease, ParameterValue, Pool, RowBudget, StatementResult } from '../pool/index.ts';
import { PostgresError } from '../wire/index.ts';
import { encodeArgument } from './arguments.ts';
import { toDriverAdapterError } from './postgres-errors.ts';
import { decodeResult } from './rows.ts';

/** What bounds one operation of a client, and where its time is noted. */
export interface OperationBounds {
  readonly clock: Clock;
  readonly role: Role;
  readonly deadline: Deadline;
  readonly cancellation: Cancellation;
  readonly timings: Timings;
  /** Whose operation it is, for the pool to be fair between keys. */
  readonly key?: string | undefined;
  /** Bytes of rows that all statements of the operation may read together. */
  readonly rowBytesMax: number;
}

/**
 * The statements of one operation: Prisma's queryable over one server connection, which is acquired by the first
 * statement. Statements run one after the other, but for pipelined ones, which run beside each other. Errors of Postgres become
 * `DriverAdapterError`; all others pass.
 */
export class Statements implements SqlQueryable {
  readonly provider = 'postgres';
  readonly adapterName = 'dormouse';
  readonly bounds: OperationBounds;
  readonly #acquire: () => Promise<Lease> | Lease;
  #lease: Lease | undefined;
  /** Statements asked for that have not ended. */
  #open = 0;
  /** Settles when all that are open have ended; meaningless when none is. */
  #last: Promise<unknown> | undefined;
  /** The same of all up to the last that was not pipelined. */
  #lastAlone: Promise<unknown> | undefined;
  /** Under way on the server, and since when. */
  #running = 0;
  #runningSinceMs = 0;
  readonly #rowBudget: RowBudget;
  /** A BEGIN that goes out with the next statement. */
  #begin: string | undefined;
  #closed = false;
  #lastCommandTag = '';

  constructor(bounds: OperationBounds, acquire: () => Promise<Lease> | Lease) {
    this.bounds = bounds;
    this.#acquire = acquire;
    this.#rowBudget = { left: bounds.rowBytesMax };
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    return decodeResult(await this.run(query));
  }

  async executeRaw(query: SqlQuery): Promise<number> {
    return (await this.run(query)).affectedRows;
  }

  /** The command tag of the last statement that succeeded. */
  get lastCommandTag(): string {
    return this.#lastCommandTag;
  }

  /** Runs a statement without arguments, such as SAVEPOINT. */
  command(sql: string): Promise<StatementResult> {
    return this.run({ sql, args: [], argTypes: [] });
  }

  /** Begins a transaction with the next statement, in the same write: if BEGIN fails, the statement does not run. */
  begin(sql = 'BEGIN'): void {
    this.#begin = sql;
  }

  /** Commits. Says false if Postgres rolled back instead, as it does after a failure, without an error. */
  async commit(): Promise<boolean> {
    await this.#ended();
    // Nothing was asked of the transaction: it never began.
    if (this.#forgetBegin()) return true;
    return (await this.command('COMMIT')).commandTag === 'COMMIT';
  }

  async rollback(): Promise<void> {
    await this.#ended();
    if (!this.#forgetBegin()) await this.command('ROLLBACK');
  }

  #forgetBegin(): boolean {
    const pending = this.#begin !== undefined;
    this.#begin = undefined;
    return pending;
  }

  /** The connection, once a statement has acquired it. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Lets no further statement start, and returns when the running ones have ended; at once if none runs. */
  close(): Promise<void> | undefined {
    this.#closed = true;
    return this.#open === 0 ? undefined : this.#ended();
  }

  async #ended(): Promise<void> {
    while (this.#open > 0) await this.#last?.then(ignore, ignore);
  }

  /** Runs one statement after those before it; a text without arguments may be several. */
  run(query: SqlQuery): Promise<StatementResult> {
    const { sql, args, argTypes } = query;
    const parameters = args.map((value, index) => encodeArgument(value, argTypes[index]));
    return this.execute(sql, parameters, false, args.length === 0 && mayBeSeveral(sql));
  }

  /**
   * Runs one statement, its parameters encoded already, after those before it or, pipelined, beside others that are. By the simple
   * protocol it may be several.
   */
  execute(
    sql: string,
    parameters: readonly ParameterValue[],
    pipelined = false,
    simple = false,
  ): Promise<StatementResult> {
    const free = this.#open === 0;
    this.#open++;
    const after = free ? undefined : pipelined ? this.#lastAlone : this.#last;
    const result =
      after === undefined
        ? this.#execute(sql, parameters, pipelined, simple)
        : this.#executeAfter(after, sql, parameters, pipelined, simple);
    if (free || !pipelined) {
      this.#last = result;
      this.#lastAlone = pipelined ? undefined : result;
    } else {
      this.#last = Promise.allSettled([this.#last, result]);
    }
    return result;
  }

  #executeAfter(
    after: Promise<unknown>,
    sql: string,
    parameters: readonly ParameterValue[],
    pipelined: boolean,
    simple: boolean,
  ): Promise<StatementResult> {
    const go = (): Promise<StatementResult> => this.#execute(sql, parameters, pipelined, simple);
    return after.then(go, go);
  }

  async #execute(
    sql: string,
    parameters: readonly ParameterValue[],
    pipelined: boolean,
    simple: boolean,
  ): Promise<StatementResult> {
    const { clock, deadline, cancellation, timings, role } = this.bounds;
    const before = this.#begin;
    let isRunning = false;
    try {
      // The operation has failed already: what it still had queued must not run.
      if (this.#closed) throw new DormouseError('interrupted');
      this.#begin = undefined;
      this.#lease ??= await this.#acquire();
      isRunning = true;
      if (this.#running++ === 0) this.#runningSinceMs = clock.monotonic();
      const options = { deadline, cancellation, rowBudget: this.#rowBudget, pipelined, simple, before };
      const result = await this.#lease.execute(sql, parameters, options);
      this.#lastCommandTag = result.commandTag;
      return result;
    } catch (error) {
      // Never sent, or refused: what comes next must not run without its transaction.
      if (before !== undefined && this.#lease?.transactionStatus !== 'T' && this.#lease?.transactionStatus !== 'E') {
        this.#begin = before;
      }
      throw error instanceof PostgresError ? toDriverAdapterError(error, role) : error;
    } finally {
      this.#open--;
      if (isRunning && --this.#running === 0) timings.add('sql', clock.monotonic() - this.#runningSinceMs);
    }
  }
}

/** More behind a semicolon than an end: another statement, unless it stands in a string or a comment. */
const SEVERAL = /;\s*[^\s;]/;

/** Whether a text may hold several statements, which only the simple protocol takes. Too often costs a plan that is not kept. */
function mayBeSeveral(sql: string): boolean {
  return SEVERAL.test(sql);
}

function ignore(): void {}

/** Runs an operation outside of transactions: one connection, acquired by its first statement, given back at its end. */
export async function withStatements<T>(
  pool: Pick<Pool, 'acquire'>,
  bounds: OperationBounds,
  work: (statements: Statements) => Promise<T>,
): Promise<T> {
  const { deadline, timings, cancellation, key } = bounds;
  let acquiring: Promise<Lease> | undefined;
  const statements = new Statements(bounds, () => {
    acquiring ??= pool.acquire({ deadline, timings, cancellation, key });
    return acquiring;
  });
  try {
    return await work(statements);
  } finally {
    const ending = statements.close();
    if (ending !== undefined) await ending;
    // An acquire that failed has been seen by the statement that asked for it.
    statements.lease?.release();
  }
}

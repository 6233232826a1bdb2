import type { SqlQuery, SqlQueryable, SqlResultSet } from '@prisma/driver-adapter-utils';
import {
  type Cancellation,
  type Clock,
  type Deadline,
  DormouseError,
  type Role,
  type Timings,
} from '../../base/index.ts';
import type { AcquireOptions, Lease, ParameterValue, RowBudget, StatementResult } from '../../pool/index.ts';
import { PostgresError } from '../../wire/index.ts';
import { encodeArgument } from './arguments.ts';
import { withIsoDates } from './iso-rows.ts';
import { toDriverAdapterError } from './postgres-errors.ts';
import { decodeResult } from './rows.ts';
import type { TransactionStep } from './transaction-step.ts';

/** Isolation levels of Postgres, as SQL. */
export type IsolationLevel = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

/** The part of a lease that statements use. */
export type StatementLease = Pick<Lease, 'execute' | 'transactionStatus' | 'release'>;

/** Gives the connections that statements run on: a pool, or a thread's way to the pool of the main thread. */
export interface LeaseSource {
  acquire(options: AcquireOptions): Promise<StatementLease>;
}

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
  /** Sees the statements, when the operation's client asked for it. */
  readonly observer?: StatementObserver | undefined;
}

/** Sees what one operation does on its connection, by running it. */
export interface StatementObserver {
  /**
   * Whether it is told of all of a transaction: of what begins it, and of the rollback that ends it for lack of time.
   */
  readonly whole: boolean;
  connection<T>(acquire: () => Promise<T>): Promise<T>;
  statement<T>(query: SqlQuery, run: () => Promise<T>): Promise<T>;
  /** A step of a transaction that a plan makes of its own statements. */
  step<T>(name: TransactionStep, take: () => Promise<T>): Promise<T>;
}

/**
 * The statements of one operation: Prisma's queryable over one server connection, which is acquired by the first
 * statement. Statements run one after the other, but for pipelined ones, which run beside each other. Errors of
 * Postgres become `DriverAdapterError`; all others pass.
 */
export class Statements implements SqlQueryable {
  readonly provider = 'postgres';
  readonly adapterName = 'dormouse';
  readonly bounds: OperationBounds;
  readonly #acquire: () => Promise<StatementLease> | StatementLease;
  #lease: StatementLease | undefined;
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

  constructor(bounds: OperationBounds, acquire: () => Promise<StatementLease> | StatementLease) {
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

  /** Runs a statement without arguments, such as COMMIT. */
  command(sql: string): Promise<StatementResult> {
    return this.run({ sql, args: [], argTypes: [] });
  }

  /** The same for one that is no part of what an observer sees, such as SAVEPOINT. */
  ownCommand(sql: string): Promise<StatementResult> {
    return this.execute(sql, []);
  }

  /**
   * Begins a transaction with the next statement, in the same write: if BEGIN fails, the statement does not run. At
   * once, and returns when it has begun, if somebody looks: what he sees took its own time then.
   */
  begin(level?: IsolationLevel): Promise<void> | undefined {
    const { observer } = this.bounds;
    const sql = level === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${level}`;
    if (observer === undefined) {
      this.#begin = sql;
      return undefined;
    }
    return observer.whole ? this.#beginInFull(level) : this.ownCommand(sql).then(ignore);
  }

  /** In the statements that the client's own engine would take. */
  async #beginInFull(level: IsolationLevel | undefined): Promise<void> {
    await this.command('BEGIN');
    if (level !== undefined) await this.command(`SET TRANSACTION ISOLATION LEVEL ${level}`);
  }

  /** Commits. Says false if Postgres rolled back instead, as it does after a failure, without an error. */
  async commit(): Promise<boolean> {
    await this.#ended();
    // Nothing was asked of the transaction: it never began.
    if (this.#forgetBegin()) return true;
    return (await this.command('COMMIT')).commandTag === 'COMMIT';
  }

  /** Rolls back what has begun and not ended: nothing, if BEGIN failed or COMMIT did. */
  async rollback(): Promise<void> {
    await this.#ended();
    if (!this.#forgetBegin() && this.#lease !== undefined && this.#lease.transactionStatus !== 'I') {
      await this.command('ROLLBACK');
    }
  }

  /** Does something of a plan's own transaction, where the observer looks. */
  step<T>(name: TransactionStep, take: () => Promise<T>): Promise<T> {
    const { observer } = this.bounds;
    return observer === undefined ? take() : observer.step(name, take);
  }

  #forgetBegin(): boolean {
    const pending = this.#begin !== undefined;
    this.#begin = undefined;
    return pending;
  }

  /** The connection, once a statement has acquired it. */
  get lease(): StatementLease | undefined {
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
    return this.execute(sql, parameters, false, args.length === 0 && mayBeSeveral(sql), query);
  }

  /**
   * Runs one statement, its parameters encoded already, after those before it or, pipelined, beside others that are. By
   * the simple protocol it may be several. `query` is what an observer sees of it.
   */
  execute(
    sql: string,
    parameters: readonly ParameterValue[],
    pipelined = false,
    simple = false,
    query?: SqlQuery,
  ): Promise<StatementResult> {
    const free = this.#open === 0;
    this.#open++;
    const after = free ? undefined : pipelined ? this.#lastAlone : this.#last;
    const result = this.#execute(after, sql, parameters, pipelined, simple, query);
    if (free || !pipelined) {
      this.#last = result;
      this.#lastAlone = pipelined ? undefined : result;
    } else {
      this.#last = Promise.allSettled([this.#last, result]);
    }
    return result;
  }

  async #execute(
    after: Promise<unknown> | undefined,
    sql: string,
    parameters: readonly ParameterValue[],
    pipelined: boolean,
    simple: boolean,
    query: SqlQuery | undefined,
  ): Promise<StatementResult> {
    // Whether the statements before this one failed is reported to their own callers.
    if (after !== undefined) await after.then(ignore, ignore);
    const { clock, deadline, cancellation, timings, role, observer } = this.bounds;
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
      const lease = this.#lease;
      const result =
        observer === undefined || query === undefined
          ? await lease.execute(sql, parameters, options)
          : await observer.statement(query, () => lease.execute(sql, parameters, options));
      this.#lastCommandTag = result.commandTag;
      return result.dates === undefined ? result : withIsoDates(result, result.dates);
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

/**
 * Whether a text may hold several statements, which only the simple protocol takes. Too often costs a plan that is not
 * kept.
 */
function mayBeSeveral(sql: string): boolean {
  return SEVERAL.test(sql);
}

function ignore(): void {}

/**
 * Runs an operation outside of transactions: one connection, acquired by its first statement, given back at its end.
 */
export async function withStatements<T>(
  pool: LeaseSource,
  bounds: OperationBounds,
  work: (statements: Statements) => Promise<T>,
): Promise<T> {
  const { deadline, timings, cancellation, key, observer } = bounds;
  const acquire = (): Promise<StatementLease> => pool.acquire({ deadline, timings, cancellation, key });
  let acquiring: Promise<StatementLease> | undefined;
  const statements = new Statements(bounds, () => {
    acquiring ??= observer === undefined ? acquire() : observer.connection(acquire);
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

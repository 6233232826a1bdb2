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
import { decodeResult } from './rows.ts';
import { toDriverAdapterError } from './sqlstate-errors.ts';
import type { TransactionStep } from './transaction-step.ts';

/** An isolation level of Postgres, as SQL writes it. */
export type IsolationLevel = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

/** The part of a lease that statements use. */
export type StatementLease = Pick<Lease, 'execute' | 'transactionStatus' | 'release'>;

/** Gives the connections for statements: a pool, or a worker thread's access to the main thread's pool. */
export interface LeaseSource {
  acquire(options: AcquireOptions): Promise<StatementLease>;
}

/** The limits of one operation of a client, and the recorder of its timings. */
export interface OperationBounds {
  readonly clock: Clock;
  readonly role: Role;
  readonly deadline: Deadline;
  readonly cancellation: Cancellation;
  readonly timings: Timings;
  /** The API key of the operation, so that the pool can be fair between keys. */
  readonly key?: string | undefined;
  /** Most bytes of rows that all statements of the operation may read together. */
  readonly rowBytesMax: number;
  /** Observes the statements, if the client asked for logs or spans. */
  readonly observer?: StatementObserver | undefined;
}

/** Observes what one operation does on its connection: each method runs the function that it is given. */
export interface StatementObserver {
  /** Whether it observes also the statements that begin a transaction, and the rollback of one that timed out. */
  readonly whole: boolean;
  connection<T>(acquire: () => Promise<T>): Promise<T>;
  statement<T>(query: SqlQuery, run: () => Promise<T>): Promise<T>;
  /** Observes a step of a transaction that a plan begins itself. */
  step<T>(name: TransactionStep, take: () => Promise<T>): Promise<T>;
}

/**
 * The statements of one operation: Prisma's queryable over one server connection.
 *
 * Invariants:
 * - The first statement acquires the connection. `withStatements` releases it when every statement has ended.
 * - A statement waits until all statements before it have ended. Only pipelined statements that follow each other are
 *   sent without waiting. A failure is thrown to the caller of its own statement only.
 * - BEGIN goes out in one write with the first statement of the transaction. If that write fails, BEGIN is still
 *   pending for the next statement, so no statement runs outside of its transaction.
 * - After `close`, no statement starts.
 * - Errors of Postgres become `DriverAdapterError`. All other errors pass unchanged.
 */
export class Statements implements SqlQueryable {
  readonly provider = 'postgres';
  readonly adapterName = 'dormouse';
  readonly bounds: OperationBounds;
  readonly #acquire: () => Promise<StatementLease> | StatementLease;
  #lease: StatementLease | undefined;
  /** The number of statements that were requested and have not ended. */
  #open = 0;
  /** Settles when all open statements have ended. Has no meaning while none is open. */
  #last: Promise<unknown> | undefined;
  /** Settles when all statements up to the last one that was not pipelined have ended. */
  #lastAlone: Promise<unknown> | undefined;
  /** The number of statements that are running on the server, and since when at least one is. */
  #running = 0;
  #runningSinceMs = 0;
  readonly #rowBudget: RowBudget;
  /** A BEGIN that is pending: it goes out with the next statement. */
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

  /** Runs a statement without arguments that an observer does not see, such as SAVEPOINT. */
  ownCommand(sql: string): Promise<StatementResult> {
    return this.execute(sql, []);
  }

  /**
   * Begins a transaction with the next statement, in the same write: if BEGIN fails, the statement does not run. With
   * an observer, BEGIN is sent at once and the promise settles when it has ended, so that the observer can measure it.
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

  /** Begins with the same statements as the client's own engine. */
  async #beginInFull(level: IsolationLevel | undefined): Promise<void> {
    await this.command('BEGIN');
    if (level !== undefined) await this.command(`SET TRANSACTION ISOLATION LEVEL ${level}`);
  }

  /** Commits. Gives false if Postgres rolled back instead, as it does without an error after a failed statement. */
  async commit(): Promise<boolean> {
    await this.#ended();
    // The transaction had no statement, so it never began.
    if (this.#forgetBegin()) return true;
    return (await this.command('COMMIT')).commandTag === 'COMMIT';
  }

  /** Rolls back a transaction that has begun and not ended. Does nothing if BEGIN or COMMIT failed. */
  async rollback(): Promise<void> {
    await this.#ended();
    if (!this.#forgetBegin() && this.#lease !== undefined && this.#lease.transactionStatus !== 'I') {
      await this.command('ROLLBACK');
    }
  }

  /** Takes a step of a plan's own transaction, under observation. */
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

  /**
   * Prevents further statements. The promise settles when all open statements have ended; undefined if none is open.
   */
  close(): Promise<void> | undefined {
    this.#closed = true;
    return this.#open === 0 ? undefined : this.#ended();
  }

  async #ended(): Promise<void> {
    while (this.#open > 0) await this.#last?.then(ignore, ignore);
  }

  /** Runs one statement after all statements before it. A text without arguments may contain several statements. */
  run(query: SqlQuery): Promise<StatementResult> {
    const { sql, args, argTypes } = query;
    const parameters = args.map((value, index) => encodeArgument(value, argTypes[index]));
    return this.execute(sql, parameters, false, args.length === 0 && mayBeSeveral(sql), query);
  }

  /**
   * Runs one statement with encoded parameters after all statements before it. A pipelined statement does not wait
   * for pipelined statements directly before it. With the simple protocol, the text may contain several statements.
   * `query` is what an observer sees of the statement.
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
    // A failure of an earlier statement is thrown to its own caller.
    if (after !== undefined) await after.then(ignore, ignore);
    const { clock, deadline, cancellation, timings, role, observer } = this.bounds;
    const before = this.#begin;
    let isRunning = false;
    try {
      // The operation has ended: statements that still wait must not run.
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
      // BEGIN was not sent, or was refused: the next statement must not run without its transaction.
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

/** A semicolon that is not at the end: another statement follows, unless it stands in a string or a comment. */
const SEVERAL = /;\s*[^\s;]/;

/**
 * Whether a text may contain several statements, which only the simple protocol accepts. A wrong yes costs little:
 * Postgres does not keep the statement prepared.
 */
function mayBeSeveral(sql: string): boolean {
  return SEVERAL.test(sql);
}

function ignore(): void {}

/**
 * Runs an operation outside of interactive transactions, on one connection: the first statement acquires the
 * connection, and the end of the operation releases it.
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
    // A failure to acquire was thrown to the statement that needed the connection.
    statements.lease?.release();
  }
}

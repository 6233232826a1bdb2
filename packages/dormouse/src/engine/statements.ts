import type { SqlQuery, SqlQueryable, SqlResultSet } from '@prisma/driver-adapter-utils';
import { type Cancellation, type Clock, type Deadline, DormouseError, type Role, type Timings } from '../base/index.ts';
import type { Lease, ParameterValue, Pool, StatementResult } from '../pool/index.ts';
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
 * statement. Statements run one after the other. Errors of Postgres become `DriverAdapterError`; all others pass.
 */
export class Statements implements SqlQueryable {
  readonly provider = 'postgres';
  readonly adapterName = 'dormouse';
  readonly bounds: OperationBounds;
  readonly #acquire: () => Promise<Lease>;
  #last: Promise<unknown> = Promise.resolve();
  #rowBytesLeft: number;
  #closed = false;
  #lastCommandTag = '';

  constructor(bounds: OperationBounds, acquire: () => Promise<Lease>) {
    this.bounds = bounds;
    this.#acquire = acquire;
    this.#rowBytesLeft = bounds.rowBytesMax;
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

  /** The rows read so far count no more: the operation begins anew. */
  forgetRows(): void {
    this.#rowBytesLeft = this.bounds.rowBytesMax;
  }

  /** Runs a statement without arguments, such as BEGIN. */
  command(sql: string): Promise<StatementResult> {
    return this.run({ sql, args: [], argTypes: [] });
  }

  /** Lets no further statement start, and returns when the running one has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }

  /** Runs one statement after those before it. */
  run(query: SqlQuery): Promise<StatementResult> {
    return this.execute(
      query.sql,
      query.args.map((value, index) => encodeArgument(value, query.argTypes[index])),
    );
  }

  /** Runs one statement, its parameters encoded already, after those before it. */
  execute(sql: string, parameters: readonly ParameterValue[]): Promise<StatementResult> {
    const result = this.#last.then(() => this.#execute(sql, parameters));
    // The chain goes on after a failure; whoever awaits `result` sees it.
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #execute(sql: string, parameters: readonly ParameterValue[]): Promise<StatementResult> {
    // The operation has failed already: what it still had queued must not run.
    if (this.#closed) throw new DormouseError('interrupted');
    const { clock, deadline, cancellation, timings, role } = this.bounds;
    const lease = await this.#acquire();
    const startedMs = clock.monotonic();
    try {
      const result = await lease.execute(sql, parameters, {
        deadline,
        cancellation,
        rowBytesMax: this.#rowBytesLeft,
      });
      this.#lastCommandTag = result.commandTag;
      for (const row of result.rows) this.#rowBytesLeft -= row.byteLength;
      if (this.#rowBytesLeft < 0) throw new DormouseError('reply_too_large');
      return result;
    } catch (error) {
      throw error instanceof PostgresError ? toDriverAdapterError(error, role) : error;
    } finally {
      timings.add('sql', clock.monotonic() - startedMs);
    }
  }
}

/** Runs an operation outside of transactions: one connection, acquired by its first statement, given back at its end. */
export async function withStatements<T>(
  pool: Pool,
  bounds: OperationBounds,
  work: (statements: Statements) => Promise<T>,
): Promise<T> {
  const { deadline, timings, cancellation, key } = bounds;
  let lease: Promise<Lease> | undefined;
  const statements = new Statements(bounds, () => {
    lease ??= pool.acquire({ deadline, timings, cancellation, key });
    return lease;
  });
  try {
    return await work(statements);
  } finally {
    await statements.close();
    // An acquire that failed has been seen by the statement that asked for it.
    await lease?.then(
      (held) => held.release(),
      () => undefined,
    );
  }
}

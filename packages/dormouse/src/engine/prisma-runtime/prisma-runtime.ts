import {
  noopTracingHelper,
  type PrismaValue,
  QueryInterpreter,
  type QueryPlanNode,
  type TransactionManager,
} from '@prisma/client-engine-runtime';
import { type DriverAdapterError, isDriverAdapterError, type SqlQueryable } from '@prisma/driver-adapter-utils';
import { DormouseError } from '../../base/index.ts';
import type { TransactionStep } from '../statements/index.ts';

/** Postgres takes 65535 parameters a statement; Prisma's compiler splits at half of it. */
export const BIND_VALUES_MAX = 32766;

/** What Prisma's compiler must know of the database, for both protocols. */
export const CONNECTION_INFO: {
  readonly schemaName: string;
  readonly maxBindValues: number;
  readonly supportsRelationJoins: boolean;
} = { schemaName: 'public', maxBindValues: BIND_VALUES_MAX, supportsRelationJoins: true };

/** What runs the statements of a plan. */
export interface PlanStatements extends SqlQueryable {
  /** Begins a transaction with the next statement, or now: then it gives the promise of that. */
  begin(): Promise<void> | undefined;
  /** Commits; says false if Postgres rolled back instead. */
  commit(): Promise<boolean>;
  rollback(): Promise<void>;
  /** Does something of a transaction, where one may look. */
  step<T>(name: TransactionStep, take: () => Promise<T>): Promise<T>;
}

export interface ExecutionOptions {
  /** Whether `statements` already is a transaction, so that the plan must not open its own. */
  readonly inTransaction: boolean;
  /** Tags for the SQL comment of every statement. */
  readonly comments?: Readonly<Record<string, string>> | undefined;
}

/**
 * Runs plans by Prisma's own runtime.
 * Gives what the plan gives (tagged values, ready for JSON); throws `UserFacingError` for what the client must see,
 * `DormouseError` for limits, and whatever else the runtime throws on a plan that makes no sense.
 */
export class PrismaRuntime {
  readonly #interpreter: QueryInterpreter = QueryInterpreter.forSql({
    // Statements are seen where they run, with those that no plan has.
    tracingHelper: noopTracingHelper,
    provider: 'postgresql',
    connectionInfo: CONNECTION_INFO,
  });

  execute(
    plan: QueryPlanNode,
    scope: Record<string, unknown>,
    statements: PlanStatements,
    options: ExecutionOptions,
  ): Promise<unknown> {
    const { comments } = options;
    return this.#interpreter.run(plan, {
      queryable: statements,
      transactionManager: options.inTransaction
        ? { enabled: false }
        : { enabled: true, manager: new PlanTransaction(statements) as unknown as TransactionManager },
      scope,
      ...(comments === undefined
        ? {}
        : {
            sqlCommenter: {
              plugins: [() => ({ ...comments })],
              // The tags are made already; nobody reads this.
              queryInfo: { type: 'single', action: 'queryRaw', query: {} },
            },
          }),
    });
  }

  /** The value of a generator's call (`cuid`, `nanoid` …). */
  generate(call: PrismaValue): Promise<unknown> {
    return this.execute({ type: 'value', args: call }, {}, NO_STATEMENTS, { inTransaction: true });
  }

  /**
   * Does what issues statements: an error that Postgres raises at one of our own (BEGIN, SAVEPOINT, COMMIT …) becomes
   * the client's as that of a query does.
   */
  async worded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isDriverAdapterError(error)) return await this.raise(error);
      throw error;
    }
  }

  /** Throws what an error of the database is to the client. */
  async raise(error: DriverAdapterError): Promise<never> {
    const statements = { executeRaw: () => Promise.reject(error) } as unknown as PlanStatements;
    await this.execute(FAILING_PLAN, {}, statements, { inTransaction: true });
    throw error;
  }
}

/** Runs `work` in a transaction: what it throws rolls back, and so does what the commit throws. */
export async function withinTransaction<T>(statements: PlanStatements, work: () => Promise<T>): Promise<T> {
  try {
    await statements.begin();
    const result = await work();
    if (!(await statements.commit())) {
      throw new DormouseError('internal', { message: 'The transaction did not commit.' });
    }
    return result;
  } catch (error) {
    // Why it failed counts, not that rolling back failed too: a connection given back in a transaction is rolled back
    // anyway.
    await statements.rollback().catch(() => undefined);
    throw error;
  }
}

/** For plans that run none. */
const NO_STATEMENTS = {} as unknown as PlanStatements;

/** Any statement: the runtime turns its failure into the client's error. */
const FAILING_PLAN: QueryPlanNode = {
  type: 'execute',
  args: {
    type: 'templateSql',
    fragments: [],
    placeholderFormat: { prefix: '$', hasNumbering: true },
    args: [],
    argTypes: [],
    chunkable: false,
  },
};

/**
 * The transaction that a plan wraps around its own statements, on the connection that the operation already has. It
 * offers the part of the runtime's `TransactionManager` that its interpreter calls. Never nested: within it the
 * interpreter is told that it is in a transaction.
 */
class PlanTransaction {
  readonly #statements: PlanStatements;

  constructor(statements: PlanStatements) {
    this.#statements = statements;
  }

  async startInternalTransaction(): Promise<{ id: string }> {
    await this.#statements.step('start_transaction', async () => this.#statements.begin());
    return { id: 'plan' };
  }

  async getTransaction(): Promise<PlanStatements> {
    return this.#statements;
  }

  async commitTransaction(): Promise<void> {
    const committed = await this.#statements.step('commit_transaction', () => this.#statements.commit());
    if (!committed) throw new DormouseError('internal', { message: 'The transaction did not commit.' });
  }

  async rollbackTransaction(): Promise<void> {
    await this.#statements.step('rollback_transaction', () => this.#statements.rollback());
  }
}

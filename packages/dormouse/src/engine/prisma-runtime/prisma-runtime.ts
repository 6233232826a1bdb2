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

/**
 * Most parameters of a statement. Postgres accepts 65535; Prisma's compiler splits statements at half of that.
 */
export const BIND_VALUES_MAX = 32766;

/** The facts about the database that Prisma's compiler and runtime need, for both protocols. */
export const CONNECTION_INFO: {
  readonly schemaName: string;
  readonly maxBindValues: number;
  readonly supportsRelationJoins: boolean;
} = { schemaName: 'public', maxBindValues: BIND_VALUES_MAX, supportsRelationJoins: true };

/** Runs the statements of a plan. */
export interface PlanStatements extends SqlQueryable {
  /** Begins a transaction, either with the next statement (gives undefined) or at once (gives a promise). */
  begin(): Promise<void> | undefined;
  /** Commits. Gives false if Postgres rolled back instead. */
  commit(): Promise<boolean>;
  rollback(): Promise<void>;
  /** Takes a step of a transaction, which an observer may see. */
  step<T>(name: TransactionStep, take: () => Promise<T>): Promise<T>;
}

export interface ExecutionOptions {
  /** Whether the statements already run in a transaction, so that the plan must not begin its own. */
  readonly inTransaction: boolean;
  /** Tags for the SQL comment of every statement. */
  readonly comments?: Readonly<Record<string, string>> | undefined;
}

/**
 * Executes plans by Prisma's own runtime.
 *
 * Invariants:
 * - The result is the runtime's: tagged values, ready for JSON. Every error that a client sees has the runtime's
 *   words.
 * - The runtime opens no connection and no transaction of its own. A plan's transaction runs on the operation's
 *   connection (`PlanTransaction`), and never within another.
 * - Plans of clients have passed `checkPlan`, and their scope is a `guardedScope`: the runtime trusts its input.
 *
 * Throws `UserFacingError` for errors that the client must see, `DormouseError` for limits, and plain errors of the
 * runtime for a plan that makes no sense.
 */
export class PrismaRuntime {
  readonly #interpreter: QueryInterpreter = QueryInterpreter.forSql({
    // Spans come from `Statements`, which also runs statements that are in no plan.
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
              // The runtime requires this member. The plugin above does not read it.
              queryInfo: { type: 'single', action: 'queryRaw', query: {} },
            },
          }),
    });
  }

  /** Evaluates the call of a generator (`cuid`, `nanoid` …). */
  generate(call: PrismaValue): Promise<unknown> {
    return this.execute({ type: 'value', args: call }, {}, NO_STATEMENTS, { inTransaction: true });
  }

  /**
   * Runs `work`, which issues statements that are in no plan (BEGIN, SAVEPOINT, COMMIT …). An error of Postgres
   * becomes the error that the runtime would give the client for a query.
   */
  async worded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isDriverAdapterError(error)) return await this.raise(error);
      throw error;
    }
  }

  /** Throws the error that the runtime gives the client for an error of the database. */
  async raise(error: DriverAdapterError): Promise<never> {
    const statements = { executeRaw: () => Promise.reject(error) } as unknown as PlanStatements;
    await this.execute(FAILING_PLAN, {}, statements, { inTransaction: true });
    throw error;
  }
}

/** Runs `work` in a transaction. A failure of `work` or of the commit rolls back, and is thrown. */
export async function withinTransaction<T>(statements: PlanStatements, work: () => Promise<T>): Promise<T> {
  try {
    await statements.begin();
    const result = await work();
    if (!(await statements.commit())) {
      throw new DormouseError('internal', { message: 'The transaction did not commit.' });
    }
    return result;
  } catch (error) {
    // A failure of the rollback does not replace the first error. The pool rolls back a connection that is released in
    // a transaction.
    await statements.rollback().catch(() => undefined);
    throw error;
  }
}

/** For a plan without statements. */
const NO_STATEMENTS = {} as unknown as PlanStatements;

/** A plan of one statement, whose failure the runtime converts to the client's error. */
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
 * The transaction that a plan begins around its own statements, on the operation's connection. It implements the
 * methods of the runtime's `TransactionManager` that the interpreter calls. It is never nested: inside, the
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

import type { SqlQuery, SqlResultSet } from '@prisma/driver-adapter-utils';
import type { TransactionStep } from '../statements/index.ts';
import type { PlanStatements } from './prisma-runtime.ts';

/**
 * Adds a comment after the text of each statement of a plan, except the statements that begin or end a transaction.
 */
export class CommentedStatements implements PlanStatements {
  readonly provider: PlanStatements['provider'];
  readonly adapterName: string;
  readonly #statements: PlanStatements;
  readonly #comment: string;

  constructor(statements: PlanStatements, comment: string) {
    this.provider = statements.provider;
    this.adapterName = statements.adapterName;
    this.#statements = statements;
    this.#comment = comment;
  }

  queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    return this.#statements.queryRaw({ ...query, sql: query.sql + this.#comment });
  }

  executeRaw(query: SqlQuery): Promise<number> {
    return this.#statements.executeRaw({ ...query, sql: query.sql + this.#comment });
  }

  begin(): Promise<void> | undefined {
    return this.#statements.begin();
  }

  commit(): Promise<boolean> {
    return this.#statements.commit();
  }

  rollback(): Promise<void> {
    return this.#statements.rollback();
  }

  step<T>(name: TransactionStep, take: () => Promise<T>): Promise<T> {
    return this.#statements.step(name, take);
  }
}

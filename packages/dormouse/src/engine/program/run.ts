import { randomUUID } from 'node:crypto';
import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import type { ParameterValue, StatementResult } from '../../pool/index.ts';
import { type ExecutionOptions, type PlanStatements, withinTransaction } from '../prisma-runtime/index.ts';
import type { JsonObject } from '../request/index.ts';
import type { Pace } from './pace.ts';
import { sqlComment } from './sql-comment.ts';

/** Runs the statements of one operation. */
export interface StatementRunner extends PlanStatements {
  /**
   * Runs a statement after all statements before it. Consecutive pipelined statements are sent without waiting for
   * each other's results.
   */
  execute(sql: string, parameters: readonly ParameterValue[], pipelined: boolean): Promise<StatementResult>;
}

/** The functions that a run uses besides those of its connection. */
export interface RunEnvironment {
  nowMs(): number;
  /** Evaluates a generator by Prisma's runtime. */
  generate(call: PrismaValue): Promise<unknown>;
  /** Evaluates a plan node by Prisma's runtime. Values go in and come out as the runtime holds them. */
  evaluateByRuntime(node: QueryPlanNode, statements: PlanStatements, options: ExecutionOptions): Promise<unknown>;
}

/** One execution of a program. */
export class Run {
  readonly parameters: JsonObject;
  readonly statements: StatementRunner;
  /** Slices work over many rows. */
  readonly pace: Pace;
  /** The SQL comment that follows the text of every statement. */
  readonly comment: string;
  /** The values of the plan's variables, by their index (`Scope`). */
  readonly variables: unknown[] = [];
  /** Whether the statements run in a transaction. */
  inTransaction: boolean;
  /** Whether Prisma's runtime evaluated a node of this run. */
  handedOver = false;
  readonly #environment: RunEnvironment;
  readonly #comments: ExecutionOptions['comments'];
  #now: string | undefined;

  constructor(
    parameters: JsonObject,
    statements: StatementRunner,
    environment: RunEnvironment,
    options: Pick<ExecutionOptions, 'inTransaction' | 'comments'> & { readonly pace: Pace },
  ) {
    this.parameters = parameters;
    this.statements = statements;
    this.#environment = environment;
    this.inTransaction = options.inTransaction;
    this.pace = options.pace;
    this.#comments = options.comments;
    this.comment = sqlComment(options.comments);
  }

  /** The time of this run in ISO 8601. It is the same for every use in the plan. */
  now(): string {
    this.#now ??= new Date(this.#environment.nowMs()).toISOString();
    return this.#now;
  }

  uuid(): string {
    return randomUUID();
  }

  /** The value of a generator other than `now` and `uuid`. */
  generate(call: PrismaValue): Promise<unknown> {
    return this.#environment.generate(call);
  }

  /** Evaluates a plan node that only the runtime can evaluate, or must refuse in its words. */
  evaluateByRuntime(node: QueryPlanNode): Promise<unknown> {
    this.handedOver = true;
    const { inTransaction } = this;
    return this.#environment.evaluateByRuntime(node, this.statements, { inTransaction, comments: this.#comments });
  }

  /**
   * Runs `work` in a transaction, unless this run is in one already. If `work` fails, the transaction is rolled back
   * and the failure thrown. A failure of the commit is thrown too.
   */
  async within<T>(work: () => Promise<T>): Promise<T> {
    if (this.inTransaction) return work();
    this.inTransaction = true;
    try {
      return await withinTransaction(this.statements, work);
    } finally {
      this.inTransaction = false;
    }
  }
}

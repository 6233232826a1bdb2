import { randomUUID } from 'node:crypto';
import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import type { ParameterValue, StatementResult } from '../../pool/index.ts';
import { type ExecutionOptions, type PlanStatements, withinTransaction } from '../prisma-runtime/index.ts';
import type { JsonObject } from '../request/index.ts';
import type { Pace } from './pace.ts';
import { sqlComment } from './sql-comment.ts';

/** What runs the statements of one operation. */
export interface StatementRunner extends PlanStatements {
  /** Runs a statement after those before it; a pipelined one beside others that are. */
  execute(sql: string, parameters: readonly ParameterValue[], pipelined: boolean): Promise<StatementResult>;
}

/** What a run needs besides a connection. */
export interface RunEnvironment {
  nowMs(): number;
  /** Evaluates a generator as Prisma's runtime does. */
  generate(call: PrismaValue): Promise<unknown>;
  /** Evaluates a part of a plan by Prisma's runtime; it gives and takes values as the runtime holds them. */
  evaluateByRuntime(node: QueryPlanNode, statements: PlanStatements, options: ExecutionOptions): Promise<unknown>;
}

/** One execution of a compiled plan. */
export class Run {
  readonly parameters: JsonObject;
  readonly statements: StatementRunner;
  /** For work over many rows. */
  readonly pace: Pace;
  /** What stands behind the text of every statement. */
  readonly comment: string;
  /** The values of the plan's own variables. */
  readonly variables: unknown[] = [];
  /** Whether the statements are in a transaction already. */
  inTransaction: boolean;
  /** Whether a part of it was left to Prisma's runtime. */
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

  /** The instant of this execution: the same wherever the plan asks. */
  now(): string {
    this.#now ??= new Date(this.#environment.nowMs()).toISOString();
    return this.#now;
  }

  uuid(): string {
    return randomUUID();
  }

  /** The value of any other generator. */
  generate(call: PrismaValue): Promise<unknown> {
    return this.#environment.generate(call);
  }

  /** A part of the plan that only the runtime knows how to evaluate, or to refuse in its words. */
  evaluateByRuntime(node: QueryPlanNode): Promise<unknown> {
    this.handedOver = true;
    const { inTransaction } = this;
    return this.#environment.evaluateByRuntime(node, this.statements, { inTransaction, comments: this.#comments });
  }

  /**
   * Runs `work` in a transaction, if it is not in one: what it throws rolls back, and so does what the commit throws.
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

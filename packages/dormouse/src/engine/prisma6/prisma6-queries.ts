import { DormouseError } from '../../base/index.ts';
import type { SchemaStore } from '../compiler/index.ts';
import { QueryRefused } from '../compiler/index.ts';
import type { QueryParts } from '../engine-parts.ts';
import { CommentedStatements, clientError, withinTransaction } from '../prisma-runtime/index.ts';
import { type ReplyFrame, WrittenReply } from '../program/index.ts';
import type { Telemetry } from '../request/index.ts';
import { jsonText } from '../request/index.ts';
import type { Statements } from '../statements/index.ts';
import { type JsonQuery, type QueryHead, replyFrameOf, resultName } from './json-query.ts';
import type { KnownQuery } from './plans-by-template.ts';
import { type Prisma6Error, prisma6Error } from './prisma6-errors.ts';
import type { QueryReply } from './prisma6-replies.ts';
import { ProgramsByPlan } from './programs-by-plan.ts';
import type { PlannedQuery, PlanningContext, QueryPlanner } from './query-planning.ts';
import { isRaw } from './raw-queries.ts';

/** What the routes that take queries of Prisma 6 need of one database. */
export interface Prisma6QueryParts extends QueryParts {
  readonly planner: QueryPlanner;
  readonly schemas: Pick<SchemaStore, 'latest' | 'find'>;
}

/** Runs the statements of one operation. */
type Run = <T>(work: (statements: Statements) => Promise<T>) => Promise<T>;

/** A request that has been read, with all that its execution and its reply need. */
export interface Operation extends PlanningContext {
  readonly inTransaction: boolean;
  readonly telemetry: Telemetry | undefined;
  /** The comment that is added to the SQL of each statement that is not raw. */
  readonly comment: string;
  readonly run: Run;
}

/** Runs queries of Prisma 6, each by its plan. */
export class Prisma6Queries {
  /** The programs of the plans that the queries have. */
  readonly programs: ProgramsByPlan;
  readonly #parts: Prisma6QueryParts;

  constructor(parts: Prisma6QueryParts) {
    this.#parts = parts;
    this.programs = new ProgramsByPlan(parts.buildProgram);
  }

  /** Runs a query whose plan is known by its text. */
  async known(operation: Operation, known: KnownQuery): Promise<QueryReply> {
    const { head, frame } = known.template;
    try {
      return await operation.run((statements) =>
        this.answer(operation, known, head, statements, operation.inTransaction, frame),
      );
    } catch (thrown) {
      return { errors: [errorOf(thrown, head)] };
    }
  }

  /** Plans a query, which is the whole body `text`, and runs it. */
  async single(operation: Operation, query: JsonQuery, text: string): Promise<QueryReply> {
    try {
      const planned = await this.#parts.planner.plan(operation, query, text);
      return await operation.run((statements) =>
        this.answer(operation, planned, query, statements, operation.inTransaction),
      );
    } catch (thrown) {
      return { errors: [errorOf(thrown, query)] };
    }
  }

  /** Executes a query: gives its reply, or its part of a batch's reply. */
  async answer(
    operation: Operation,
    planned: PlannedQuery,
    query: QueryHead,
    statements: Statements,
    inTransaction: boolean,
    frame?: ReplyFrame,
  ): Promise<QueryReply> {
    const { telemetry, bounds } = operation;
    const { plan, scope } = planned;
    if (telemetry !== undefined) {
      return this.#observedAnswer(
        telemetry,
        operation,
        planned,
        frame ?? replyFrameOf(query),
        statements,
        inTransaction,
      );
    }
    const program = this.programs.find(plan);
    if (program?.accepts(scope) !== true) {
      return { data: { [resultName(query)]: await this.execute(operation, planned, statements, inTransaction) } };
    }
    return this.#parts.programExecutor.execute(program, scope, statements, {
      inTransaction,
      frame: frame ?? replyFrameOf(query),
      bytesMax: bounds.rowBytesMax,
    });
  }

  /**
   * Answers for a client that asked for telemetry. Prisma's runtime runs the plan: a program would show the client
   * values that are encoded already.
   */
  async #observedAnswer(
    telemetry: Telemetry,
    operation: Operation,
    planned: PlannedQuery,
    { before, after }: ReplyFrame,
    statements: Statements,
    inTransaction: boolean,
  ): Promise<QueryReply> {
    const { plan, scope } = planned;
    // The reply is written before the commit, as without telemetry.
    if (plan.type === 'transaction' && !inTransaction) {
      const inner = { plan: plan.args, scope };
      return withinTransaction(statements, () =>
        this.#observedAnswer(telemetry, operation, inner, { before, after }, statements, true),
      );
    }
    const data = await this.execute(operation, planned, statements, inTransaction);
    return telemetry.serialize(() => new WrittenReply(Buffer.concat([before, Buffer.from(jsonText(data)), after])));
  }

  /** Executes a query by Prisma's runtime, and gives the value of its plan. */
  async execute(
    { comment }: Operation,
    { plan, scope }: PlannedQuery,
    statements: Statements,
    inTransaction: boolean,
  ): Promise<unknown> {
    const commented = comment === '' || isRaw(plan) ? statements : new CommentedStatements(statements, comment);
    return (await this.#parts.runtime.execute(plan, scope, commented, { inTransaction })) ?? null;
  }
}

/** The error that a reply tells of a failed query. Throws an error that concerns the whole request. */
export function errorOf(thrown: unknown, query: QueryHead | undefined): Prisma6Error {
  if (thrown instanceof QueryRefused) return prisma6Error(thrown, query?.modelName);
  const error = clientError(thrown, 'query_invalid');
  if (error instanceof DormouseError) throw error;
  return prisma6Error(error, query?.modelName);
}

import { DormouseError } from '../base/index.ts';
import { QueryRefused } from './compiler.ts';
import type { EngineParts } from './engine-parts.ts';
import { PlanObjects, type ReplyFrame } from './executor/index.ts';
import { type JsonQuery, type QueryHead, replyFrameOf, resultName } from './json-query.ts';
import { type Prisma6Error, prisma6Error } from './prisma6-errors.ts';
import type { PlannedQuery, PlanningContext, QueryPlanner } from './query-planning.ts';
import type { KnownQuery } from './query-texts.ts';
import type { SchemaStore } from './schema-store.ts';
import type { Statements } from './statements.ts';
import { clientError } from './user-errors.ts';

export interface Prisma6Parts extends EngineParts {
  readonly planner: QueryPlanner;
  readonly schemas: Pick<SchemaStore, 'latest' | 'find' | 'put'>;
  readonly publicUrl: string;
}

/** What runs one operation's statements. */
type Run = <T>(work: (statements: Statements) => Promise<T>) => Promise<T>;

/** A request that has been read: what it runs in, and what it says back. */
export interface Operation extends PlanningContext {
  readonly inTransaction: boolean;
  readonly comments: Record<string, string> | undefined;
  readonly run: Run;
}

/** Runs queries of Prisma 6, each by its plan. */
export class Prisma6Queries {
  /** The programs of plans. */
  readonly plans: PlanObjects;
  readonly #parts: Prisma6Parts;

  constructor(parts: Prisma6Parts) {
    this.#parts = parts;
    this.plans = new PlanObjects(parts.compilePlan);
  }

  /** Runs a query whose plan is known by its text. The reply as an object, or already written. */
  async known(operation: Operation, known: KnownQuery): Promise<object> {
    const { head, frame } = known.template;
    try {
      return await operation.run((statements) =>
        this.answer(operation, known, head, statements, operation.inTransaction, frame),
      );
    } catch (thrown) {
      return { errors: [errorOf(thrown, head)] };
    }
  }

  /** Plans a query, which is the whole body `text`, and runs it. The reply as an object, or already written. */
  async single(operation: Operation, query: JsonQuery, text: string): Promise<object> {
    try {
      const planned = await this.#parts.planner.plan(operation, query, text);
      return await operation.run((statements) =>
        this.answer(operation, planned, query, statements, operation.inTransaction),
      );
    } catch (thrown) {
      return { errors: [errorOf(thrown, query)] };
    }
  }

  /** Executes a query: gives its part of the reply, as an object or already written. */
  async answer(
    operation: Operation,
    planned: PlannedQuery,
    query: QueryHead,
    statements: Statements,
    inTransaction: boolean,
    frame?: ReplyFrame,
  ): Promise<object> {
    const { comments, telemetry, bounds } = operation;
    const { plan, scope } = planned;
    // What the client wants to see of its queries, the runtime tells.
    const compiled = comments === undefined && telemetry === undefined ? this.plans.find(plan) : undefined;
    if (compiled?.accepts(scope) !== true) {
      return { data: { [resultName(query)]: await this.execute(operation, planned, statements, inTransaction) } };
    }
    return this.#parts.compiledExecutor.execute(compiled, scope, statements, {
      inTransaction,
      frame: frame ?? replyFrameOf(query),
      bytesMax: bounds.rowBytesMax,
    });
  }

  /** Executes a query by Prisma's own runtime: gives what its plan gives. */
  async execute(
    operation: Operation,
    { plan, scope }: PlannedQuery,
    statements: Statements,
    inTransaction: boolean,
  ): Promise<unknown> {
    const { comments, telemetry } = operation;
    const data = await this.#parts.executor.execute(plan, scope, statements, {
      inTransaction,
      comments,
      observer: telemetry,
    });
    return data ?? null;
  }
}

/** What the client is told of a failure in a reply. Throws what is an error of the whole request. */
export function errorOf(thrown: unknown, query: QueryHead | undefined): Prisma6Error {
  if (thrown instanceof QueryRefused) return prisma6Error(thrown, query?.modelName);
  const error = clientError(thrown, 'query_invalid');
  if (error instanceof DormouseError) throw error;
  return prisma6Error(error, query?.modelName);
}

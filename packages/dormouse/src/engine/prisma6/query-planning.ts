import {
  type BatchResponse,
  type CompactedBatchResponse,
  parameterizeBatch,
  parameterizeQuery,
  type QueryPlanNode,
} from '@prisma/client-engine-runtime';
import type { ParamGraph } from '@prisma/param-graph';
import type { Clock } from '../../base/index.ts';
import type { KnownSchema } from '../compiler/index.ts';
import { type Compiler, QueryRefused } from '../compiler/index.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { OperationBounds } from '../statements/index.ts';
import { type JsonQuery, unknownOperation } from './json-query.ts';
import { hasOddValues } from './odd-values.ts';
import type { PlansByShape } from './plans-by-shape.ts';
import { type KnownQuery, PlansByTemplate } from './plans-by-template.ts';
import { rawQueryPlan } from './raw-queries.ts';

/** A plan and the values of its variables. */
export interface PlannedQuery {
  readonly plan: QueryPlanNode;
  readonly scope: Record<string, unknown>;
}

/** A query's plan, or the reason why it has none. */
export type PlannedOrRefused = PlannedQuery | QueryRefused;

/** The plans of a batch: one per query, or one for all queries. */
export type PlannedBatch =
  | { readonly kind: 'each'; readonly queries: readonly PlannedQuery[] }
  /** The queries are independent of each other: some may have been refused. */
  | { readonly kind: 'alone'; readonly queries: readonly PlannedOrRefused[] }
  | { readonly kind: 'compacted'; readonly batch: CompactedBatchResponse; readonly scope: Record<string, unknown> };

/** The schema and the bounds that a query is planned with. */
export interface PlanningContext {
  readonly schema: KnownSchema;
  readonly bounds: OperationBounds;
}

export interface QueryPlannerOptions {
  readonly clock: Clock;
  readonly compiler: Pick<Compiler, 'compile'>;
  readonly plansByShape: PlansByShape<QueryPlanNode | BatchResponse>;
  readonly budget: MemoryBudget;
  /** The database's id, by which the compiler shares its time between databases. */
  readonly owner: string;
}

/**
 * Actions whose shape contains the rows, so that hardly two are alike, and taking out the values costs more than it
 * saves.
 */
const SHAPELESS = new Set(['createMany', 'createManyAndReturn']);

/**
 * Plans the JSON queries of Prisma 6: takes the values out of a query, and compiles the shape that is left unless its
 * plan is kept. Throws `QueryRefused`, and what the compiler's thread fails with.
 */
export class QueryPlanner {
  readonly #options: QueryPlannerOptions;
  readonly #plansByTemplate: PlansByTemplate;

  constructor(options: QueryPlannerOptions) {
    this.#options = options;
    this.#plansByTemplate = new PlansByTemplate(options.budget);
  }

  /** Forgets all plans. */
  clear(): void {
    this.#options.plansByShape.clear();
    this.#plansByTemplate.clear();
  }

  /** The plan of a body whose template is known; undefined for any other body, and for batches. */
  known(schema: KnownSchema, text: string): KnownQuery | undefined {
    return this.#plansByTemplate.find(schema.hash, text);
  }

  /** Plans a query. `text` is given if the query is the whole body, so that the text's template is learned. */
  async plan(context: PlanningContext, query: JsonQuery, text?: string): Promise<PlannedQuery> {
    const unknown = unknownOperation(query);
    if (unknown !== undefined) throw new QueryRefused({ message: unknown });
    const raw = rawQueryPlan(query);
    if (raw !== undefined) return { plan: raw, scope: {} };
    const { graph } = context.schema;
    const isOdd = hasOddValues(query.query);
    if (graph === undefined || isOdd || SHAPELESS.has(query.action)) {
      return { plan: (await this.#compile(context, 'compile', JSON.stringify(query))) as QueryPlanNode, scope: {} };
    }
    const { parameterizedQuery, placeholderValues } = parameterizeQuery(query as RuntimeQuery, graph);
    const { response, isNew } = await this.#cached(context, 'compile', JSON.stringify(parameterizedQuery));
    const plan = response as QueryPlanNode;
    if (text !== undefined && !isNew) {
      this.#plansByTemplate.note(context.schema.hash, {
        text,
        parameterized: parameterizedQuery,
        scope: placeholderValues,
        plan,
      });
    }
    return { plan, scope: placeholderValues };
  }

  /** Plans a batch. Outside of a transaction, a query that is refused does not affect the others. */
  async planBatch(
    context: PlanningContext,
    queries: readonly JsonQuery[],
    transaction: unknown,
    inTransaction: boolean,
  ): Promise<PlannedBatch> {
    const { batchGraph } = context.schema;
    if (batchGraph !== undefined && queries.every(isCompiledInBatches) && !queries.some(isOdd)) {
      try {
        return await this.#planTogether(context, queries, transaction, batchGraph);
      } catch (error) {
        if (inTransaction || !(error instanceof QueryRefused)) throw error;
      }
    }
    if (inTransaction) {
      const planned: PlannedQuery[] = [];
      for (const query of queries) planned.push(await this.plan(context, query));
      return { kind: 'each', queries: planned };
    }
    const planned: PlannedOrRefused[] = [];
    for (const query of queries) planned.push(await this.plan(context, query).catch(refusal));
    return { kind: 'alone', queries: planned };
  }

  async #planTogether(
    context: PlanningContext,
    queries: readonly JsonQuery[],
    transaction: unknown,
    graph: ParamGraph,
  ): Promise<PlannedBatch> {
    const batch = { batch: queries, ...(transaction === undefined ? {} : { transaction }) } as unknown as RuntimeBatch;
    const { parameterizedBatch, placeholderValues } = parameterizeBatch(batch, graph);
    const { response } = await this.#cached(context, 'compile-batch', JSON.stringify(parameterizedBatch));
    const planned = response as BatchResponse;
    return planned.type === 'compacted'
      ? { kind: 'compacted', batch: planned, scope: placeholderValues }
      : { kind: 'each', queries: planned.plans.map((plan) => ({ plan, scope: placeholderValues })) };
  }

  async #cached(
    context: PlanningContext,
    kind: 'compile' | 'compile-batch',
    shape: string,
  ): Promise<{ readonly response: QueryPlanNode | BatchResponse; readonly isNew: boolean }> {
    const { plansByShape } = this.#options;
    const key = context.schema.hash + shape;
    const kept = plansByShape.get(key);
    if (kept !== undefined) return { response: kept, isNew: false };
    const response = (await this.#compile(context, kind, shape)) as QueryPlanNode | BatchResponse;
    plansByShape.set(key, response);
    return { response, isNew: true };
  }

  async #compile(context: PlanningContext, kind: 'compile' | 'compile-batch', request: string): Promise<unknown> {
    const { compiler, clock, owner } = this.#options;
    const { schema, bounds } = context;
    const startedMs = clock.monotonic();
    try {
      return await compiler.compile(owner, kind, schema, request, bounds.deadline);
    } finally {
      bounds.timings.add('compile', clock.monotonic() - startedMs);
    }
  }
}

/** The compiler takes no raw queries in a batch, and panics at an action that it does not know. */
function isCompiledInBatches(query: JsonQuery): boolean {
  return query.modelName !== undefined && !SHAPELESS.has(query.action) && unknownOperation(query) === undefined;
}

/** True also for a query that is refused: the error is told when the query is planned by itself. */
function isOdd({ query }: JsonQuery): boolean {
  try {
    return hasOddValues(query);
  } catch {
    return true;
  }
}

function refusal(error: unknown): QueryRefused {
  if (error instanceof QueryRefused) return error;
  throw error;
}

type RuntimeQuery = Parameters<typeof parameterizeQuery>[0];
type RuntimeBatch = Parameters<typeof parameterizeBatch>[0];

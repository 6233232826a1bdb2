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

/** A query's plan, or why it has none. */
export type PlannedOrRefused = PlannedQuery | QueryRefused;

/** What a batch became: a plan a query, or one plan for them all. */
export type PlannedBatch =
  | { readonly kind: 'each'; readonly queries: readonly PlannedQuery[] }
  /** Of queries that have nothing to do with each other: some may have been refused. */
  | { readonly kind: 'alone'; readonly queries: readonly PlannedOrRefused[] }
  | { readonly kind: 'compacted'; readonly batch: CompactedBatchResponse; readonly scope: Record<string, unknown> };

/** Where a query is planned. */
export interface PlanningContext {
  readonly schema: KnownSchema;
  readonly bounds: OperationBounds;
}

export interface QueryPlannerOptions {
  readonly clock: Clock;
  readonly compiler: Pick<Compiler, 'compile'>;
  readonly plansByShape: PlansByShape<QueryPlanNode | BatchResponse>;
  readonly budget: MemoryBudget;
  /** Whose turn it is at the compiler: the database's id. */
  readonly owner: string;
}

/** Their rows are in their shape, so that hardly two are alike; and taking out each value costs more than it saves. */
const SHAPELESS = new Set(['createMany', 'createManyAndReturn']);

/**
 * Plans the JSON queries of Prisma 6: takes the values out, and compiles what shape is left if its plan is not kept.
 * Throws `QueryRefused`, and what the compiler's thread fails with.
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

  /** The plan of a body whose form was met before; undefined for any other, and for batches. */
  known(schema: KnownSchema, text: string): KnownQuery | undefined {
    return this.#plansByTemplate.find(schema.hash, text);
  }

  /** Plans a query. `text` is the body that it is the whole of, so that its form is known when it comes again. */
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

  /** Plans a batch. Without a transaction around them, one that is refused leaves the others as they are. */
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

/** The compiler takes no raw queries in a batch, and breaks at an action that it does not know. */
function isCompiledInBatches(query: JsonQuery): boolean {
  return query.modelName !== undefined && !SHAPELESS.has(query.action) && unknownOperation(query) === undefined;
}

/** Also of what is refused, which is told where it is planned by itself. */
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

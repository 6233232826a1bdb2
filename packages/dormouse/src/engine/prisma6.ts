import { type CompactedBatchResponse, UserFacingError } from '@prisma/client-engine-runtime';
import { type Call, DormouseError, type MinimalReply, type MinimalRequest } from '../base/index.ts';
import { type ClientLimits, limitsOf } from './client-limits.ts';
import { compactedResults, compactedTexts, haveTexts, type Row } from './compacted-results.ts';
import { QueryRefused } from './compiler.ts';
import type { EngineParts } from './engine-parts.ts';
import { type KeyedRecords, PlanObjects, type ReplyFrame, Written } from './executor/index.ts';
import { type JsonQuery, jsonQuery, type QueryHead, replyFrameOf, resultName } from './json-query.ts';
import { type Prisma6Error, prisma6Error } from './prisma6-errors.ts';
import { isolationLevel, milliseconds } from './prisma7.ts';
import type { PlannedBatch, PlannedQuery, PlanningContext, QueryPlanner } from './query-planning.ts';
import type { KnownQuery } from './query-texts.ts';
import { jsonReply, writtenReply } from './replies.ts';
import { bodyText, isObject, type JsonObject, parseBody } from './request-body.ts';
import type { Prisma6QueryRoute, Prisma6Route, Prisma6TransactionRoute } from './routes.ts';
import type { SchemaStore } from './schema-store.ts';
import type { OperationBounds, Statements } from './statements.ts';
import { PRISMA6_TELEMETRY, parseTelemetryWish, Telemetry } from './telemetry.ts';
import { isolationLevelInvalid, transactionAborted } from './transaction-errors.ts';
import { clientError } from './user-errors.ts';

/** What Prisma's own client defaults to. */
const TRANSACTION_TIMEOUT_MS = 5000;
const TRANSACTION_MAX_WAIT_MS = 2000;
/** Queries one batch may hold. */
const BATCH_MAX = 10_000;

export interface Prisma6Parts extends EngineParts {
  readonly planner: QueryPlanner;
  readonly schemas: SchemaStore;
  readonly publicUrl: string;
}

/** What runs one operation's statements. */
type Run = <T>(work: (statements: Statements) => Promise<T>) => Promise<T>;

/** A request that has been read: what it runs in, and what it says back. */
interface Operation extends PlanningContext {
  readonly inTransaction: boolean;
  readonly comments: Record<string, string> | undefined;
  readonly run: Run;
}

/** The routes that Prisma Client 6 calls: it uploads its schema once and sends JSON queries, which we compile. */
export class Prisma6Routes {
  readonly #parts: Prisma6Parts;
  readonly #plans = new PlanObjects();

  constructor(parts: Prisma6Parts) {
    this.#parts = parts;
  }

  async handle(route: Prisma6Route, request: MinimalRequest, call: Call): Promise<MinimalReply> {
    const limits = limitsOf(request, this.#parts.limits);
    const bounds = this.#parts.bounds(call, limits);
    switch (route.to) {
      case 'schema':
        await this.#parts.schemas.put(route.schemaHash, bodyText(request.body), bounds.deadline);
        return { status: 200, headers: { 'content-type': 'text/plain' }, body: route.schemaHash };
      case 'graphql':
      case 'itx-graphql':
        return this.#query(route, request, call, limits, bounds);
      default:
        return this.#transaction(route, request, call, limits, bounds);
    }
  }

  async #transaction(
    route: Prisma6TransactionRoute,
    request: MinimalRequest,
    call: Call,
    limits: ClientLimits,
    bounds: OperationBounds,
  ): Promise<MinimalReply> {
    const { transactions, pool, publicUrl } = this.#parts;
    try {
      switch (route.to) {
        case 'itx-start': {
          const body = parseBody(bodyText(request.body));
          const id = await transactions.start(call, pool(call.principal.role), {
            timeoutMs: Math.min(milliseconds(body.timeout, 'timeout', TRANSACTION_TIMEOUT_MS), limits.transactionMs),
            maxWaitMs: milliseconds(body.max_wait, 'max_wait', TRANSACTION_MAX_WAIT_MS),
            isolationLevel: isolationLevel(body.isolation_level),
          });
          const endpoint = `${publicUrl.replace(/\/+$/, '')}/${route.version}/${route.schemaHash}/itx/${id}`;
          return jsonReply(200, { id, 'data-proxy': { endpoint } });
        }
        case 'itx-commit':
          await transactions.commit(call, route.transactionId, bounds);
          return jsonReply(200, {});
        case 'itx-rollback':
          await transactions.rollback(call, route.transactionId, bounds);
          return jsonReply(200, {});
      }
    } catch (thrown) {
      const error = clientError(thrown, 'internal');
      if (error instanceof DormouseError) throw error;
      // Outside of queries the client knows this form of a known error only.
      const { message, meta } = prisma6Error(error, undefined).user_facing_error;
      const status = error.code === 'P2028' ? 409 : 400;
      return jsonReply(status, { is_panic: false, message, meta, error_code: error.code });
    }
  }

  async #query(
    route: Prisma6QueryRoute,
    request: MinimalRequest,
    call: Call,
    limits: ClientLimits,
    bounds: OperationBounds,
  ): Promise<MinimalReply> {
    const { schemas, planner, clock, random, transactions } = this.#parts;
    const text = bodyText(request.body);
    const latest = schemas.latest(route.schemaHash);
    const known = latest === undefined ? undefined : planner.known(latest, text);
    const body = known === undefined ? parseBody(text) : {};
    const schema = latest ?? (await schemas.find(route.schemaHash, bounds.deadline));
    if (schema === undefined) return jsonReply(404, { EngineNotStarted: { reason: 'SchemaMissing' } });
    const wish = parseTelemetryWish(request.header('x-capture-telemetry'));
    const telemetry = wish === undefined ? undefined : new Telemetry(wish, PRISMA6_TELEMETRY, clock, random);
    const inTransaction = route.to === 'itx-graphql';
    const operation: Operation = {
      schema,
      bounds,
      inTransaction,
      telemetry,
      comments: telemetry === undefined ? undefined : traceComment(request.header('traceparent')),
      run: (work) =>
        route.to === 'itx-graphql'
          ? transactions.run(call, route.transactionId, bounds, work)
          : this.#parts.withStatements(call, bounds, work),
    };
    this.#parts.onOperation(call, 1);
    const reply = await (known === undefined ? this.#read(operation, body, text) : this.#known(operation, known));
    if (reply instanceof Written) return writtenReply(reply.body, limits.replyBytesMax);
    return jsonReply(
      200,
      telemetry === undefined ? reply : { ...reply, extensions: telemetry.extensions() },
      limits.replyBytesMax,
    );
  }

  /** Runs a query whose plan is known by its text. The reply as an object, or already written. */
  async #known(operation: Operation, known: KnownQuery): Promise<object> {
    const { head, frame } = known.template;
    try {
      return await operation.run((statements) =>
        this.#answer(operation, known, head, statements, operation.inTransaction, frame),
      );
    } catch (thrown) {
      return { errors: [errorOf(thrown, head)] };
    }
  }

  #read(operation: Operation, body: JsonObject, text: string): Promise<object> {
    return Array.isArray(body.batch)
      ? this.#batch(operation, body, body.batch)
      : this.#single(operation, jsonQuery(body), text);
  }

  async #single(operation: Operation, query: JsonQuery, text: string): Promise<object> {
    try {
      const planned = await this.#parts.planner.plan(operation, query, text);
      return await operation.run((statements) =>
        this.#answer(operation, planned, query, statements, operation.inTransaction),
      );
    } catch (thrown) {
      return { errors: [errorOf(thrown, query)] };
    }
  }

  async #batch(operation: Operation, body: JsonObject, given: readonly unknown[]): Promise<object> {
    if (given.length > BATCH_MAX) {
      throw new DormouseError('request_invalid', { message: `A batch holds at most ${BATCH_MAX} queries.` });
    }
    const queries = given.map(jsonQuery);
    const [first] = queries;
    if (first === undefined) return { batchResult: [] };
    const transaction = isObject(body.transaction) ? body.transaction : undefined;
    let planned: PlannedBatch;
    try {
      planned = await this.#parts.planner.planBatch(operation, queries, transaction);
    } catch (thrown) {
      return { errors: [errorOf(thrown, first)] };
    }
    if (planned.kind === 'compacted') return this.#compacted(operation, planned, first);
    return transaction !== undefined || operation.inTransaction
      ? this.#inOrder(operation, planned.queries, queries, transaction)
      : this.#eachAlone(operation, planned.queries, queries);
  }

  /** All queries of the batch in one transaction: all or nothing. */
  async #inOrder(
    operation: Operation,
    plans: readonly PlannedQuery[],
    queries: readonly JsonQuery[],
    transaction: JsonObject | undefined,
  ): Promise<object> {
    if (!operation.inTransaction && this.#areReads(operation, plans)) {
      try {
        return await operation.run(async (statements) => {
          statements.begin(beginStatement(transaction));
          const batchResult = await this.#answers(operation, plans, queries, statements, true);
          if (!(await statements.commit())) throw transactionAborted();
          return batchReply(batchResult, operation.bounds.rowBytesMax);
        });
      } catch (thrown) {
        // Whose failure it was, and in what words, tells doing it again one after the other: they only read.
        if (clientError(thrown, 'query_invalid') instanceof DormouseError) throw thrown;
      }
    }
    let index = 0;
    try {
      return await operation.run(async (statements) => {
        const own = !operation.inTransaction;
        if (own) statements.begin(beginStatement(transaction));
        const batchResult: object[] = [];
        for (; index < plans.length; index++) {
          const [plan, query] = [plans[index], queries[index]];
          if (plan === undefined || query === undefined) break;
          batchResult.push(await this.#answer(operation, plan, query, statements, true));
        }
        if (own && !(await statements.commit())) throw transactionAborted();
        // When it throws instead, the connection is given back inside of its transaction, and so rolled back.
        return batchReply(batchResult, operation.bounds.rowBytesMax);
      });
    } catch (thrown) {
      const at = Math.min(index, queries.length - 1);
      const query = queries[at];
      const error = errorOf(thrown, query);
      error.user_facing_error.batch_request_idx = at;
      return { errors: [error] };
    }
  }

  /** Queries that came together by chance: each has its own result or error. */
  async #eachAlone(
    operation: Operation,
    plans: readonly PlannedQuery[],
    queries: readonly JsonQuery[],
  ): Promise<object> {
    if (this.#areReads(operation, plans)) {
      const batchResult = await operation.run((statements) =>
        this.#answers(operation, plans, queries, statements, false, (thrown, query) => ({
          errors: [errorOf(thrown, query)],
        })),
      );
      return batchReply(batchResult, operation.bounds.rowBytesMax);
    }
    const batchResult: object[] = [];
    for (const [index, plan] of plans.entries()) {
      const query = queries[index];
      if (query === undefined) break;
      try {
        batchResult.push(await operation.run((statements) => this.#answer(operation, plan, query, statements, false)));
      } catch (thrown) {
        batchResult.push({ errors: [errorOf(thrown, query)] });
      }
    }
    return batchReply(batchResult, operation.bounds.rowBytesMax);
  }

  /** Whether all are programs that only read, so that they may go out together, and again. */
  #areReads({ telemetry, comments }: Operation, plans: readonly PlannedQuery[]): boolean {
    if (telemetry !== undefined || comments !== undefined) return false;
    return plans.every(({ plan, scope }) => {
      const compiled = this.#plans.peek(plan);
      return compiled?.reads === true && compiled.accepts(scope);
    });
  }

  /** The answers to queries that do not wait for each other. */
  #answers(
    operation: Operation,
    plans: readonly PlannedQuery[],
    queries: readonly JsonQuery[],
    statements: Statements,
    inTransaction: boolean,
    failed?: (thrown: unknown, query: JsonQuery) => object,
  ): Promise<object[]> {
    return Promise.all(
      plans.map((plan, index) => {
        const query = queries[index] as JsonQuery;
        const answer = this.#answer(operation, plan, query, statements, inTransaction);
        return failed === undefined ? answer : answer.catch((thrown) => failed(thrown, query));
      }),
    );
  }

  /** Several findUnique that the compiler made one query of. */
  async #compacted(
    operation: Operation,
    { batch, scope }: Extract<PlannedBatch, { kind: 'compacted' }>,
    query: JsonQuery,
  ): Promise<object> {
    const { before, after } = replyFrameOf(query);
    const error = (thrown: unknown): object => ({ errors: [errorOf(thrown, query)] });
    try {
      const records = await operation.run((statements) => this.#keyed(operation, batch, scope, statements));
      if (records.written) {
        const parts = compactedTexts(records.records, batch, scope).map((text) =>
          text instanceof UserFacingError ? error(text) : new Written(`${before}${text}${after}`),
        );
        return batchReply(parts, operation.bounds.rowBytesMax);
      }
      const name = resultName(query);
      const results = compactedResults(records.mapped as Row[], batch, scope);
      return {
        batchResult: results.map((result) =>
          result instanceof UserFacingError ? error(result) : { data: { [name]: result } },
        ),
      };
    } catch (thrown) {
      return error(thrown);
    }
  }

  /** The records of a query that stands for several. */
  async #keyed(
    operation: Operation,
    batch: CompactedBatchResponse,
    scope: Row,
    statements: Statements,
  ): Promise<KeyedRecords> {
    const { inTransaction, telemetry, comments, bounds } = operation;
    const compiled = telemetry === undefined && comments === undefined ? this.#plans.find(batch.plan) : undefined;
    // A key that only the runtime's way of comparing knows: an instant, a decimal.
    if (compiled?.accepts(scope) !== true || !haveTexts(batch, scope)) {
      return {
        written: false,
        mapped: await this.#execute(operation, { plan: batch.plan, scope }, statements, inTransaction),
      };
    }
    return this.#parts.compiledExecutor.executeKeyed(compiled, scope, statements, {
      inTransaction,
      keys: batch.keys,
      members: new Set(batch.nestedSelection),
      bytesMax: bounds.rowBytesMax,
    });
  }

  /** Executes a query: gives its part of the reply, as an object or already written. */
  async #answer(
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
    const compiled = comments === undefined && telemetry === undefined ? this.#plans.find(plan) : undefined;
    if (compiled?.accepts(scope) !== true) {
      return { data: { [resultName(query)]: await this.#execute(operation, planned, statements, inTransaction) } };
    }
    return this.#parts.compiledExecutor.execute(compiled, scope, statements, {
      inTransaction,
      frame: frame ?? replyFrameOf(query),
      bytesMax: bounds.rowBytesMax,
    });
  }

  async #execute(
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

/** The reply of a batch: written, if a part of it is. */
function batchReply(batchResult: readonly object[], bytesMax: number): object {
  if (!batchResult.some((part) => part instanceof Written)) return { batchResult };
  let length = 0;
  const parts = batchResult.map((part) => {
    const text = part instanceof Written ? Buffer.from(part.body).toString() : JSON.stringify(part);
    length += text.length;
    if (length > bytesMax) throw new DormouseError('reply_too_large');
    return text;
  });
  return new Written(`{"batchResult":[${parts.join()}]}`);
}

function beginStatement(transaction: JsonObject | undefined): string {
  const level = transaction?.isolationLevel;
  if (level === undefined || level === null) return 'BEGIN';
  const sql = isolationLevel(level);
  if (sql === undefined) throw isolationLevelInvalid(String(level));
  return `BEGIN ISOLATION LEVEL ${sql}`;
}

function errorOf(thrown: unknown, query: QueryHead | undefined): Prisma6Error {
  if (thrown instanceof QueryRefused) return prisma6Error(thrown, query?.modelName);
  const error = clientError(thrown, 'query_invalid');
  if (error instanceof DormouseError) throw error;
  return prisma6Error(error, query?.modelName);
}

const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** A client that traces finds its trace in Postgres' own logs. */
function traceComment(traceparent: string | undefined): Record<string, string> | undefined {
  return traceparent !== undefined && TRACEPARENT.test(traceparent) ? { traceparent } : undefined;
}

import { type CompactedBatchResponse, UserFacingError } from '@prisma/client-engine-runtime';
import { DormouseError } from '../../base/index.ts';
import { QueryRefused } from '../compiler/index.ts';
import { clientError } from '../prisma-runtime/index.ts';
import { type KeyedRecords, Pace, SLICE_BYTES, type Slices, WrittenReply } from '../program/index.ts';
import { isObject, type JsonObject, jsonText } from '../request/index.ts';
import type { Statements } from '../statements/index.ts';
import { isolationLevel, transactionAborted } from '../transactions/index.ts';
import { compactedResults, compactedTexts, haveTexts, type Row } from './compacted-results.ts';
import { type JsonQuery, jsonQuery, replyFrameOf, resultName } from './json-query.ts';
import { errorOf, type Operation, type Prisma6Queries, type Prisma6QueryParts } from './prisma6-queries.ts';
import type { FailedReply, Prisma6Reply, QueryReply } from './prisma6-replies.ts';
import type { PlannedBatch, PlannedOrRefused, PlannedQuery } from './query-planning.ts';

const BATCH_BEGIN = Buffer.from('{"batchResult":[');
const COMMA = Buffer.from(',');
const BATCH_END = Buffer.from(']}');

/** Queries that one batch may hold. */
const BATCH_MAX = 10_000;

/**
 * Runs batches of Prisma 6: transactions, queries that the client sent together by chance, and findUnique queries that
 * the compiler made into one.
 */
export class Prisma6Batches {
  readonly #parts: Prisma6QueryParts;
  readonly #queries: Prisma6Queries;

  constructor(parts: Prisma6QueryParts, queries: Prisma6Queries) {
    this.#parts = parts;
    this.#queries = queries;
  }

  async run(operation: Operation, body: JsonObject, given: readonly unknown[]): Promise<Prisma6Reply> {
    if (given.length > BATCH_MAX) {
      throw new DormouseError('request_invalid', { message: `A batch holds at most ${BATCH_MAX} queries.` });
    }
    const queries = given.map(jsonQuery);
    const [first] = queries;
    if (first === undefined) return { batchResult: [] };
    const transaction = isObject(body.transaction) ? body.transaction : undefined;
    const inTransaction = transaction !== undefined || operation.inTransaction;
    let planned: PlannedBatch;
    try {
      planned = await this.#parts.planner.planBatch(operation, queries, transaction, inTransaction);
    } catch (thrown) {
      return { errors: [errorOf(thrown, first)] };
    }
    if (planned.kind === 'compacted') return this.#compacted(operation, planned, first);
    return planned.kind === 'each' && inTransaction
      ? this.#inOrder(operation, planned.queries, queries, transaction)
      : this.#eachAlone(operation, planned.queries, queries);
  }

  /** Runs all queries of the batch in one transaction: all or nothing. */
  async #inOrder(
    operation: Operation,
    plans: readonly PlannedQuery[],
    queries: readonly JsonQuery[],
    transaction: JsonObject | undefined,
  ): Promise<QueryReply> {
    if (!operation.inTransaction && this.#areReads(operation, plans)) {
      try {
        return await operation.run(async (statements) => {
          await statements.begin(isolationLevel(transaction?.isolationLevel));
          const batchResult = await this.#answers(operation, plans, queries, statements, true);
          if (!(await statements.commit())) throw transactionAborted();
          return await batchReply(batchResult, operation);
        });
      } catch (thrown) {
        // Running the queries again, one after the other, finds the one that failed and its error. They only read.
        const error = clientError(thrown, 'query_invalid');
        if (error instanceof DormouseError) throw error;
      }
    }
    let index = 0;
    try {
      return await operation.run(async (statements) => {
        const own = !operation.inTransaction;
        if (own) await statements.begin(isolationLevel(transaction?.isolationLevel));
        const batchResult: QueryReply[] = [];
        try {
          for (; index < plans.length; index++) {
            const [plan, query] = [plans[index], queries[index]];
            if (plan === undefined || query === undefined) break;
            batchResult.push(await this.#queries.answer(operation, plan, query, statements, true));
          }
          if (own && !(await statements.commit())) throw transactionAborted();
        } catch (error) {
          // A connection that is given back inside a transaction is rolled back anyway; a client that asked for
          // telemetry sees the statement only if it is sent here.
          if (own && operation.telemetry !== undefined) await statements.rollback().catch(() => undefined);
          throw error;
        }
        return await batchReply(batchResult, operation);
      });
    } catch (thrown) {
      const at = Math.min(index, queries.length - 1);
      const query = queries[at];
      const error = errorOf(thrown, query);
      error.user_facing_error.batch_request_idx = at;
      return { errors: [error] };
    }
  }

  /** Runs queries that the client sent together by chance: each has its own result or error. */
  async #eachAlone(
    operation: Operation,
    plans: readonly PlannedOrRefused[],
    queries: readonly JsonQuery[],
  ): Promise<QueryReply> {
    if (this.#areReads(operation, plans)) {
      const batchResult = await operation.run((statements) =>
        this.#answers(operation, plans, queries, statements, false, (thrown, query) => ({
          errors: [errorOf(thrown, query)],
        })),
      );
      return batchReply(batchResult, operation);
    }
    const batchResult: QueryReply[] = [];
    for (const [index, plan] of plans.entries()) {
      const query = queries[index];
      if (query === undefined) break;
      try {
        if (plan instanceof QueryRefused) throw plan;
        batchResult.push(
          await operation.run((statements) => this.#queries.answer(operation, plan, query, statements, false)),
        );
      } catch (thrown) {
        batchResult.push({ errors: [errorOf(thrown, query)] });
      }
    }
    return batchReply(batchResult, operation);
  }

  /** Whether all queries have programs that only read, so that they may run at the same time, and twice. */
  #areReads({ telemetry }: Operation, plans: readonly PlannedOrRefused[]): boolean {
    if (telemetry !== undefined) return false;
    return plans.every((planned) => {
      if (planned instanceof QueryRefused) return true;
      const program = this.#queries.programs.find(planned.plan);
      return program?.reads === true && program.accepts(planned.scope);
    });
  }

  /** Runs queries that do not wait for each other. */
  #answers(
    operation: Operation,
    plans: readonly PlannedOrRefused[],
    queries: readonly JsonQuery[],
    statements: Statements,
    inTransaction: boolean,
    failed?: (thrown: unknown, query: JsonQuery) => FailedReply,
  ): Promise<QueryReply[]> {
    return Promise.all(
      plans.map((plan, index) => {
        const query = queries[index] as JsonQuery;
        const answer =
          plan instanceof QueryRefused
            ? Promise.reject(plan)
            : this.#queries.answer(operation, plan, query, statements, inTransaction);
        return failed === undefined ? answer : answer.catch((thrown) => failed(thrown, query));
      }),
    );
  }

  /** Runs several findUnique queries that the compiler made into one. */
  async #compacted(
    operation: Operation,
    { batch, scope }: Extract<PlannedBatch, { kind: 'compacted' }>,
    query: JsonQuery,
  ): Promise<QueryReply> {
    const { before, after } = replyFrameOf(query);
    const error = (thrown: unknown): FailedReply => ({ errors: [errorOf(thrown, query)] });
    try {
      const records = await operation.run((statements) => this.#keyed(operation, batch, scope, statements));
      if (records.written) {
        const parts = compactedTexts(records.records, batch, scope).map((text) =>
          text instanceof UserFacingError ? error(text) : new WrittenReply(`${before}${text}${after}`),
        );
        return await batchReply(parts, operation);
      }
      const name = resultName(query);
      const reply = (): Promise<WrittenReply> => {
        const results = compactedResults(records.mapped as Row[], batch, scope);
        const parts = results.map((result) =>
          result instanceof UserFacingError ? error(result) : { data: { [name]: result } },
        );
        return batchReply(parts, operation);
      };
      return await (operation.telemetry === undefined ? reply() : operation.telemetry.serialize(reply));
    } catch (thrown) {
      return error(thrown);
    }
  }

  /** The records of a query that stands for several queries, by their keys. */
  async #keyed(
    operation: Operation,
    batch: CompactedBatchResponse,
    scope: Row,
    statements: Statements,
  ): Promise<KeyedRecords> {
    const { inTransaction, telemetry, bounds } = operation;
    const program = telemetry === undefined ? this.#queries.programs.find(batch.plan) : undefined;
    // Keys such as instants and decimals are compared by the runtime, not by their text.
    if (program?.accepts(scope) !== true || !haveTexts(batch, scope)) {
      return {
        written: false,
        mapped: await this.#queries.execute(operation, { plan: batch.plan, scope }, statements, inTransaction),
      };
    }
    return this.#parts.programExecutor.executeKeyed(program, scope, statements, {
      inTransaction,
      keys: batch.keys,
      members: new Set(batch.nestedSelection),
      bytesMax: bounds.rowBytesMax,
    });
  }
}

/** The reply to a batch, written in slices so that other requests have their turn. */
async function batchReply(batchResult: readonly QueryReply[], { bounds }: Operation): Promise<WrittenReply> {
  const written = new Pace(bounds).work(writing(batchResult, bounds.rowBytesMax));
  return new WrittenReply(written instanceof Promise ? await written : written);
}

function* writing(batchResult: readonly QueryReply[], bytesMax: number): Slices<Uint8Array> {
  const parts: Uint8Array[] = [BATCH_BEGIN];
  let length = 0;
  let sliceEnd = SLICE_BYTES;
  for (const part of batchResult) {
    if (length > sliceEnd) {
      sliceEnd = length + SLICE_BYTES;
      yield;
    }
    if (parts.length > 1) parts.push(COMMA);
    const body = 'body' in part ? part.body : jsonText(part);
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    length += bytes.byteLength;
    if (length > bytesMax) throw new DormouseError('reply_too_large');
    parts.push(bytes);
  }
  parts.push(BATCH_END);
  return Buffer.concat(parts);
}

import { type Call, DormouseError, type MinimalReply, type MinimalRequest } from '../../base/index.ts';
import { clientError } from '../prisma-runtime/index.ts';
import { milliseconds } from '../prisma7/index.ts';
import { WrittenReply } from '../program/index.ts';
import type { Prisma6QueryRoute, Prisma6Route, Prisma6TransactionRoute } from '../request/index.ts';
import {
  bodyText,
  type ClientLimits,
  type JsonObject,
  jsonReply,
  limitsOf,
  observed,
  operation,
  PRISMA6_TELEMETRY,
  parseBody,
  schemaMissing,
  type Telemetry,
  telemetryOf,
  traceComment,
  writtenReply,
  writtenWith,
} from '../request/index.ts';
import type { OperationBounds } from '../statements/index.ts';
import { isolationLevel } from '../statements/index.ts';
import { jsonQuery } from './json-query.ts';
import { Prisma6Batches } from './prisma6-batches.ts';
import { prisma6Error } from './prisma6-errors.ts';
import { type Operation, type Prisma6Parts, Prisma6Queries } from './prisma6-queries.ts';

/** What Prisma's own client defaults to. */
const TRANSACTION_TIMEOUT_MS = 5000;
const TRANSACTION_MAX_WAIT_MS = 2000;

/** The routes that Prisma Client 6 calls: it uploads its schema once and sends JSON queries, which we compile. */
export class Prisma6Routes {
  readonly #parts: Prisma6Parts;
  readonly #queries: Prisma6Queries;
  readonly #batches: Prisma6Batches;

  constructor(parts: Prisma6Parts) {
    this.#parts = parts;
    this.#queries = new Prisma6Queries(parts);
    this.#batches = new Prisma6Batches(parts, this.#queries);
  }

  async handle(route: Prisma6Route, request: MinimalRequest, call: Call): Promise<MinimalReply> {
    const limits = limitsOf(request, this.#parts.limits);
    const telemetry = telemetryOf(request, PRISMA6_TELEMETRY, this.#parts);
    const bounds = observed(this.#parts.bounds(call, limits), telemetry);
    switch (route.to) {
      case 'schema':
        await this.#parts.schemas.put(route.schemaHash, bodyText(request.body), bounds.deadline);
        return { status: 200, headers: { 'content-type': 'text/plain' }, body: route.schemaHash };
      case 'graphql':
      case 'itx-graphql':
        return this.#query(route, request, call, limits, bounds, telemetry);
      default:
        return this.#transaction(route, request, call, limits, bounds, telemetry);
    }
  }

  async #transaction(
    route: Prisma6TransactionRoute,
    request: MinimalRequest,
    call: Call,
    limits: ClientLimits,
    bounds: OperationBounds,
    telemetry: Telemetry | undefined,
  ): Promise<MinimalReply> {
    const { transactions, pool, publicUrl } = this.#parts;
    try {
      switch (route.to) {
        case 'itx-start': {
          const body = parseBody(bodyText(request.body));
          const start = {
            timeoutMs: Math.min(milliseconds(body.timeout, 'timeout', TRANSACTION_TIMEOUT_MS), limits.transactionMs),
            maxWaitMs: milliseconds(body.max_wait, 'max_wait', TRANSACTION_MAX_WAIT_MS),
            isolationLevel: isolationLevel(body.isolation_level),
          };
          const id = await operation(telemetry, 'start_transaction', () =>
            transactions.start(call, pool(call.principal.role), start, bounds),
          );
          const endpoint = `${publicUrl.replace(/\/+$/, '')}/${route.version}/${route.schemaHash}/itx/${id}`;
          return jsonReply(200, { id, 'data-proxy': { endpoint }, ...ended(telemetry) });
        }
        case 'itx-commit':
          await operation(telemetry, 'commit_transaction', () =>
            transactions.commit(call, route.transactionId, bounds),
          );
          return jsonReply(200, ended(telemetry));
        case 'itx-rollback':
          await operation(telemetry, 'rollback_transaction', () =>
            transactions.rollback(call, route.transactionId, bounds),
          );
          return jsonReply(200, ended(telemetry));
      }
    } catch (thrown) {
      const error = clientError(thrown, 'internal');
      if (error instanceof DormouseError) throw error;
      // Outside of queries the client knows this form of a known error only.
      const { message, meta } = prisma6Error(error, undefined).user_facing_error;
      const status = error.code === 'P2028' ? 409 : 400;
      return jsonReply(status, { is_panic: false, message, meta, error_code: error.code, ...ended(telemetry) });
    }
  }

  async #query(
    route: Prisma6QueryRoute,
    request: MinimalRequest,
    call: Call,
    limits: ClientLimits,
    bounds: OperationBounds,
    telemetry: Telemetry | undefined,
  ): Promise<MinimalReply> {
    const { schemas, planner, transactions } = this.#parts;
    const text = bodyText(request.body);
    const latest = schemas.latest(route.schemaHash);
    const known = latest === undefined ? undefined : planner.known(latest, text);
    const body = known === undefined ? parseBody(text) : {};
    const schema = latest ?? (await schemas.find(route.schemaHash, bounds.deadline));
    if (schema === undefined) return schemaMissing();
    const inTransaction = route.to === 'itx-graphql';
    const query: Operation = {
      schema,
      bounds,
      inTransaction,
      telemetry,
      comment: telemetry === undefined ? '' : traceComment(request.header('traceparent')),
      run: (work) =>
        route.to === 'itx-graphql'
          ? transactions.run(call, route.transactionId, bounds, work)
          : this.#parts.withStatements(call, bounds, work),
    };
    this.#parts.onOperation(call, 1);
    const reply = await operation(telemetry, 'query', () =>
      known === undefined ? this.#read(query, body, text) : this.#queries.known(query, known),
    );
    if (!(reply instanceof WrittenReply))
      return jsonReply(200, { ...reply, ...ended(telemetry) }, limits.replyBytesMax);
    const written = telemetry === undefined ? reply.body : writtenWith(reply.body, ended(telemetry));
    return writtenReply(written, limits.replyBytesMax);
  }

  #read(operation: Operation, body: JsonObject, text: string): Promise<object> {
    return Array.isArray(body.batch)
      ? this.#batches.run(operation, body, body.batch)
      : this.#queries.single(operation, jsonQuery(body), text);
  }
}

/** What a reply says of the work that it ends. */
function ended(telemetry: Telemetry | undefined): object {
  return telemetry === undefined ? {} : { extensions: telemetry.extensions() };
}

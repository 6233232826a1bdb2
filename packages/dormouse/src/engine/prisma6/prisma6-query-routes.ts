import { type Call, DormouseError, type MinimalReply, type Prisma6QueryRoute } from '../../base/index.ts';
import {
  bodyText,
  type JsonObject,
  jsonReply,
  limitsOf,
  observed,
  operation,
  operationBounds,
  PRISMA6_TELEMETRY,
  parseBody,
  type RequestContent,
  telemetryOf,
  traceComment,
  writtenReply,
  writtenWith,
} from '../request/index.ts';
import { jsonQuery } from './json-query.ts';
import { Prisma6Batches } from './prisma6-batches.ts';
import { type Operation, Prisma6Queries, type Prisma6QueryParts } from './prisma6-queries.ts';
import { type Prisma6Reply, telemetryMembers } from './prisma6-replies.ts';

/** The routes by which Prisma Client 6 sends JSON queries, of a schema that it has uploaded before. */
export class Prisma6QueryRoutes {
  readonly #parts: Prisma6QueryParts;
  readonly #queries: Prisma6Queries;
  readonly #batches: Prisma6Batches;

  constructor(parts: Prisma6QueryParts) {
    this.#parts = parts;
    this.#queries = new Prisma6Queries(parts);
    this.#batches = new Prisma6Batches(parts, this.#queries);
  }

  /** Forgets all plans. */
  clear(): void {
    this.#parts.planner.clear();
  }

  async handle(route: Prisma6QueryRoute, request: RequestContent, call: Call): Promise<MinimalReply> {
    const parts = this.#parts;
    const { schemas, planner } = parts;
    const limits = limitsOf(request, parts.limits);
    const telemetry = telemetryOf(request, PRISMA6_TELEMETRY, parts);
    const bounds = observed(operationBounds(parts.clock, call, limits), telemetry);
    const text = bodyText(request.body);
    const latest = schemas.latest(route.schemaHash);
    const known = latest === undefined ? undefined : planner.known(latest, text);
    const body = known === undefined ? parseBody(text) : {};
    const schema = latest ?? (await schemas.find(route.schemaHash, bounds.deadline));
    if (schema === undefined) throw new DormouseError('schema_missing');
    const query: Operation = {
      schema,
      bounds,
      inTransaction: route.name === 'transaction-query',
      telemetry,
      comment: telemetry === undefined ? '' : traceComment(request.header('traceparent')),
      run: (work) =>
        route.name === 'transaction-query'
          ? parts.inTransaction(call, route.transactionId, bounds, work)
          : parts.withStatements(call, bounds, work),
    };
    parts.onOperation(call);
    const reply = await operation(telemetry, 'query', () =>
      known === undefined ? this.#read(query, body, text) : this.#queries.known(query, known),
    );
    if (!('body' in reply)) return jsonReply(200, { ...reply, ...telemetryMembers(telemetry) }, limits.replyBytesMax);
    const written = telemetry === undefined ? reply.body : writtenWith(reply.body, telemetryMembers(telemetry));
    return writtenReply(written, limits.replyBytesMax);
  }

  #read(operation: Operation, body: JsonObject, text: string): Promise<Prisma6Reply> {
    return Array.isArray(body.batch)
      ? this.#batches.run(operation, body, body.batch)
      : this.#queries.single(operation, jsonQuery(body), text);
  }
}

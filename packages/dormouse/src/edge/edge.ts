import {
  type Call,
  type Cancellation,
  type Catalog,
  type Clock,
  type DatabaseId,
  Deadline,
  DormouseError,
  isQueryRoute,
  type Logger,
  type MinimalReply,
  type Origin,
  type Principal,
  parseRoute,
  protocolOf,
  type QueryRequest,
  type RandomBytes,
  type RequestId,
  type Route,
  Timings,
  toDormouseError,
} from '../base/index.ts';
import { type Authenticator, createAuthenticator, type EdgeKey } from './authenticate.ts';
import { Cache, type CacheAnswer, type CacheStatus } from './cache.ts';
import { cacheKeyOf } from './cache-key.ts';
import { type CacheWish, parseCacheWish, parseInvalidation } from './cache-wish.ts';
import { asksForReads } from './cacheable.ts';
import { createHttpDate } from './http-date.ts';
import { renderError } from './render-error.ts';
import { createRequestIds } from './request-ids.ts';

/** Bounds of the edge, each a flag of `dormouse start` where users need it. */
export interface EdgeLimits {
  /** Time of a whole call, wake and queue included; the engine's own limit for the query is shorter. */
  readonly callMs: number;
  readonly cacheBytesMax: number;
  readonly cacheEntryBytesMax: number;
  readonly tokensMax: number;
}

export const DEFAULT_EDGE_LIMITS: EdgeLimits = {
  // The engine's 60 s for a query, and as long again for a cold start under load and the queue.
  callMs: 120_000,
  cacheBytesMax: 64 * 1024 * 1024,
  // One sixteenth of the whole: one reply must not push out those of all other databases.
  cacheEntryBytesMax: 4 * 1024 * 1024,
  // About 1 KiB each with its token.
  tokensMax: 10_000,
};

export interface EdgeOptions {
  readonly catalog: Pick<Catalog, 'database' | 'key' | 'count'>;
  /** Answers the requests that the edge passes on: in Node the engine, in a Worker the network. */
  readonly origin: Origin;
  readonly keys: readonly EdgeKey[];
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** A collision-resistant digest (SHA-256) as hexadecimal text; Node's is synchronous, Web Crypto's is not. */
  readonly hash: (bytes: Uint8Array) => string | Promise<string>;
  /** Where this edge runs; shown after the dash of `cf-ray`, so without a dash itself. */
  readonly region: string;
  readonly limits: EdgeLimits;
  readonly log: Logger;
  /** Names the history of a database: a database made anew under the same id never meets old entries. */
  readonly generationOf: (databaseId: DatabaseId) => string;
  /** Gets the work that goes on after a reply was given; a Worker keeps itself alive for it. */
  readonly background?: (work: Promise<unknown>) => void;
}

export interface Edge {
  /** Serves one request; never rejects. `cancellation` fires when the client hangs up. */
  handle(request: QueryRequest, cancellation: Cancellation): Promise<MinimalReply>;
  /** The principal of an authorization header, for doors that stream. Throws or rejects with `key_*`. */
  authenticate(authorization: string | undefined): Principal | Promise<Principal>;
  /** Drops cached replies of a database, by tag or all. Returns how many were dropped. */
  invalidate(databaseId: DatabaseId, tags: readonly string[] | 'all'): number;
  readonly stats: { readonly entries: number; readonly bytes: number; readonly flights: number };
}

/** Puts the stages together: authenticate, route, cache, origin. */
export function createEdge(options: EdgeOptions): Edge {
  return new EdgeOfOneRegion(options);
}

class EdgeOfOneRegion implements Edge {
  readonly #options: EdgeOptions;
  readonly #authenticate: Authenticator;
  readonly #cache: Cache;
  readonly #nextRequestId: () => RequestId;
  readonly #httpDate: () => string;

  constructor(options: EdgeOptions) {
    const { catalog, clock, keys, limits, log } = options;
    this.#options = options;
    this.#nextRequestId = createRequestIds(options.random);
    this.#httpDate = createHttpDate(clock);
    this.#authenticate = createAuthenticator({ keys, catalog, clock, tokensMax: limits.tokensMax });
    this.#cache = new Cache({
      clock,
      limits: { bytesMax: limits.cacheBytesMax, entryBytesMax: limits.cacheEntryBytesMax },
      background: options.background ?? (() => {}),
      onRefreshFailed: (databaseId, error) => {
        log.log('warn', 'a cache refresh failed; the stale entry stays', {
          databaseId,
          code: toDormouseError(error).code,
        });
      },
    });
  }

  authenticate(authorization: string | undefined): Principal | Promise<Principal> {
    return this.#authenticate(authorization);
  }

  get stats(): Edge['stats'] {
    return this.#cache.stats;
  }

  invalidate(databaseId: DatabaseId, tags: readonly string[] | 'all'): number {
    return this.#cache.invalidate(databaseId, tags);
  }

  async handle(request: QueryRequest, cancellation: Cancellation): Promise<MinimalReply> {
    const { clock, limits, origin, region } = this.#options;
    const startedMs = clock.monotonic();
    const requestId = this.#nextRequestId();
    const timings = new Timings();
    let reply: MinimalReply;
    let route: Route | undefined;
    // One function from authentication to the reply: each further async function costs a query one percent of its time.
    try {
      route = parseRoute(request.method, request.path);
      const proven = this.#authenticate(request.header('authorization'));
      const principal = proven instanceof Promise ? await proven : proven;
      const provenMs = clock.monotonic();
      timings.add('auth', provenMs - startedMs);
      if (route.name === 'invalidate') {
        reply = this.#invalidate(principal, request);
      } else {
        const deadline = new Deadline(clock, provenMs + limits.callMs);
        const call: Call = { requestId, route, principal, timings, deadline, cancellation };
        const wish = wishOf(route, request);
        if (wish !== undefined) {
          reply = await this.#cached(route, request, call, wish);
        } else if (isQueryRoute(route)) {
          const lastModified = this.#httpDate();
          reply = queryReply(await origin.handle(request, call), 'none', lastModified, undefined);
        } else {
          reply = withHeaders(await origin.handle(request, call), {});
        }
      }
    } catch (thrown) {
      reply = this.#render(thrown, request, requestId, route);
    }
    timings.add('total', clock.monotonic() - startedMs);
    // Every branch above made a headers object for this reply alone, so that it may be written to.
    reply.headers['server-timing'] = timings.header();
    reply.headers['cf-ray'] = `${requestId}-${region}`;
    return reply;
  }

  async #cached(route: Route, request: QueryRequest, call: Call, wish: CacheWish): Promise<MinimalReply> {
    const { catalog, clock, hash, limits, origin } = this.#options;
    const { databaseId, keyId } = call.principal;
    const lookupMs = clock.monotonic();
    const hashed = hash(request.body);
    const digest = typeof hashed === 'string' ? hashed : await hashed;
    const pending = this.#cache.answer({
      key: cacheKeyOf(request, call.principal, this.#options.generationOf(databaseId), wish.tags, digest),
      databaseId,
      wish,
      cancellation: call.cancellation,
      mayKeep: () => asksForReads(route.protocol, request.body),
      // Several requests may wait for this call: it has its own deadline and cancellation, not those of the first.
      fetch: (cancellation, behind) =>
        origin.handle(request, {
          ...call,
          cancellation,
          deadline: Deadline.in(clock, limits.callMs),
          timings: behind ? new Timings() : call.timings,
        }),
    });
    let answer: CacheAnswer;
    if (pending instanceof Promise) {
      // The wait for another request's call counts as cache time; the time of an own call counts for its stages.
      call.timings.add('cache', clock.monotonic() - lookupMs);
      const waitMs = clock.monotonic();
      answer = await pending;
      if (answer.shared) call.timings.add('cache', clock.monotonic() - waitMs);
    } else {
      answer = pending;
      call.timings.add('cache', clock.monotonic() - lookupMs);
    }
    // The origin counts only the operations that reach it.
    if (answer.shared) catalog.count(keyId, databaseId, 1);
    return queryReply(answer.reply, answer.cacheStatus, answer.lastModified, digest);
  }

  #invalidate({ databaseId }: Principal, request: QueryRequest): MinimalReply {
    const invalidated = this.#cache.invalidate(databaseId, parseInvalidation(request.body));
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ invalidated }) };
  }

  #render(thrown: unknown, request: QueryRequest, requestId: RequestId, route: Route | undefined): MinimalReply {
    const error = toDormouseError(thrown);
    if (error.kind === 'service' || !(thrown instanceof DormouseError)) {
      this.#options.log.log('error', error.message, { requestId, code: error.code, cause: error.cause });
    } else if (error.cause !== undefined) {
      // An error that looks like the caller's mistake may be a bug of Dormouse: the cause shows which.
      this.#options.log.log('info', error.message, { requestId, code: error.code, cause: error.cause });
    }
    const reply = renderError(error, route?.protocol ?? protocolOf(request.path));
    // Prisma 6 shows this id after the message.
    const extra: Record<string, string> = { 'prisma-request-id': requestId };
    if (route !== undefined && isQueryRoute(route)) extra['accelerate-cache-status'] = 'none';
    return withHeaders(reply, extra);
  }
}

/**
 * What the client asks of the cache. The extension asks for caching inside transactions too, but there a reply is valid
 * in that transaction only.
 */
function wishOf(route: Route, request: QueryRequest): CacheWish | undefined {
  if (route.name !== 'query') return undefined;
  const cacheControl = request.header('cache-control');
  if (cacheControl === undefined || request.header('x-transaction-id') !== undefined) return undefined;
  return parseCacheWish(cacheControl, request.header('accelerate-cache-tags'));
}

/** A query's reply with the headers that the extension reads, in an object of its own. */
function queryReply(
  reply: MinimalReply,
  cacheStatus: CacheStatus,
  lastModified: string,
  signature: string | undefined,
): MinimalReply {
  // One literal, with empty values for later headers: a cached reply spent a fifth of its time on growing this object.
  const headers: Record<string, string> = {
    'content-type': reply.headers['content-type'] ?? 'application/json',
    'accelerate-cache-status': cacheStatus,
    'last-modified': lastModified,
    'server-timing': '',
    'cf-ray': '',
  };
  // An origin that is an edge itself reports its own cache; the headers of this edge's cache come first.
  for (const name in reply.headers) headers[name] ??= reply.headers[name] ?? '';
  if (signature !== undefined) headers['accelerate-signature'] = signature;
  return { status: reply.status, headers, body: reply.body };
}

function withHeaders(reply: MinimalReply, headers: Record<string, string>): MinimalReply {
  return { status: reply.status, headers: { ...reply.headers, ...headers }, body: reply.body };
}

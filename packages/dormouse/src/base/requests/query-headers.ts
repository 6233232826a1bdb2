/**
 * Every header that the edge or the engine reads, and what depends on it:
 *
 * - `edge`: read by the edge alone, before the request reaches its origin.
 * - `reply`: read by the engine, and two requests that differ in it may get different replies. Such a header is part of
 *   the cache key.
 * - `statements`: read by the engine, but changes only what PostgreSQL is sent. Each request has its own, so that a
 *   cache key with it would never be found again.
 *
 * Requests take these names only, so that code which reads another header does not compile before the header stands
 * here.
 */
const QUERY_HEADERS = {
  authorization: 'edge',
  'cache-control': 'edge',
  'accelerate-cache-tags': 'edge',
  'x-transaction-id': 'edge',
  'x-capture-telemetry': 'reply',
  'x-query-timeout': 'reply',
  'x-max-transaction-timeout': 'reply',
  'x-max-response-size': 'reply',
  'prisma-engine-hash': 'reply',
  'prisma-engine-version': 'reply',
  traceparent: 'statements',
} as const;

type Uses = typeof QUERY_HEADERS;

/** A header that the edge or the engine reads. */
export type QueryHeader = keyof Uses;
/** A header that a reply may depend on. */
export type ReplyHeader = { [Name in QueryHeader]: Uses[Name] extends 'reply' ? Name : never }[QueryHeader];
/** A header that the engine reads. */
export type EngineHeader = { [Name in QueryHeader]: Uses[Name] extends 'edge' ? never : Name }[QueryHeader];

const names = Object.keys(QUERY_HEADERS) as QueryHeader[];

/** The headers that belong into a cache key. */
export const REPLY_HEADERS: readonly ReplyHeader[] = names.filter(
  (name): name is ReplyHeader => QUERY_HEADERS[name] === 'reply',
);

/** The headers that must reach the engine, wherever it runs. */
export const ENGINE_HEADERS: readonly EngineHeader[] = names.filter(
  (name): name is EngineHeader => QUERY_HEADERS[name] !== 'edge',
);

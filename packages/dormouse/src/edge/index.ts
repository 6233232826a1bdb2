/**
 * Owns: the first steps of every query: who asks (signed keys), which route, the cache, and how an error looks to each
 *   client.
 * Never: imports a node: module or another folder than base/, does I/O, opens a request's body beyond the field that
 *   names the operation.
 * Limits: verified tokens, cache bytes and bytes an entry, tags a query, time a call.
 * Fails with: `key_*`, `database_deleted`, `permission_denied`, `route_unknown`, `method_not_allowed`,
 *   `request_invalid`, and what the origin fails with; `Edge.handle` itself never throws: it renders.
 */
export type { EdgeKey } from './authenticate.ts';
export { CACHE_TAGS_MAX, CACHE_TTL_SECONDS_MAX } from './cache-wish.ts';
export { createEdge, DEFAULT_EDGE_LIMITS, type Edge, type EdgeLimits, type EdgeOptions } from './edge.ts';
export { renderError } from './render-error.ts';

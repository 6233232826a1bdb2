/**
 * Owns: the first steps of every query: authentication by signed keys, the route, the cache, and the form of an error
 *   for each client.
 * Never: imports a node: module or another folder than base/, does I/O, reads more of a request's body than the field
 *   that names the operation.
 * Limits: verified tokens, bytes of the cache and of one entry, tags per query, time per call.
 * Fails with: `key_*`, `database_deleted`, `permission_denied`, `route_unknown`, `method_not_allowed`,
 *   `request_invalid`, and the errors of the origin. `Edge.handle` itself never throws: it turns errors into replies.
 */
export type { EdgeKey } from './authenticate.ts';
export { CACHE_TAGS_MAX, CACHE_TTL_SECONDS_MAX } from './cache-wish.ts';
export { createEdge, DEFAULT_EDGE_LIMITS, type Edge, type EdgeLimits, type EdgeOptions } from './edge.ts';
export { renderError } from './render-error.ts';

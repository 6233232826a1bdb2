/**
 * Owns: a request and its reply as the stages pass them on: the only parser of routes, the only list of headers that a
 *   query's reply may depend on, and the call that carries both.
 * Never: serves a request.
 */
export * from './http.ts';
export * from './query-headers.ts';
export * from './routes.ts';

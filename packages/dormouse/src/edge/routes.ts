import { DormouseError } from '../base/index.ts';

/** Which client speaks on a path; decides how an error is written. */
export type Protocol = 'prisma6' | 'prisma7';

/** Every route of the two Accelerate protocols. */
export type RouteName =
  | 'connection-info'
  | 'query'
  | 'transaction-start'
  | 'transaction-query'
  | 'transaction-commit'
  | 'transaction-rollback'
  | 'schema'
  | 'invalidate';

export interface Route {
  readonly protocol: Protocol;
  readonly name: RouteName;
  readonly method: string;
}

interface Pattern extends Route {
  readonly path: RegExp;
}

// A segment as clients build it. Client versions and schema hashes are taken as they come: an unknown newer client is
// tried.
const SEGMENT = '[A-Za-z0-9._~+-]{1,128}';
const PRISMA6_BASE = `^/${SEGMENT}/${SEGMENT}`;

// Prisma 7 first: `/transaction/ID/query` has the shape of a Prisma 6 path too.
const PATTERNS: readonly Pattern[] = [
  { protocol: 'prisma7', name: 'connection-info', method: 'GET', path: /^\/connection-info$/ },
  { protocol: 'prisma7', name: 'invalidate', method: 'POST', path: /^\/invalidate$/ },
  { protocol: 'prisma7', name: 'transaction-start', method: 'POST', path: /^\/transaction\/start$/ },
  { protocol: 'prisma7', name: 'transaction-query', method: 'POST', path: /^\/transaction\/[^/]{1,128}\/query$/ },
  { protocol: 'prisma7', name: 'transaction-commit', method: 'POST', path: /^\/transaction\/[^/]{1,128}\/commit$/ },
  { protocol: 'prisma7', name: 'transaction-rollback', method: 'POST', path: /^\/transaction\/[^/]{1,128}\/rollback$/ },
  { protocol: 'prisma6', name: 'query', method: 'POST', path: new RegExp(`${PRISMA6_BASE}/graphql$`) },
  { protocol: 'prisma6', name: 'schema', method: 'PUT', path: new RegExp(`${PRISMA6_BASE}/schema$`) },
  {
    protocol: 'prisma6',
    name: 'transaction-start',
    method: 'POST',
    path: new RegExp(`${PRISMA6_BASE}/transaction/start$`),
  },
  {
    protocol: 'prisma6',
    name: 'transaction-query',
    method: 'POST',
    path: new RegExp(`${PRISMA6_BASE}/itx/${SEGMENT}/graphql$`),
  },
  {
    protocol: 'prisma6',
    name: 'transaction-commit',
    method: 'POST',
    path: new RegExp(`${PRISMA6_BASE}/itx/${SEGMENT}/commit$`),
  },
  {
    protocol: 'prisma6',
    name: 'transaction-rollback',
    method: 'POST',
    path: new RegExp(`${PRISMA6_BASE}/itx/${SEGMENT}/rollback$`),
  },
];

const PRISMA7_QUERY: Route = { protocol: 'prisma7', name: 'query', method: 'POST' };
// A client version starts with a digit (6.19.0); routes of other doors do not.
const PRISMA6_PATH = /^\/\d[^/]*\/[^/]+\//;

/** Which protocol a path belongs to, known or not: an error must be written before a route is found. */
export function protocolOf(path: string): Protocol {
  return PRISMA6_PATH.test(path) ? 'prisma6' : 'prisma7';
}

/** The route of a request; throws `route_unknown`, or `method_not_allowed` with the allowed method in its meta. */
export function matchRoute(method: string, path: string): Route {
  if (path === '/query' && method === 'POST') return PRISMA7_QUERY;
  const found = path === '/query' ? PRISMA7_QUERY : PATTERNS.find((pattern) => pattern.path.test(path));
  if (!found) throw new DormouseError('route_unknown');
  if (found.method !== method) {
    throw new DormouseError('method_not_allowed', {
      message: `This address takes ${found.method} only.`,
      meta: { allow: found.method },
    });
  }
  return found;
}

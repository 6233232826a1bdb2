import { DormouseError } from '../errors.ts';

/** The protocol of Prisma Accelerate that a client speaks, by the major version of Prisma Client. */
export type Protocol = 'prisma6' | 'prisma7';

interface Prisma7Path {
  readonly protocol: 'prisma7';
}

/** Prisma Client 6 puts its own version and the hash of its schema in front of every path. */
interface Prisma6Path {
  readonly protocol: 'prisma6';
  readonly version: string;
  readonly schemaHash: string;
}

interface Query {
  readonly name: 'query';
}

/** A query inside an interactive transaction. */
interface TransactionQuery {
  readonly name: 'transaction-query';
  readonly transactionId: string;
}

interface TransactionStart {
  readonly name: 'transaction-start';
}

interface TransactionEnd {
  readonly name: 'transaction-commit' | 'transaction-rollback';
  readonly transactionId: string;
}

/** A route of Prisma Client 6 that takes a query, or a batch of queries. */
export type Prisma6QueryRoute = Prisma6Path & (Query | TransactionQuery);
/** A route of Prisma Client 6 that starts or ends an interactive transaction. */
export type Prisma6TransactionRoute = Prisma6Path & (TransactionStart | TransactionEnd);
export type Prisma6Route = Prisma6QueryRoute | Prisma6TransactionRoute | (Prisma6Path & { readonly name: 'schema' });

/** A route of Prisma Client 7 that takes a query. */
export type Prisma7QueryRoute = Prisma7Path & (Query | TransactionQuery);
/** A route of Prisma Client 7 that starts or ends an interactive transaction. */
export type Prisma7TransactionRoute = Prisma7Path & (TransactionStart | TransactionEnd);
/** A route of Prisma Client 7 that the engine serves. */
export type Prisma7Route =
  | Prisma7QueryRoute
  | Prisma7TransactionRoute
  | (Prisma7Path & { readonly name: 'connection-info' });

export type QueryRoute = Prisma6QueryRoute | Prisma7QueryRoute;
/** A route that the edge passes on to its origin. */
export type OriginRoute = Prisma6Route | Prisma7Route;
/** A route of either protocol. The edge serves `invalidate` itself. */
export type Route = OriginRoute | (Prisma7Path & { readonly name: 'invalidate' });

/** The one method that each route takes. */
const METHODS: Readonly<Record<Route['name'], 'GET' | 'POST' | 'PUT'>> = {
  'connection-info': 'GET',
  invalidate: 'POST',
  query: 'POST',
  schema: 'PUT',
  'transaction-start': 'POST',
  'transaction-query': 'POST',
  'transaction-commit': 'POST',
  'transaction-rollback': 'POST',
};

/** The routes whose path has no variable part. */
const FIXED: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/query', { protocol: 'prisma7', name: 'query' }],
  ['/connection-info', { protocol: 'prisma7', name: 'connection-info' }],
  ['/invalidate', { protocol: 'prisma7', name: 'invalidate' }],
  ['/transaction/start', { protocol: 'prisma7', name: 'transaction-start' }],
]);

/** `/transaction/ID/ACTION`. Any text of up to 64 characters is taken: the engine knows the ids. */
const PRISMA7_TRANSACTION = /^\/transaction\/([^/]{1,64})\/(query|commit|rollback)$/;
/** `/VERSION/HASH/ACTION`, or `/VERSION/HASH/itx/ID/ACTION`. Every version is taken: a newer client may work. */
const PRISMA6 =
  /^\/([A-Za-z0-9.+_-]{1,64})\/([0-9a-f]{64})\/(?:(schema|graphql|transaction\/start)|itx\/([^/]{1,64})\/(graphql|commit|rollback))$/;
/** A client's version starts with a digit (6.19.0). No path of another protocol or door does. */
const PRISMA6_BEGINNING = /^\/\d[^/]*\/[^/]+\//;

/**
 * Reads the path of a request. This is the only parser of the paths of both Accelerate protocols: its result travels
 * with the request. Throws `route_unknown`, or `method_not_allowed` with the allowed method in its meta.
 */
export function parseRoute(method: string, path: string): Route {
  const route = FIXED.get(path) ?? prisma6Route(path) ?? prisma7TransactionRoute(path);
  if (route === undefined) throw new DormouseError('route_unknown');
  const allow = METHODS[route.name];
  if (method !== allow) {
    throw new DormouseError('method_not_allowed', { message: `This address takes ${allow} only.`, meta: { allow } });
  }
  return route;
}

/** The protocol of a path, whether or not the path has a route: errors come before routes, and need a protocol too. */
export function protocolOf(path: string): Protocol {
  return PRISMA6_BEGINNING.test(path) ? 'prisma6' : 'prisma7';
}

/** Tells the routes that take a query, or a batch of queries. */
export function isQueryRoute(route: Route): route is QueryRoute {
  return route.name === 'query' || route.name === 'transaction-query';
}

function prisma7TransactionRoute(path: string): Prisma7Route | undefined {
  const [, transactionId = '', action] = PRISMA7_TRANSACTION.exec(path) ?? [];
  if (action === undefined) return undefined;
  return action === 'query'
    ? { protocol: 'prisma7', name: 'transaction-query', transactionId }
    : { protocol: 'prisma7', name: endOf(action), transactionId };
}

function prisma6Route(path: string): Prisma6Route | undefined {
  const found = PRISMA6.exec(path);
  if (found === null) return undefined;
  const [, version = '', schemaHash = '', action, transactionId = '', inTransaction = ''] = found;
  const protocol = 'prisma6';
  switch (action ?? inTransaction) {
    case 'schema':
      return { protocol, name: 'schema', version, schemaHash };
    case 'transaction/start':
      return { protocol, name: 'transaction-start', version, schemaHash };
    case 'graphql':
      return action === undefined
        ? { protocol, name: 'transaction-query', version, schemaHash, transactionId }
        : { protocol, name: 'query', version, schemaHash };
    default:
      return { protocol, name: endOf(inTransaction), version, schemaHash, transactionId };
  }
}

function endOf(action: string): TransactionEnd['name'] {
  return action === 'commit' ? 'transaction-commit' : 'transaction-rollback';
}

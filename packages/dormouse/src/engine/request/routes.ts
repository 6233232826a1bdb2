import { DormouseError } from '../../base/index.ts';

/** A route of Prisma Client 7. */
export type Prisma7Route =
  | { readonly to: 'connection-info' }
  | { readonly to: 'query' }
  | { readonly to: 'transaction-start' }
  | { readonly to: 'transaction-query'; readonly transactionId: string }
  | { readonly to: 'transaction-commit'; readonly transactionId: string }
  | { readonly to: 'transaction-rollback'; readonly transactionId: string };

/** What every path of Prisma Client 6 starts with. */
interface Prisma6Prefix {
  readonly version: string;
  readonly schemaHash: string;
}

/** A route of Prisma Client 6 that runs queries. */
export type Prisma6QueryRoute = Prisma6Prefix &
  ({ readonly to: 'graphql' } | { readonly to: 'itx-graphql'; readonly transactionId: string });

/** A route of Prisma Client 6 that starts or ends an interactive transaction. */
export type Prisma6TransactionRoute = Prisma6Prefix &
  (
    | { readonly to: 'itx-start' }
    | { readonly to: 'itx-commit'; readonly transactionId: string }
    | { readonly to: 'itx-rollback'; readonly transactionId: string }
  );

export type Prisma6Route = (Prisma6Prefix & { readonly to: 'schema' }) | Prisma6QueryRoute | Prisma6TransactionRoute;

/** A route that takes a query, or a batch of them. */
export type QueryRoute =
  | Prisma6QueryRoute
  | Extract<Prisma7Route, { readonly to: 'query' } | { readonly to: 'transaction-query' }>;

/** Where a request of either Accelerate protocol leads. */
export type Route = Prisma6Route | Prisma7Route;

const PRISMA7_TRANSACTION = /^\/transaction\/([^/]{1,64})\/(query|commit|rollback)$/;
/** Prisma 6 puts the client's version and the schema's hash in front of every path. */
const PRISMA6 =
  /^\/([A-Za-z0-9.+_-]{1,64})\/([0-9a-f]{64})\/(?:(schema|graphql|transaction\/start)|itx\/([^/]{1,64})\/(graphql|commit|rollback))$/;

/** Finds the route of a request. Throws `route_unknown` or `method_not_allowed`. */
export function routeOf(method: string, path: string): Route {
  const { route, takes } = match(path);
  if (method !== takes) {
    throw new DormouseError('method_not_allowed', {
      message: `This address takes ${takes}, not ${method.slice(0, 20)}.`,
    });
  }
  return route;
}

function match(path: string): { route: Route; takes: 'GET' | 'POST' | 'PUT' } {
  switch (path) {
    case '/query':
      return { route: { to: 'query' }, takes: 'POST' };
    case '/connection-info':
      return { route: { to: 'connection-info' }, takes: 'GET' };
    case '/transaction/start':
      return { route: { to: 'transaction-start' }, takes: 'POST' };
  }
  const six = PRISMA6.exec(path);
  if (six !== null) {
    const [, version = '', schemaHash = '', action, transactionId = '', itx] = six;
    const at = { version, schemaHash };
    switch (action ?? itx) {
      case 'schema':
        return { route: { to: 'schema', ...at }, takes: 'PUT' };
      case 'transaction/start':
        return { route: { to: 'itx-start', ...at }, takes: 'POST' };
      case 'commit':
        return { route: { to: 'itx-commit', ...at, transactionId }, takes: 'POST' };
      case 'rollback':
        return { route: { to: 'itx-rollback', ...at, transactionId }, takes: 'POST' };
      default:
        return itx === undefined
          ? { route: { to: 'graphql', ...at }, takes: 'POST' }
          : { route: { to: 'itx-graphql', ...at, transactionId }, takes: 'POST' };
    }
  }
  const seven = PRISMA7_TRANSACTION.exec(path);
  if (seven !== null) {
    const [, transactionId = '', action] = seven;
    switch (action) {
      case 'query':
        return { route: { to: 'transaction-query', transactionId }, takes: 'POST' };
      case 'commit':
        return { route: { to: 'transaction-commit', transactionId }, takes: 'POST' };
      default:
        return { route: { to: 'transaction-rollback', transactionId }, takes: 'POST' };
    }
  }
  throw new DormouseError('route_unknown');
}

export function isQueryRoute(route: Route): route is QueryRoute {
  switch (route.to) {
    case 'graphql':
    case 'itx-graphql':
    case 'query':
    case 'transaction-query':
      return true;
    default:
      return false;
  }
}

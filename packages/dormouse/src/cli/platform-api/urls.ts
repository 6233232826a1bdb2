import type { Urls } from './read-replies.ts';

/** The path of one database in the management API. */
export function databasePath(nameOrId: string): string {
  return `/api/databases/${encodeURIComponent(nameOrId)}`;
}

/** The path of one key in the management API. */
export function keyPath(nameOrId: string, keyId: string): string {
  return `${databasePath(nameOrId)}/keys/${encodeURIComponent(keyId)}`;
}

/** The dashboard's address. The token is in the fragment, which browsers send to no server. */
export function dashboardUrl(base: string, token: string): string {
  return `${base}/dashboard/#token=${token}`;
}

/** The three addresses of a database, as pairs of label and text. */
export function urlPairs(urls: Urls): readonly (readonly [string, string])[] {
  const none = 'every owner key is revoked; create one with `dormouse key create`';
  return [
    ['Prisma', urls.prismaUrl ?? none],
    ['Postgres', urls.postgresUrl ?? none],
    ['Events', urls.pulseUrl],
  ];
}

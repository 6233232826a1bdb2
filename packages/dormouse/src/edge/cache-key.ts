import { type Principal, type QueryRequest, REPLY_HEADERS } from '../base/index.ts';

/**
 * The key that a reply is kept under: everything that the reply depends on, and everything that decides whose it is.
 * `generation` names the history of the database, `digest` stands for the request's body.
 */
export function cacheKeyOf(
  request: Omit<QueryRequest, 'body'>,
  { databaseId, role }: Principal,
  generation: string,
  tags: readonly string[],
  digest: string,
): string {
  // Tags are part of the key: a reply kept under other tags would survive an invalidation of the tags asked for here.
  let key = `${databaseId}\n${generation}\n${role}\n${request.path}\n${request.search}\n${digest}\n${tags.join(',')}`;
  for (const name of REPLY_HEADERS) key += `\n${request.header(name) ?? ''}`;
  return key;
}

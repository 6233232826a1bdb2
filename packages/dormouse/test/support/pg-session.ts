import pg from 'pg';

/** A session, and the error that ended it early, if any. */
export interface WatchedSession {
  readonly client: pg.Client;
  readonly lost: () => { readonly code?: string; readonly message: string } | undefined;
}

/** Opens a session whose end by the server is no uncaught error. */
export async function openSession(config: string | pg.ClientConfig): Promise<WatchedSession> {
  const client = new pg.Client(config);
  let lost: ReturnType<WatchedSession['lost']>;
  client.on('error', (error) => {
    lost ??= error;
  });
  await client.connect();
  return { client, lost: () => lost };
}

/** Opens a session, runs `work` with it, and closes it even if either fails. */
export async function withSession<T>(
  config: string | pg.ClientConfig,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { client } = await openSession(config);
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** The rows of one statement on a session of its own, each a list of values. */
export function queryRows(config: string | pg.ClientConfig, sql: string): Promise<unknown[][]> {
  return withSession(config, async (client) => (await client.query({ text: sql, rowMode: 'array' })).rows);
}

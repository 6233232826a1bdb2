import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type ClientVersion, type Loose, loadClient } from '../test/support/clients.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../test/support/platform.ts';
import { pushSchema, runSql } from '../test/support/push-schema.ts';
import { clientOptions } from '../test/support/target.ts';
import { type RecordedRequest, record } from './load.ts';

/** Rows in the table that the queries read. */
export const ROWS = 1000;

/** A platform with one database that holds the benchmark's rows. */
export interface Stage {
  readonly platform: Platform;
  readonly database: DatabaseUrls;
  readonly port: number;
  readonly apiKey: string;
  /** A URL that reaches the same Postgres directly, without Dormouse: for peers. */
  readonly directUrl: string;
  /** The requests that the stock client makes for these calls, as it sends them. */
  record(version: ClientVersion, calls: readonly ((client: Loose) => Promise<unknown>)[]): Promise<RecordedRequest[]>;
  stop(): Promise<void>;
}

export async function openStage(flags: readonly string[]): Promise<Stage> {
  const platform = await startPlatform({ flags });
  try {
    const database = await platform.createDatabase('bench');
    await pushSchema(database.postgresUrl, 7);
    await runSql(
      database.postgresUrl,
      `INSERT INTO users (email, name, updated_at) SELECT 'user' || i || '@example.com', 'User ' || i, now() FROM generate_series(1, 100) i;
       INSERT INTO posts (title, body, author_id, views, published, written_at)
       SELECT 'Post ' || i, repeat('text ', 20), 1 + i % 100, i, i % 2 = 0, now() FROM generate_series(1, ${ROWS}) i;
       ANALYZE;`,
    );
    const apiKey = new URL(database.prismaUrl).searchParams.get('api_key') as string;
    const socket = join(platform.data, 'databases', database.id, 'run');
    return {
      platform,
      database,
      port: Number(new URL(platform.http).port),
      apiKey,
      directUrl: `postgresql://owner@localhost/postgres?host=${encodeURIComponent(socket)}`,
      record: (version, calls) => recordCalls(platform, database, apiKey, version, calls),
      stop: () => platform.stop(),
    };
  } catch (error) {
    await platform.stop();
    throw error;
  }
}

/** Puts a proxy between client and platform and keeps what the client sent. */
async function recordCalls(
  platform: Platform,
  database: DatabaseUrls,
  apiKey: string,
  version: ClientVersion,
  calls: readonly ((client: Loose) => Promise<unknown>)[],
): Promise<RecordedRequest[]> {
  const recorded: RecordedRequest[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const { host: _host, connection: _connection, 'content-length': _length, ...headers } = incoming.headers;
    const onward = request(
      `${platform.http}${incoming.url}`,
      { method: incoming.method ?? 'GET', headers: { ...headers, 'content-length': body.length } },
      async (reply) => {
        const bytes = await buffer(reply);
        if (incoming.method === 'POST' && reply.statusCode === 200) {
          const kept = { ...(headers as Record<string, string>), authorization: `Bearer ${apiKey}` };
          recorded.push(record('POST', incoming.url ?? '', kept, body.toString()));
        }
        outgoing.writeHead(reply.statusCode ?? 500, reply.headers).end(bytes);
      },
    );
    onward.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(database.prismaUrl);
  url.port = String((server.address() as AddressInfo).port);
  const { PrismaClient } = await loadClient(version);
  const client = new PrismaClient(clientOptions(version, url.href));
  try {
    for (const call of calls) await call(client);
  } finally {
    await client.$disconnect();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  return recorded;
}

import pg from 'pg';
import { expect, it } from 'vitest';
import { rawPlan } from '../support/bare-engine.ts';
import { type DatabaseUrls, startPlatform } from '../support/platform.ts';
import { until } from '../support/until.ts';

const SESSIONS = 120;
const POOLED = 30;

it('a database serves as many connections at once as the flags allow', async () => {
  const flags = ['--tcp-connections', String(SESSIONS), '--pool-connections', String(POOLED)];
  const platform = await startPlatform({ flags });
  const clients: pg.Client[] = [];
  try {
    const [main] = platform.databases as [DatabaseUrls];
    const keys: (string | undefined)[] = [];
    for (const role of ['owner', 'writer', 'reader']) {
      keys.push((await platform.json<DatabaseUrls>('key', 'create', main.name, '--role', role)).apiKey);
    }
    const connect = async (): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString: main.postgresUrl });
      client.on('error', () => {});
      clients.push(client);
      await client.connect();
      return client;
    };
    for (let session = 0; session < SESSIONS; session++) await connect();
    await Promise.all(clients.map((client) => client.query('BEGIN; SELECT 1')));

    const body = JSON.stringify(rawPlan('SELECT pg_advisory_xact_lock_shared(1)::text'));
    const [first] = clients as [pg.Client];
    await first.query('SELECT pg_advisory_lock(1)');
    const asked = keys.flatMap((key) =>
      Array.from({ length: POOLED }, async () => {
        const headers = { authorization: `Bearer ${key}` };
        return (await fetch(`${platform.http}/query`, { method: 'POST', headers, body })).status;
      }),
    );
    const statuses = Promise.allSettled(asked);
    const waiting = async (): Promise<number> => {
      const sql = "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
      return (await first.query<{ n: number }>(sql)).rows[0]?.n ?? 0;
    };
    await until(async () => (await waiting()) === 3 * POOLED, {
      what: 'a connection for each request',
      withinMs: 120_000,
    });
    await first.query('SELECT pg_advisory_unlock(1)');
    expect(await statuses).toEqual(asked.map(() => ({ status: 'fulfilled', value: 200 })));
    await expect(connect()).rejects.toMatchObject({ code: '53300' });
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
    await platform.stop();
  }
});

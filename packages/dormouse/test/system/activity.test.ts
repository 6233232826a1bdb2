import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Loose, loadClient } from '../support/clients.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { clientOptions } from '../support/target.ts';
import { until } from '../support/until.ts';

// Every row of the table in docs/OPERATIONS.md, "What counts as activity". Each row has a database of its own, on which
// the activity lasts while a second database without any activity, the witness, is suspended and stopped several times.
// So the witness measures the time, and the test guesses none.

const SUSPEND_AFTER = '150ms';
const STOP_AFTER = '150ms';
const WITNESS_ROUNDS = 3;

let platform: Platform;
let PrismaClient: Loose;
beforeAll(async () => {
  PrismaClient = (await loadClient(7)).PrismaClient;
  platform = await startPlatform({
    flags: [
      ...['--suspend-after', SUSPEND_AFTER, '--stop-after', STOP_AFTER],
      // No timeout ends an activity before the test does.
      ...['--query-timeout', '10m', '--transaction-timeout', '10m'],
    ],
  });
});
afterAll(() => platform?.stop());

/** An activity that has begun; `end` ends it. */
interface Activity {
  end(): Promise<unknown>;
}
type Begin = (urls: DatabaseUrls) => Promise<Activity>;

interface Row {
  /** The ways to cause the activity of the row's first cell. */
  readonly ways: Readonly<Record<string, Begin>>;
  /** The state of the database while the activity lasts. */
  readonly state: 'running' | 'suspended' | 'stopped';
  /** The activity wakes the database, but does not keep it awake. */
  readonly wakes?: true;
}

async function session({ postgresUrl }: DatabaseUrls): Promise<pg.Client> {
  const client = new pg.Client(postgresUrl);
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Opens a session, runs `statements` on it, and leaves it open. */
const after =
  (...statements: string[]): Begin =>
  async (urls) => {
    const client = await session(urls);
    for (const sql of statements) await client.query(sql);
    return client;
  };

/** A request of the client that never ends by itself; `end` breaks the connection and terminates the backend. */
const unending =
  (ask: (client: pg.Client) => Promise<unknown>): Begin =>
  async (urls) => {
    const client = await session(urls);
    const asked = ask(client).catch(() => {});
    return {
      async end() {
        (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
        const other = await session(urls);
        await other.query(
          'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()',
        );
        await other.end();
        await asked;
      },
    };
  };

const prismaOn = (urls: DatabaseUrls): Loose => new PrismaClient(clientOptions(7, urls.prismaUrl));

const TABLE: Readonly<Record<string, Row>> = {
  'a query over HTTP, from its arrival to its reply': {
    state: 'running',
    ways: {
      async query(urls) {
        const prisma = prismaOn(urls);
        const asked = prisma.$queryRawUnsafe('SELECT pg_sleep(500)::text').catch(() => {});
        return {
          async end() {
            const other = await session(urls);
            await other.query(
              "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(500)%' AND pid <> pg_backend_pid()",
            );
            await other.end();
            await asked;
            await prisma.$disconnect();
          },
        };
      },
    },
  },
  'an open transaction, over HTTP or TCP, also an idle one': {
    state: 'running',
    ways: {
      transaction: after('BEGIN', 'SELECT 1'),
      async interactive(urls) {
        const prisma = prismaOn(urls);
        let leave: () => void = () => {};
        const left = new Promise<void>((resolve) => {
          leave = resolve;
        });
        let entered: () => void = () => {};
        const inside = new Promise<void>((resolve) => {
          entered = resolve;
        });
        const whole = prisma.$transaction(
          async (tx: Loose) => {
            await tx.$queryRawUnsafe('SELECT 1');
            entered();
            await left;
          },
          { maxWait: 30_000, timeout: 500_000 },
        );
        await Promise.race([inside, whole]);
        return {
          async end() {
            leave();
            await whole.catch(() => {});
            await prisma.$disconnect();
          },
        };
      },
    },
  },
  'a running statement; COPY in either direction; statements sent without Sync': {
    state: 'running',
    ways: {
      statement: unending((client) => client.query('SELECT pg_sleep(1000)')),
      async 'copy-in'(urls) {
        const sql = postgres(urls.postgresUrl, { max: 1, onnotice: () => {} });
        await sql`CREATE TABLE copied (n int)`;
        const stream = await sql`COPY copied FROM STDIN`.writable();
        stream.write('1\n');
        return {
          async end() {
            stream.end();
            await once(stream, 'finish');
            await sql.end();
          },
        };
      },
      async 'copy-out'(urls) {
        const sql = postgres(urls.postgresUrl, { max: 1 });
        // This is more data than the sockets hold, and the client does not read it yet.
        const stream = await sql`COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT`.readable();
        return {
          async end() {
            for await (const _ of stream);
            await sql.end();
          },
        };
      },
      async unsynced(urls) {
        const client = await session(urls);
        const { connection } = client as unknown as {
          connection: { parse(query: object): void; flush(): void; sync(): void };
        };
        connection.parse({ text: 'SELECT 1', name: 'half', types: [] });
        connection.flush();
        return {
          async end() {
            connection.sync();
            await client.end();
          },
        };
      },
    },
  },
  'logging in over TCP': {
    // The database was stopped before, and only the login has woken it.
    wakes: true,
    state: 'suspended',
    ways: { login: after() },
  },
  'an idle TCP session': {
    state: 'suspended',
    ways: { idle: after('SELECT 1'), committed: after('BEGIN', 'COMMIT') },
  },
  'an idle session that has run LISTEN': {
    state: 'suspended',
    ways: { listen: after('LISTEN news') },
  },
  'idle connections of the pool, TCP keepalives, a client that says goodbye or vanishes': {
    state: 'stopped',
    ways: {
      async pool(urls) {
        const prisma = prismaOn(urls);
        await prisma.$queryRawUnsafe('SELECT 1');
        return { end: () => prisma.$disconnect() };
      },
      async goodbye(urls) {
        await (await session(urls)).end();
        return { end: async () => {} };
      },
      async vanished(urls) {
        const client = await session(urls);
        (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
        return { end: async () => {} };
      },
      async silent(urls) {
        // A connection without a login wakes nothing and is no session.
        const { hostname, port } = new URL(urls.postgresUrl);
        const socket = connect(Number(port), hostname);
        await once(socket, 'connect');
        return { end: async () => socket.destroy() };
      },
    },
  },
  'capture of events, readers of events': {
    state: 'stopped',
    ways: {
      async reader(urls) {
        await (await after('CREATE TABLE seen (n int)', 'INSERT INTO seen VALUES (1)')(urls)).end();
        const apiKey = new URL(urls.prismaUrl).searchParams.get('api_key') ?? '';
        const over = new AbortController();
        const reply = await fetch(`${platform.http}/streams/all?offset=-1&live=sse`, {
          headers: { authorization: `Bearer ${apiKey}` },
          signal: over.signal,
        });
        expect(reply.status).toBe(200);
        return { end: async () => over.abort() };
      },
    },
  },
  '`db list`, `db show`, `status`, the dashboard': {
    state: 'stopped',
    ways: {
      async looks(urls) {
        await (await session(urls)).end();
        let over = false;
        const headers = { authorization: `Bearer ${platform.adminToken}` };
        const looking = (async () => {
          while (!over) {
            for (const path of ['/databases', `/databases/${urls.id}`, '/status', '/databases/nowhere']) {
              await (await fetch(`${platform.http}/api${path}`, { headers })).text();
            }
            await (await fetch(`${platform.http}/dashboard/`)).text();
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
        })();
        return {
          async end() {
            over = true;
            await looking;
          },
        };
      },
    },
  },
};

async function create(name: string): Promise<DatabaseUrls> {
  const reply = await fetch(`${platform.http}/api/databases`, {
    method: 'POST',
    headers: { authorization: `Bearer ${platform.adminToken}` },
    body: JSON.stringify({ name }),
  });
  expect(reply.status).toBe(201);
  return (await reply.json()) as DatabaseUrls;
}

async function states(): Promise<Map<string, string>> {
  const headers = { authorization: `Bearer ${platform.adminToken}` };
  const reply = await fetch(`${platform.http}/api/databases`, { headers });
  const { databases } = (await reply.json()) as { databases: { name: string; state: string }[] };
  return new Map(databases.map(({ name, state }) => [name, state]));
}
const reaches = (name: string, state: string) =>
  until(async () => (await states()).get(name) === state, { what: `${name} ${state}`, withinMs: 120_000 });

/** The first two cells of each row in the docs. */
function documented(): [string, string][] {
  const text = readFileSync(fileURLToPath(new URL('../../../../docs/OPERATIONS.md', import.meta.url)), 'utf8');
  const section = text.split('### What counts as activity')[1]?.split('\n#')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| /, '').trim()) as [string, string]);
}

it('each activity keeps a database awake, or does not, as its row of the table in the docs says', async () => {
  expect(documented().map(([what]) => what)).toEqual(Object.keys(TABLE));
  for (const [what, keeps] of documented()) {
    const row = TABLE[what];
    expect(keeps.startsWith('yes'), what).toBe(row?.state === 'running' || row?.wakes === true);
  }
  const going: { readonly name: string; readonly state: string; readonly activity: Activity }[] = [];
  const begun = Object.values(TABLE).flatMap(({ state, ways }) =>
    Object.entries(ways).map(async ([way, begin]) => {
      const name = `row-${way}-${state}`;
      going.push({ name, state, activity: await begin(await create(name)) });
    }),
  );
  try {
    await Promise.all(begun);
    // Databases that may sleep reach their state of rest. Databases that may not are still awake after the witness has
    // been stopped several times.
    for (const { name, state } of going) if (state !== 'running') await reaches(name, state);
    for (let round = 0; round < WITNESS_ROUNDS; round++) {
      await platform.json('db', 'wake', 'main');
      await reaches('main', 'stopped');
      const now = await states();
      expect(going.map(({ name }) => `${name} ${now.get(name)}`)).toEqual(
        going.map(({ name, state }) => `${name} ${state}`),
      );
    }
  } finally {
    await Promise.all(going.map(({ activity }) => activity.end()));
  }
  // When the activities have ended, every database rests.
  for (const { name } of going) await reaches(name, 'stopped');
});

it('a replication connection is refused, and the error says what to use instead', async () => {
  const [database] = platform.databases;
  const url = new URL(database?.postgresUrl ?? '');
  const client = new pg.Client({
    ...{ host: url.hostname, port: Number(url.port), user: url.username, password: url.password, database: 'postgres' },
    ...({ replication: 'database' } as object),
  });
  await expect(client.connect()).rejects.toMatchObject({ message: expect.stringContaining('Replication connections') });
  const own = new pg.Client(database?.postgresUrl);
  await own.connect();
  for (const sql of [
    "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
    "SELECT pg_create_physical_replication_slot('mine')",
    'ALTER ROLE owner REPLICATION',
    "CREATE SUBSCRIPTION s CONNECTION 'dbname=postgres' PUBLICATION p",
  ]) {
    await expect(own.query(sql), sql).rejects.toMatchObject({ code: '42501' });
  }
  await own.end();
});

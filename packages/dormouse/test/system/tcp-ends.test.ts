import { dirname } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, Deadline, silentLogger, systemClock } from '../../src/base/index.ts';
import { endBackend } from '../../src/pool/index.ts';
import { connectSocket, openSession as openBackend } from '../../src/session/index.ts';
import { ByteWriter, encodeParse, encodeQuery, PROTOCOL_3_0 } from '../../src/wire/index.ts';
import { openSession } from '../support/pg-session.ts';
import {
  type PostgresTestDoor,
  RawClient,
  rawLogin,
  startPostgresTestDoor,
  type TestKey,
} from '../support/postgres-test-door.ts';
import { until } from '../support/until.ts';

// A session whose client is gone ends completely. Until it has ended it keeps its place and keeps its database awake.
let test: PostgresTestDoor;
let owner: TestKey;
let watcher: pg.Client;

const SESSIONS_MAX = 4;

async function watch(): Promise<pg.Client> {
  const { endpoint } = test.instance;
  if (endpoint.kind !== 'unix') throw new Error('a socket file was expected');
  const client = new pg.Client({ host: dirname(endpoint.path), port: 5432, user: 'dormouse', database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  return client;
}

beforeAll(async () => {
  test = await startPostgresTestDoor({ limits: { sessionsMax: SESSIONS_MAX } });
  owner = test.key('owner');
  watcher = await watch();
});
afterAll(async () => {
  await watcher?.end();
  await test?.close();
});
afterEach(async () => {
  await until(async () => (await backends()) === 0, { what: 'no backend' });
  await until(() => test.instance.holds === 0 && test.instance.sessions === 0, { what: 'nothing held' });
});

/** Counts the backends of the tenant. A backend that is starting has no user name yet. */
async function backends(where = "usename = 'owner'"): Promise<number> {
  const { rows } = await watcher.query(
    `select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and ${where}`,
  );
  return rows[0].n;
}

const CATCHES =
  'do $$ begin loop begin perform pg_sleep(600); exception when query_canceled then null; end; end loop; end $$';

type Hostile = (client: RawClient) => Promise<void> | void;

const query =
  (...texts: string[]): Hostile =>
  (client) => {
    const writer = new ByteWriter();
    for (const text of texts) encodeQuery(writer, text);
    client.write(writer.take());
  };

const DEAF = 'set client_connection_check_interval = 0';

const HOSTILE: readonly [string, Hostile, string][] = [
  ['catches every cancellation', query(DEAF, CATCHES), "wait_event = 'PgSleep'"],
  [
    'commits in a loop and catches every cancellation',
    query(
      DEAF,
      'do $$ begin loop commit; begin perform pg_sleep(0.01); exception when others or query_canceled then null; end; end loop; end $$',
    ),
    "query like 'do $$%' and state = 'active'",
  ],
  [
    'sends rows that nobody reads',
    (client) => {
      client.socket.pause();
      return query(DEAF, "select repeat('x', 1000) from generate_series(1, 100000)")(client);
    },
    "wait_event = 'ClientWrite'",
  ],
  ['waits for a lock', query(DEAF, 'begin; lock table held'), "wait_event_type = 'Lock'"],
  [
    'copies in',
    query(DEAF, 'create temp table t (n int)', 'copy t from stdin'),
    "query like 'copy%' and state = 'active'",
  ],
  ['has a transaction open', query('begin', 'select 1'), "usename = 'owner' and state = 'idle in transaction'"],
  [
    'has sent half a statement',
    (client) => {
      const writer = new ByteWriter();
      encodeParse(writer, '', 'select 1', []);
      client.write(Buffer.concat([writer.take(), Buffer.from('H\0\0\0\u0004')]));
    },
    "usename = 'owner' and state = 'active'",
  ],
  ['is idle', query('select 1'), "usename = 'owner' and state = 'idle'"],
];

describe('a session whose client is gone', () => {
  let locker: pg.Client | undefined;
  beforeAll(async () => {
    locker = await watch();
    await locker.query('create table held (); grant all on held to owner');
    await locker.query('begin; lock table held');
  });
  afterAll(() => locker?.end());

  it.each(HOSTILE)(
    'a session that %s ends within seconds after its client is gone, and keeps its place until then',
    async (_what, hostile, running) => {
      // There are as many sessions as places, so a session that did not end would be noticed.
      const clients = await Promise.all(Array.from({ length: SESSIONS_MAX }, () => RawClient.open(test.port)));
      await Promise.all(clients.map((client) => rawLogin(client, owner, PROTOCOL_3_0)));
      await Promise.all(clients.map((client) => hostile(client)));
      try {
        await until(async () => (await backends(running)) === SESSIONS_MAX, { what: 'them to run' });
      } finally {
        for (const client of clients) client.close();
      }
      // A login now waits for a place, and gets it as soon as one of the sessions has ended.
      const { client } = await openSession(owner.config);
      const count = await backends();
      await client.end();
      expect(count).toBeLessThanOrEqual(SESSIONS_MAX);
    },
  );

  it('a session whose client is gone keeps its database awake until its backend has ended', async () => {
    const client = await RawClient.open(test.port);
    await rawLogin(client, owner, PROTOCOL_3_0);
    await query(DEAF, CATCHES)(client);
    await until(async () => (await backends("wait_event = 'PgSleep'")) === 1, { what: 'it to run' });
    client.close();
    await client.closed();
    await until(() => test.door.stats.sessions === 0, { what: 'the end of the session' });
    for (;;) {
      const { holds } = test.instance;
      if ((await backends()) === 0) break;
      expect(holds).toBe(1);
    }
  });

  it('sessions that end while their database is suspended free their places for the clients that wake it', async () => {
    const clients = await Promise.all(Array.from({ length: SESSIONS_MAX }, () => RawClient.open(test.port)));
    await Promise.all(clients.map((client) => rawLogin(client, owner, PROTOCOL_3_0)));
    await until(() => test.instance.holds === 0, { what: 'rest' });
    await test.instance.suspend();
    const { wakes } = test.instance;
    for (const client of clients) client.close();
    await until(() => test.instance.sessions === 0, { what: 'the end of the sessions' });
    expect(test.instance).toMatchObject({ state: 'suspended', wakes });
    const sessions = await Promise.all(Array.from({ length: SESSIONS_MAX }, () => openSession(owner.config)));
    for (const { client } of sessions) await client.end();
  });
});

describe('a session whose key is revoked', () => {
  it.each(HOSTILE.slice(0, 3))(
    'a session that %s ends within seconds after its key is revoked',
    async (_what, hostile, running) => {
      const key = test.key('owner');
      const client = await RawClient.open(test.port);
      await rawLogin(client, key, PROTOCOL_3_0);
      await hostile(client);
      await until(async () => (await backends(running)) === 1, { what: 'it to run' });
      test.revoke(key);
      test.door.endSessions(key.id);
      expect(await until(async () => (await backends()) === 0, { what: 'its end' })).toBe(true);
      client.close();
    },
  );
});

describe('a login', () => {
  it('a login that hangs in the server ends with its client, and other logins are accepted', async () => {
    const { client: reader } = await openSession(owner.config);
    const { client: locker } = await openSession(owner.config);
    await reader.query('begin; lock table pg_class in access share mode');
    const locked = locker.query('vacuum full pg_class').catch((error: unknown) => error);
    await until(async () => (await backends("query like 'vacuum%' and wait_event_type = 'Lock'")) === 1, {
      what: 'the lock that logins wait for',
    });
    const clients = await Promise.all(Array.from({ length: SESSIONS_MAX - 2 }, () => RawClient.open(test.port)));
    const logins = clients.map((client) => rawLogin(client, owner, PROTOCOL_3_0).catch(() => undefined));
    await until(async () => (await backends("state = 'starting'")) === SESSIONS_MAX - 2, { what: 'logins that hang' });
    for (const client of clients) client.close();
    await Promise.all(logins);
    await until(async () => (await backends("state = 'starting'")) === 0, { what: 'their end' });
    await reader.query('rollback');
    expect(await locked).not.toBeInstanceOf(Error);
    await reader.end();
    await locker.end();
  });
});

describe('a backend that nothing ends', () => {
  it('a backend that cannot be ended makes its server restart in the end', async () => {
    // Minutes of this clock pass in seconds.
    const clock: Clock = {
      ...systemClock,
      monotonic: () => systemClock.monotonic() * 40,
      after: (ms, then) => systemClock.after(ms / 40, then),
    };
    const { instance } = test;
    const socket = connectSocket(instance.endpoint);
    const session = await openBackend(socket, {
      parameters: new Map([
        ['user', 'owner'],
        ['database', 'postgres'],
      ]),
      deadline: Deadline.in(systemClock, 30_000),
    });
    const { generation } = instance;
    process.kill(session.processId, 'SIGSTOP');
    let gone = false;
    const end = endBackend({
      instance,
      generation,
      socket,
      processId: session.processId,
      busy: true,
      cancel: async () => {},
      clock,
      log: silentLogger,
    }).then(() => {
      gone = true;
    });
    expect(instance.holds).toBe(1);
    await until(() => instance.state === 'stopping', { what: 'the stop of the server' });
    expect(gone).toBe(false);
    process.kill(session.processId, 'SIGCONT');
    await end;
    await until(() => instance.state === 'stopped', { what: 'the end of the server' });
    const { client } = await openSession(owner.config);
    await client.end();
    watcher = await watch();
  });
});

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ByteWriter,
  decodeDataRow,
  encodeBind,
  encodeCopyData,
  encodeCopyDone,
  encodeExecute,
  encodeParse,
  encodeQuery,
  encodeSync,
  encodeTerminate,
  PROTOCOL_3_0,
} from '../../src/wire/index.ts';
import {
  type PostgresTestDoor,
  RawClient,
  rawLogin,
  startPostgresTestDoor,
  type TestKey,
} from '../support/postgres-test-door.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
let test: PostgresTestDoor;
let owner: TestKey;

beforeAll(async () => {
  test = await startPostgresTestDoor();
  owner = test.key('owner');
});
afterAll(async () => {
  await test?.close();
});

async function withClient<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(owner.config);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** Feeds `input` to psql and gives what it printed. */
async function psql(args: readonly string[], input: string): Promise<string> {
  const child = spawn('psql', [owner.url, '-XAt', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
  return out;
}

/** Waits until no session is active: the door must have released the database. */
const rested = (): Promise<true> => until(() => test.instance.holds === 0, { what: 'the hold of an idle session' });

describe('a session', () => {
  it('a session passes errors of Postgres through with all fields', async () => {
    await withClient(async (client) => {
      await client.query('create table uniq (id int primary key, constraint positive check (id > 0))');
      await client.query('insert into uniq values (1)');
      await expect(client.query('insert into uniq values ($1)', [1])).rejects.toMatchObject({
        severity: 'ERROR',
        code: '23505',
        detail: 'Key (id)=(1) already exists.',
        schema: 'public',
        table: 'uniq',
        constraint: 'uniq_pkey',
        routine: '_bt_check_unique',
      });
      await expect(client.query('selekt 1')).rejects.toMatchObject({ code: '42601', position: '1' });
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    });
  });

  it('a session copies in and out by the simple and the extended protocol, and does not hold its database afterwards', async () => {
    const rows = Array.from({ length: 50_000 }, (_, i) => `${i}\tname ${i}`).join('\n');
    const out = await psql(
      ['-c', 'create table copied (id int, name text)', '-c', 'copy copied from stdin', '-c', 'copy copied to stdout'],
      `${rows}\n`,
    );
    expect(out.trim().split('\n').slice(-50_000).join('\n')).toBe(rows);
    const sql = postgres(owner.url, { max: 1 });
    // postgres.js copies by a simple query.
    const writable = await sql`copy copied (id, name) from stdin`.writable();
    Readable.from([Buffer.from('100000\ta\n100001\tb\n')]).pipe(writable);
    await once(writable, 'finish');
    expect([...(await sql`select count(*)::int as n from copied where id >= 100000`)]).toEqual([{ n: 2 }]);
    await rested();
    // One copy fails on the server, another is aborted by the client.
    await expect(
      psql(['-v', 'ON_ERROR_STOP=1', '-c', 'copy copied from stdin'], 'not a number\tx\n'),
    ).rejects.toThrow();
    expect([...(await sql`select 1 as one`)]).toEqual([{ one: 1 }]);
    await rested();
    await sql.end();
  });

  it('a session keeps prepared statements, cursors and transactions', async () => {
    await withClient(async (client) => {
      for (let i = 0; i < 5; i++) {
        expect((await client.query({ name: 'plus', text: 'select $1::int + 1 as n', values: [i] })).rows).toEqual([
          { n: i + 1 },
        ]);
      }
      await client.query('begin');
      expect(test.instance.holds).toBe(1);
      await client.query('declare c cursor for select generate_series(1, 10) as n');
      expect((await client.query('fetch 3 from c')).rows.map(({ n }) => n)).toEqual([1, 2, 3]);
      await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' });
      // A failed transaction is still open: its locks must not be frozen.
      expect(test.instance.holds).toBe(1);
      await client.query('rollback');
      await rested();
    });
    const sql = postgres(owner.url, { max: 1 });
    const results = await sql.begin((tx) => Array.from({ length: 100 }, (_, i) => tx`select ${i}::int as n`));
    expect(results.map((rows) => rows[0]?.n)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    await rested();
    await sql.end();
  });

  it('psql and postgres.js can cancel a statement', async () => {
    const sql = postgres(owner.url, { max: 2 });
    const running = async (): Promise<boolean> =>
      (await sql`select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'`).length > 0;
    const slow = sql`select pg_sleep(600)`;
    const outcome = slow.then(
      () => undefined,
      (error: unknown) => error,
    );
    await until(running, { what: 'the statement to run' });
    slow.cancel();
    expect(await outcome).toMatchObject({ code: '57014' });

    const child = spawn('psql', [owner.url, '-Xc', 'select pg_sleep(600)'], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
    });
    await until(running, { what: 'the statement to run' });
    child.kill('SIGINT');
    await once(child, 'close');
    expect(said).toContain('canceling statement due to user request');
    await sql.end();
    await rested();
  });

  it('a slow reader gets a large result whole, and the door does not hold the result in memory', async () => {
    await withClient(async (client) => {
      const stream = (client as unknown as { connection: { stream: import('node:net').Socket } }).connection.stream;
      await client.query('select 1');
      const before = process.memoryUsage().rss;
      const big = client.query("select repeat('x', 1000) as x from generate_series(1, 100000)");
      stream.pause();
      const server = new pg.Client(owner.config);
      await server.connect();
      // The backend blocks on its socket: the backpressure of the reader has reached it.
      await until(
        async () =>
          (await server.query("select 1 from pg_stat_activity where wait_event = 'ClientWrite' and state = 'active'"))
            .rowCount === 1,
        { what: 'the backend to wait for its reader' },
      );
      expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
      await server.end();
      stream.resume();
      expect((await big).rows.length).toBe(100_000);
    });
    await rested();
  });

  it('notifications are delivered to a session that only listens', async () => {
    await withClient(async (listener) => {
      const heard: string[] = [];
      listener.on('notification', ({ channel, payload }) => heard.push(`${channel}:${payload}`));
      await listener.query('listen news');
      await rested();
      await withClient((client) => client.query("select pg_notify('news', 'hello')"));
      await until(() => heard.length === 1, { what: 'the notification' });
      expect(heard).toEqual(['news:hello']);
      await listener.query("notify news, 'self'");
      expect(heard).toEqual(['news:hello', 'news:self']);
    });
  });

  it('every statement of a session is counted', async () => {
    await withClient(async (client) => {
      const before = test.counted;
      await client.query('select 1');
      await client.query('select $1::int', [1]);
      await client.query('select 1; select 2');
      expect(test.counted - before).toBe(3);
    });
  });

  it('the statement of a client that vanished is ended, and its hold is released', async () => {
    const client = new pg.Client(owner.config);
    client.on('error', () => {});
    await client.connect();
    const lost = client.query('select pg_sleep(600)').catch((error) => error);
    const watcher = new pg.Client(owner.config);
    await watcher.connect();
    const active = async (): Promise<boolean> =>
      (await watcher.query("select 1 from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'"))
        .rowCount === 1;
    await until(active, { what: 'the statement to run' });
    (client as unknown as { connection: { stream: import('node:net').Socket } }).connection.stream.destroy();
    expect(await lost).toBeInstanceOf(Error);
    await until(async () => !(await active()), { what: 'the abandoned statement to be cancelled' });
    await watcher.end();
    expect(await until(() => test.instance.sessions === 0 && test.instance.holds === 0, { what: 'nothing held' })).toBe(
      true,
    );
  });

  it('a session follows a copy by the extended protocol, and a client that only closes its sending side', async () => {
    await withClient((client) => client.query('create table extended (n int)'));
    const client = await RawClient.open(test.port);
    await rawLogin(client, owner, PROTOCOL_3_0);
    const writer = new ByteWriter();
    for (const good of [true, false, true]) {
      encodeParse(writer, '', 'copy extended from stdin', []);
      encodeBind(writer, '', '', []);
      encodeExecute(writer, '');
      // The server ignores this message, because the copy has begun already.
      encodeSync(writer);
      client.write(writer.take());
      await client.until('G');
      expect(test.instance.holds).toBe(1);
      encodeCopyData(writer, Buffer.from(good ? '1\n' : 'one\n'));
      encodeCopyDone(writer);
      encodeSync(writer);
      client.write(writer.take());
      expect((await client.until('Z')).some(({ type }) => type === 'E')).toBe(!good);
      await rested();
    }
    encodeQuery(writer, 'select count(*), pg_sleep(0.2) from extended');
    client.socket.end(writer.take());
    const row = (await client.until('Z')).find(({ type }) => type === 'D');
    expect(decodeDataRow(row?.payload as Buffer)[0]?.toString()).toBe('2');
    await client.closed();
  });

  it('a session executes the statements that were sent before Terminate', async () => {
    await withClient((client) => client.query('create table goodbye (n int)'));
    const client = await RawClient.open(test.port);
    await rawLogin(client, owner, PROTOCOL_3_0);
    const writer = new ByteWriter();
    encodeQuery(writer, 'insert into goodbye select 1 from pg_sleep(0.2)');
    encodeQuery(writer, 'insert into goodbye values (2)');
    encodeTerminate(writer);
    client.socket.end(writer.take());
    await withClient(async (other) => {
      const rows = async (): Promise<unknown[]> => (await other.query('select n from goodbye order by n')).rows;
      await until(async () => (await rows()).length === 2, { what: 'both rows' });
      expect(await rows()).toEqual([{ n: 1 }, { n: 2 }]);
    });
    expect(await until(() => test.instance.sessions === 0 && test.instance.holds === 0, { what: 'nothing held' })).toBe(
      true,
    );
  });

  // Put there by .ci/postgres-client, which CI runs first: Debian's own is older and refuses.
  const dump = [
    fileURLToPath(new URL('../../../../.cache/postgres-client/bin/pg_dump', import.meta.url)),
    '/usr/lib/postgresql/18/bin/pg_dump',
  ].find((path) => existsSync(path));
  if (dump === undefined) console.warn('skipped: no pg_dump 18; run .ci/postgres-client');
  it.skipIf(dump === undefined)('a database can be dumped by pg_dump 18 over TCP', async () => {
    await withClient((client) => client.query('create table dumped as select 42 as answer'));
    const { stdout } = await run(dump as string, [owner.url, '-t', 'dumped']);
    expect(stdout).toContain('COPY public.dumped');
    expect(stdout).toContain('\n42\n');
    await rested();
  });
});

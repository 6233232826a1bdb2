import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ByteWriter, decodeErrorFields, encodeFlush, encodeParse, PROTOCOL_3_0 } from '../../src/wire/index.ts';
import { openSession } from '../support/pg-session.ts';
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

const connected = () => openSession(owner.config);

const rested = (): Promise<true> => until(() => test.instance.holds === 0, { what: 'no hold' });

describe('a sleeping database', () => {
  it('a suspended or stopped database is woken by a connection', async () => {
    for (const rest of ['suspend', 'stop'] as const) {
      await rested();
      await test.instance[rest]();
      const { stdout } = await run('psql', [owner.url, '-XAtc', 'select 1']);
      expect(stdout.trim()).toBe('1');
    }
  });

  it('a suspended database keeps an idle session, which goes on where it was', async () => {
    const { client } = await connected();
    const sql = postgres(owner.url, { max: 1 });
    await client.query("set application_name = 'sleeper'; create temp table mine (n int)");
    const [{ pid } = { pid: 0 }] = (await client.query('select pg_backend_pid() as pid')).rows;
    await sql`select 1`;
    for (let round = 0; round < 5; round++) {
      await rested();
      expect(test.instance.sessions).toBe(2);
      await test.instance.suspend();
      // Both sessions send at once: one wake serves them.
      const wakes = test.instance.wakes;
      const [first, second] = await Promise.all([
        client.query(
          "select pg_backend_pid() as pid, current_setting('application_name') as name, (select count(*)::int from mine) as n",
        ),
        sql`select ${round}::int as n`,
      ]);
      expect(first.rows).toEqual([{ pid, name: 'sleeper', n: 0 }]);
      expect([...second]).toEqual([{ n: round }]);
      expect(test.instance.wakes).toBe(wakes + 1);
    }
    await client.end();
    await sql.end();
  });

  it('a suspended database is not woken by Terminate', async () => {
    const { client } = await connected();
    await client.query('select 1');
    await rested();
    await test.instance.suspend();
    const wakes = test.instance.wakes;
    await client.end();
    await until(() => test.instance.sessions === 0, { what: 'the end of the session' });
    expect(test.instance.wakes).toBe(wakes);
    expect(test.instance.state).toBe('suspended');
    expect((await run('psql', [owner.url, '-XAtc', 'select 1'])).stdout.trim()).toBe('1');
  });

  it('a database is not suspended during a transaction, a statement without Sync, or a copy', async () => {
    const { client } = await connected();
    await client.query('begin');
    expect(test.instance.holds).toBe(1);
    await client.query('commit');
    await rested();
    await client.query('create table busy (n int)');
    const connection = (
      client as unknown as {
        connection: { parse(q: object): void; flush(): void; sync(): void; stream: NodeJS.WritableStream };
      }
    ).connection;
    connection.parse({ text: 'select 1', name: 'half', types: [] });
    connection.flush();
    await until(() => test.instance.holds === 1, { what: 'the hold of a half statement' });
    connection.sync();
    await rested();
    await client.end();
  });
});

describe('a database that goes', () => {
  it('open sessions, idle or active, get 57P01 when their database is stopped', async () => {
    const idle = await connected();
    await idle.client.query('select 1');
    const busy = await connected();
    const slow = busy.client.query('select pg_sleep(600)').catch((error) => error);
    await until(() => test.instance.holds === 1, { what: 'the statement' });
    await test.instance.stop();
    expect(await slow).toMatchObject({ code: '57P01', severity: 'FATAL', message: expect.stringContaining('stopped') });
    await until(() => idle.lost(), { what: 'the idle session to be told' });
    expect(idle.lost()).toMatchObject({ code: '57P01', message: expect.stringContaining('stopped') });
    const again = await connected();
    expect((await again.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await again.client.end();
  });

  it('open sessions get an error when their database crashes', async () => {
    const idle = await connected();
    const busy = await connected();
    const slow = busy.client.query('select pg_sleep(600)').catch((error) => error);
    await until(() => test.instance.holds === 1, { what: 'the statement' });
    await test.instance.crash();
    expect(await slow).toMatchObject({ code: '57P01', message: expect.stringContaining('ended while it worked') });
    await until(() => idle.lost(), { what: 'the idle session to be told' });
    expect(idle.lost()).toMatchObject({ code: '57P01' });
    await until(() => test.instance.sessions === 0 && test.instance.holds === 0, { what: 'nothing held' });
    expect((await run('psql', [owner.url, '-XAtc', 'select 1'])).stdout.trim()).toBe('1');
  });

  it('a session that Postgres ends gets the reason that Postgres gave', async () => {
    for (const [statements, code, message] of [
      [['set idle_in_transaction_session_timeout = 50', 'begin'], '25P03', 'idle-in-transaction timeout'],
      [['set transaction_timeout = 50', 'begin'], '25P04', 'transaction timeout'],
      [['set idle_session_timeout = 50'], '57P05', 'idle-session timeout'],
    ] as const) {
      const { client, lost } = await connected();
      for (const statement of statements) await client.query(statement);
      expect(await until(() => lost(), { what: 'the end' })).toMatchObject({
        code,
        severity: 'FATAL',
        message: `terminating connection due to ${message}`,
      });
      // The same holds for a session in the middle of a statement.
      if (code !== '25P04') continue;
      const busy = await connected();
      await busy.client.query('set transaction_timeout = 50');
      await expect(busy.client.query('select pg_sleep(600)')).rejects.toMatchObject({ code, severity: 'FATAL' });
    }
  });

  it('a session that got an error before is still told of a crash', async () => {
    const client = await RawClient.open(test.port);
    await rawLogin(client, owner, PROTOCOL_3_0);
    const writer = new ByteWriter();
    encodeParse(writer, '', 'selekt', []);
    encodeFlush(writer);
    client.write(writer.take());
    const error = decodeErrorFields((await client.until('E')).at(-1)?.payload as Buffer);
    expect(error).toMatchObject({ severity: 'ERROR', code: '42601' });
    await test.instance.crash();
    const end = decodeErrorFields((await client.until('E')).at(-1)?.payload as Buffer);
    expect(end).toMatchObject({ severity: 'FATAL', message: expect.stringContaining('ended while it worked') });
    await client.closed();
  });

  it('a terminated session gets the error that Postgres sent', async () => {
    const { client, lost } = await connected();
    const [{ pid } = { pid: 0 }] = (await client.query('select pg_backend_pid() as pid')).rows;
    await run('psql', [owner.url, '-Xc', `select pg_terminate_backend(${pid})`]);
    await until(() => lost(), { what: 'the end' });
    expect(lost()).toMatchObject({ code: '57P01', message: 'terminating connection due to administrator command' });
  });
});

describe('the door', () => {
  it('a door that closes ends its sessions with 57P01', async () => {
    const other = await startPostgresTestDoor();
    const client = new pg.Client(other.key('owner').config);
    let lost: { code?: string } | undefined;
    client.on('error', (error) => {
      lost ??= error as { code?: string };
    });
    await client.connect();
    await other.close();
    await until(() => lost !== undefined, { what: 'the end' });
    expect(lost).toMatchObject({ code: '57P01', message: expect.stringContaining('shutting down') });
    expect(other.door.stats).toEqual({ connections: 0, sessions: 0 });
  });
});

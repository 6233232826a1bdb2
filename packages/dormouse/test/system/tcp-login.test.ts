import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cryptoRandom, newKeyId } from '../../src/base/index.ts';
import {
  ByteWriter,
  decodeBackendKeyData,
  decodeErrorFields,
  decodeNegotiateProtocolVersion,
  encodeCancelRequest,
  encodeGssencRequest,
  encodeQuery,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeSslRequest,
  encodeStartup,
  PROTOCOL_3_0,
  PROTOCOL_3_2,
  SCRAM_SHA_256,
  ScramClient,
} from '../../src/wire/index.ts';
import { RawClient, rawLogin, startTestDoor, type TestDoor } from '../support/test-door.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
let test: TestDoor;

beforeAll(async () => {
  test = await startTestDoor({ limits: { sessionsMax: 5, loginMs: 1_000 } });
});
afterAll(async () => {
  await test?.close();
});

async function refusal(config: object): Promise<Record<string, unknown>> {
  const client = new pg.Client(config);
  client.on('error', () => {});
  const error = await client.connect().then(
    () => undefined,
    (reason) => reason,
  );
  await client.end().catch(() => {});
  return error;
}

describe('login', () => {
  it('takes psql, pg and postgres.js with the URL, as the role of the key', async () => {
    for (const role of ['owner', 'writer', 'reader'] as const) {
      const key = test.key(role);
      const { stdout } = await run('psql', [key.url, '-XAtc', 'select current_user, session_user, current_database()']);
      expect(stdout.trim()).toBe(`${role}|${role}|postgres`);
      const client = new pg.Client({ connectionString: key.url });
      await client.connect();
      expect((await client.query('select current_user as who')).rows).toEqual([{ who: role }]);
      await client.end();
      const sql = postgres(key.url, { max: 1 });
      expect([...(await sql`select current_user as who`)]).toEqual([{ who: role }]);
      await sql.end();
    }
  });

  it('refuses a wrong password and an unknown key in the same way', async () => {
    const key = test.key('owner');
    const wrong = await refusal({ ...key.config, password: `${key.secret}x` });
    const unknown = await refusal({ ...key.config, user: newKeyId(cryptoRandom) });
    const strange = await refusal({ ...key.config, user: 'postgres' });
    for (const error of [wrong, unknown, strange]) {
      expect(error).toMatchObject({ code: '28P01', severity: 'FATAL', message: wrong.message });
    }
    await expect(run('psql', [key.url.replace(key.secret, 'nonsense'), '-Xc', 'select 1'])).rejects.toMatchObject({
      stderr: expect.stringContaining('password'),
    });
  });

  it('gives an unknown user the same challenge each time, as a known one gets', async () => {
    const salt = async (user: string): Promise<string | undefined> => {
      const client = await RawClient.open(test.port);
      const writer = new ByteWriter();
      encodeStartup(writer, PROTOCOL_3_0, [['user', user]]);
      encodeSaslInitialResponse(writer, SCRAM_SHA_256, new ScramClient('x', cryptoRandom(18)).first());
      client.write(writer.take());
      const frames = [await client.frame(), await client.frame()];
      client.close();
      return /s=([^,]+),i=4096$/.exec(frames[1]?.payload.toString() ?? '')?.[1];
    };
    for (const user of ['nobody', newKeyId(cryptoRandom), test.key('reader').id]) {
      const first = await salt(user);
      expect(first).toHaveLength(24);
      expect(await salt(user)).toBe(first);
    }
  });

  it('tells the holder of a revoked key so, at login and at the next message of a live session', async () => {
    const key = test.key('owner');
    const live = new pg.Client(key.config);
    let lost: { code?: string } | undefined;
    live.on('error', (error) => {
      lost ??= error as { code?: string };
    });
    await live.connect();
    await live.query('select 1');
    test.revoke(key);
    expect(await refusal(key.config)).toMatchObject({ code: '28000', message: expect.stringContaining('revoked') });
    expect(await refusal({ ...key.config, password: 'wrong' })).toMatchObject({ code: '28P01' });
    await expect(live.query('select 1')).rejects.toThrow();
    await until(() => lost !== undefined, { what: 'the end of the session' });
    await live.end().catch(() => {});
  });

  it('ends the sessions of a revoked key at once when told to, at work or idle', async () => {
    const key = test.key('owner');
    const other = new pg.Client(test.key('owner').config);
    await other.connect();
    const client = new pg.Client(key.config);
    client.on('error', () => {});
    await client.connect();
    const slow = client.query('select pg_sleep(600)').catch((error) => error);
    test.revoke(key);
    test.door.endSessions(key.id);
    expect(await slow).toMatchObject({ code: '28000' });
    expect((await other.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await other.end();
  });

  it('refuses replication, other databases but for the owner, and any change of role', async () => {
    const owner = test.key('owner');
    // After AuthenticationOk the refusal comes in place of ReadyForQuery.
    const refused = async (parameters: [string, string][], key = owner): Promise<string | undefined> => {
      const client = await RawClient.open(test.port);
      const writer = new ByteWriter();
      const scram = new ScramClient(key.secret, cryptoRandom(18));
      encodeStartup(writer, PROTOCOL_3_0, [['user', key.id], ...parameters]);
      encodeSaslInitialResponse(writer, SCRAM_SHA_256, scram.first());
      client.write(writer.take());
      await client.frame();
      encodeSaslResponse(writer, scram.proof((await client.frame()).payload.subarray(4).toString()));
      client.write(writer.take());
      const frames = await client.until('E');
      await client.closed();
      return decodeErrorFields(frames.at(-1)?.payload ?? Buffer.alloc(0)).code;
    };
    expect(await refused([['replication', 'database']])).toBe('0A000');
    const client = await RawClient.open(test.port);
    expect((await rawLogin(client, owner, PROTOCOL_3_0, [['replication', 'off']])).at(-1)?.type).toBe('Z');
    client.close();
    expect(await refused([['database', 'shadow']])).toBe('3D000');
    expect(await refused([['database', 'template1']], test.key('reader'))).toBe('42501');
    expect(await refused([['role', 'writer']])).toBe('42501');
    expect(await refused([['options', '-c session_authorization=writer']])).toBe('42501');
    expect(await refused([['options', '--ro\\le=writer']])).toBe('42501');
    expect(await refused([['no_such_setting', '1']])).toBe('42704');
  });

  it('passes startup parameters through, and a shadow database for the owner', async () => {
    const key = test.key('owner');
    const client = new pg.Client({
      ...key.config,
      application_name: 'my app',
      options: '-c search_path=nowhere -c statement_timeout=12345',
    });
    await client.connect();
    const { rows } = await client.query(
      "select current_setting('application_name') a, current_setting('search_path') b, current_setting('statement_timeout') c",
    );
    expect(rows).toEqual([{ a: 'my app', b: 'nowhere', c: '12345ms' }]);
    await client.query('create database shadow');
    await client.end();
    const { stdout } = await run('psql', [
      key.url.replace('/postgres', '/shadow'),
      '-XAtc',
      'select current_database()',
    ]);
    expect(stdout.trim()).toBe('shadow');
    await run('psql', [key.url, '-Xc', 'drop database shadow']);
  });
});

describe('the start-up', () => {
  it('refuses encryption by N and goes on', async () => {
    const key = test.key('owner');
    const client = await RawClient.open(test.port);
    const writer = new ByteWriter();
    encodeGssencRequest(writer);
    client.write(writer.take());
    expect((await client.bytes(1)).toString()).toBe('N');
    encodeSslRequest(writer);
    client.write(writer.take());
    expect((await client.bytes(1)).toString()).toBe('N');
    expect((await rawLogin(client, key, PROTOCOL_3_0)).at(-1)?.payload.toString()).toBe('I');
    client.close();
    await expect(run('psql', [`${key.url}?sslmode=require`, '-Xc', 'select 1'])).rejects.toMatchObject({
      stderr: expect.stringContaining('does not support SSL'),
    });
  });

  it('speaks 3.0 with a short cancel key, 3.2 with a long one, and negotiates down what is newer', async () => {
    const key = test.key('owner');
    for (const [version, keyBytes, negotiated] of [
      [PROTOCOL_3_0, 4, undefined],
      [PROTOCOL_3_2, 32, undefined],
      [PROTOCOL_3_2 + 7, 32, { version: PROTOCOL_3_2, unknownOptions: [] }],
    ] as const) {
      const client = await RawClient.open(test.port);
      const frames = await rawLogin(client, key, version);
      const cancelKey = frames.find(({ type }) => type === 'K') as { payload: Buffer };
      expect(decodeBackendKeyData(cancelKey.payload).secretKey).toHaveLength(keyBytes);
      const answer = frames.find(({ type }) => type === 'v');
      expect(answer && decodeNegotiateProtocolVersion(answer.payload)).toEqual(negotiated);
      client.close();
    }
    const client = await RawClient.open(test.port);
    const frames = await rawLogin(client, key, PROTOCOL_3_0, [['_pq_.quantum', 'on']]);
    expect(decodeNegotiateProtocolVersion(frames[0]?.payload ?? Buffer.alloc(0))).toEqual({
      version: PROTOCOL_3_0,
      unknownOptions: ['_pq_.quantum'],
    });
    client.close();
  });

  it('cancels by the key of either length, and not by another', async () => {
    const key = test.key('owner');
    for (const version of [PROTOCOL_3_0, PROTOCOL_3_2]) {
      const client = await RawClient.open(test.port);
      const frames = await rawLogin(client, key, version);
      const { processId, secretKey } = decodeBackendKeyData(frames.find(({ type }) => type === 'K')?.payload as Buffer);
      const writer = new ByteWriter();
      encodeQuery(writer, 'select pg_sleep(600)');
      client.write(writer.take());
      await until(
        async () => {
          const { stdout } = await run('psql', [
            key.url,
            '-XAtc',
            "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'",
          ]);
          return stdout.trim() === '1';
        },
        { what: 'the statement to run' },
      );
      const cancel = async (secret: Uint8Array): Promise<void> => {
        const other = await RawClient.open(test.port);
        encodeCancelRequest(writer, processId, secret);
        other.write(writer.take());
        await other.closed();
      };
      await cancel(cryptoRandom(secretKey.length));
      await cancel(secretKey.subarray(0, 4).map((byte) => byte ^ 1));
      // Were it cancelled by those, the marker behind them would come too early.
      expect(
        (
          await run('psql', [
            key.url,
            '-XAtc',
            "select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'",
          ])
        ).stdout.trim(),
      ).toBe('1');
      await cancel(secretKey);
      const result = await client.until('Z');
      const error = result.find(({ type }) => type === 'E');
      expect(decodeErrorFields(error?.payload as Buffer).code).toBe('57014');
      client.close();
    }
  });

  it('ends connections that send nonsense, too much, too little, or nothing', async () => {
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 65]),
      Buffer.from([0, 0, 0, 8, 0, 2, 0, 0]),
      Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
      Buffer.alloc(100_000, 0),
      Buffer.from([0, 0]),
      Buffer.alloc(0),
    ]) {
      const client = await RawClient.open(test.port);
      client.write(bytes);
      await client.closed();
    }
    const key = test.key('owner');
    const client = await RawClient.open(test.port);
    await rawLogin(client, key, PROTOCOL_3_0);
    client.write(Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
    expect(decodeErrorFields((await client.until('E')).at(-1)?.payload as Buffer).code).toBe('08P01');
    await client.closed();
    expect((await run('psql', [key.url, '-XAtc', 'select 1'])).stdout.trim()).toBe('1');
  });

  it('limits the sessions of a database, and a place becomes free again', async () => {
    await until(() => test.door.stats.sessions === 0, { what: 'no sessions' });
    const key = test.key('owner');
    const clients = Array.from({ length: 5 }, () => new pg.Client(key.config));
    await Promise.all(clients.map((client) => client.connect()));
    expect(await refusal(key.config)).toMatchObject({ code: '53300' });
    await clients[0]?.end();
    await until(() => test.door.stats.sessions === 4, { what: 'a free place' });
    expect((await run('psql', [key.url, '-XAtc', 'select 1'])).stdout.trim()).toBe('1');
    await Promise.all(clients.slice(1).map((client) => client.end()));
    await until(() => test.instance.sessions === 0 && test.instance.holds === 0, { what: 'nothing held' });
  });
});

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
import {
  DOOR_DATABASE,
  type PostgresTestDoor,
  RawClient,
  rawLogin,
  startPostgresTestDoor,
} from '../support/postgres-test-door.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
let test: PostgresTestDoor;

beforeAll(async () => {
  test = await startPostgresTestDoor({ limits: { sessionsMax: 5, loginMs: 1_000 } });
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
  it('psql, pg and postgres.js log in with the URL, as the role of the key', async () => {
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

  it('a wrong password and an unknown key are refused in the same way', async () => {
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

  it('an unknown user gets the same challenge each time, as a known user does', async () => {
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

  it('the client of a revoked key is told of the revocation, at login and at the next message of an open session', async () => {
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

  it('endSessions ends the sessions of a revoked key at once, whether they are active or idle', async () => {
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

  it('a login refuses replication, any change of role, and other databases except for the owner', async () => {
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

  it('settings that would keep a connection from being ended are refused, however they are written', async () => {
    const owner = test.key('owner');
    for (const parameters of [
      { options: '-c post_auth_delay=600' },
      { options: '-cPost_Auth_Delay=600' },
      { options: '--post-auth-delay=600' },
      { options: '-c statement_timeout=0 --post_auth_delay\\=600' },
      { options: '-W 600' },
      { options: '-sW600' },
      { post_auth_delay: '600' },
      { Post_Auth_Delay: '600' },
      { options: '-c client_connection_check_interval=0' },
      { client_connection_check_interval: '0' },
      { local_preload_libraries: 'nothing' },
      { LOCAL_PRELOAD_LIBRARIES: 'nothing' },
      { options: '-c local_preload_libraries=nothing' },
    ]) {
      const client = await RawClient.open(test.port);
      const frames = await rawLogin(client, owner, PROTOCOL_3_0, Object.entries(parameters));
      expect(frames.at(-1)?.type).toBe('E');
      expect(decodeErrorFields(frames.at(-1)?.payload as Buffer)).toMatchObject({
        code: '42501',
        message: expect.stringContaining('cannot be given at the login'),
      });
      await client.closed();
    }
    // Postgres itself refuses settings that only a superuser may change. ALTER ROLE cannot set a delay at all.
    const client = await RawClient.open(test.port);
    const frames = await rawLogin(client, owner, PROTOCOL_3_0, [['session_preload_libraries', 'nothing']]);
    expect(decodeErrorFields(frames.at(-1)?.payload as Buffer).code).toBe('42501');
    await client.closed();
    const setting = new pg.Client(owner.config);
    await setting.connect();
    await expect(setting.query('alter role owner set post_auth_delay = 600')).rejects.toMatchObject({ code: '55P02' });
    await expect(setting.query('alter database postgres set post_auth_delay = 600')).rejects.toMatchObject({
      code: '55P02',
    });
    await setting.query('alter role owner set client_connection_check_interval = 0');
    const { stdout } = await run('psql', [owner.url, '-XAtc', 'show client_connection_check_interval']);
    expect(stdout.trim()).toBe('2s');
    await setting.query('alter role owner reset client_connection_check_interval');
    await setting.end();
  });

  it('a session reports pg_backend_pid() as its process id', async () => {
    const { config, url } = test.key('owner');
    type WithProcessId = pg.Client & { readonly processID: number };
    const [client, other] = [new pg.Client(config), new pg.Client(config)] as [WithProcessId, WithProcessId];
    await client.connect();
    await other.connect();
    expect((await client.query('select pg_backend_pid() as pid')).rows).toEqual([{ pid: client.processID }]);
    expect((await other.query('select usename from pg_stat_activity where pid = $1', [client.processID])).rows).toEqual(
      [{ usename: 'owner' }],
    );
    // A client recognizes its own notifications by the process id.
    const heard: (number | undefined)[] = [];
    client.on('notification', ({ processId }) => heard.push(processId));
    await client.query('listen own');
    await client.query('notify own');
    await other.query('notify own');
    await until(() => heard.length === 2, { what: 'both notifications' });
    expect(heard).toEqual([client.processID, other.processID]);
    const slow = client.query('select pg_sleep(600)').catch((error) => error);
    const running = "select pg_cancel_backend(pid) from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
    await until(async () => (await other.query(running, [client.processID])).rowCount === 1, { what: 'the cancel' });
    expect(await slow).toMatchObject({ code: '57014' });
    await client.end();
    await other.end();
    const { stdout } = await run('psql', [
      url,
      '-XAtc',
      'listen own',
      '-c',
      'notify own',
      '-c',
      'select pg_backend_pid()',
    ]);
    expect(stdout).toContain(`PID ${stdout.trim().split('\n').at(-1)}.`);
  });

  it('startup parameters are passed through, and the owner can log in to a shadow database', async () => {
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

describe('the database that a URL names', () => {
  /** The database that psql is connected to, or its error. */
  async function reached(url: string, sql = 'select current_database()'): Promise<string> {
    return run('psql', [url, '-XAtc', sql]).then(
      ({ stdout }) => stdout.trim(),
      (error: { stderr: string }) => error.stderr,
    );
  }

  it.each(['owner', 'writer', 'reader'] as const)(
    'a URL with a key of the %s that names no database reaches the main database',
    async (role) => {
      const { url, id, config } = test.key(role);
      // psql, libpq and the tools based on them ask for a database with the name of the user.
      for (const end of ['', '/', '?application_name=x', '/?application_name=x', `/${id}`, '/postgres']) {
        expect([end, await reached(url.replace('/postgres', end))]).toEqual([end, 'postgres']);
      }
      const { database: _, ...unnamed } = config;
      const client = new pg.Client(unnamed);
      await client.connect();
      expect((await client.query('select current_database() as name')).rows).toEqual([{ name: 'postgres' }]);
      await client.end();
    },
  );

  it('a URL with Dormouse’s own name of a database reaches the main database, unless the owner has made a database of that name', async () => {
    const owner = test.key('owner').url;
    const named = (url: string): string => url.replace('/postgres', `/${DOOR_DATABASE}`);
    for (const role of ['owner', 'writer', 'reader'] as const) {
      expect([role, await reached(named(test.key(role).url))]).toEqual([role, 'postgres']);
    }
    expect(await reached(owner, `create database "${DOOR_DATABASE}"`)).toBe('CREATE DATABASE');
    expect(await reached(named(owner))).toBe(DOOR_DATABASE);
    expect(await reached(named(test.key('reader').url))).toBe('postgres');
    expect(await reached(owner, `drop database "${DOOR_DATABASE}"`)).toBe('DROP DATABASE');
  });

  it('a database that does not exist is refused with a hint', async () => {
    for (const name of ['blog', 'Postgres', 'bl"og']) {
      const error = await refusal({ ...test.key('owner').config, database: name });
      expect(error).toMatchObject({ code: '3D000', message: `database "${name}" does not exist` });
      expect(error.hint).toContain('end the URL with /postgres');
      expect(error.hint).toContain(`CREATE DATABASE "${name.replaceAll('"', '""')}"`);
    }
    expect(await reached(test.key('owner').url.replace('/postgres', '/blog'))).toMatch(/HINT: .*\/postgres/);
    expect(await refusal({ ...test.key('reader').config, database: 'blog' })).toMatchObject({
      code: '42501',
      message: expect.stringContaining('"postgres" only'),
    });
  });
});

describe('the start-up', () => {
  it('a request for encryption is answered with N and the start-up goes on', async () => {
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

  it('protocol 3.0 gets a short cancel key, 3.2 a long one, and newer versions are negotiated down', async () => {
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

  it('a cancel key of either length cancels its statement, and a wrong key does not', async () => {
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
      // If one of these keys cancelled the statement, the marker behind them would arrive too early.
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

  it('connections that send nonsense, too much, too little, or nothing are ended, each with its own error', async () => {
    const startup = (...parameters: [string, string][]): Buffer => {
      const writer = new ByteWriter();
      encodeStartup(writer, PROTOCOL_3_0, parameters);
      return Buffer.from(writer.take());
    };
    const ssl = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
    const frame = (type: number, length: number): Buffer => {
      const header = Buffer.alloc(5, type);
      header.writeInt32BE(length, 1);
      return header;
    };
    const nobody = startup(['user', 'nobody']);
    const cases: [Buffer, string | undefined, string][] = [
      [Buffer.from('GET / HTTP/1.1\r\n\r\n'), '08P01', 'would have 1195725856'],
      [Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 65]), '08P01', 'broke the protocol'],
      [Buffer.from([0, 0, 0, 8, 0, 2, 0, 0]), '0A000', 'Version 2.0 of the protocol'],
      [Buffer.from([0, 0, 0, 8, 0, 4, 0, 0]), '0A000', 'Version 4.0 of the protocol'],
      [Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]), '08P01', 'would have 2147483647'],
      [Buffer.from([0, 0, 0, 4]), '08P01', 'would have 4'],
      [Buffer.alloc(100_000, 0), '08P01', 'broke the protocol'],
      [Buffer.from([0, 0]), undefined, ''],
      [Buffer.alloc(0), undefined, ''],
      [startup(), '28000', 'names no user'],
      [startup(['database', 'postgres']), '28000', 'names no user'],
      [startup(['user', '']), '28000', 'names no user'],
      [Buffer.concat([ssl, ssl, ssl]), '08P01', 'encryption was refused already'],
      [Buffer.from([0, 0, 0, 12, 4, 210, 22, 46, 0, 0, 0, 1]), '08P01', 'key of a cancel request'],
      [Buffer.concat([nobody, frame(0x51, 4)]), '08P01', 'another message was expected'],
      [Buffer.concat([nobody, frame(0x70, 0)]), '08P01', 'below 4'],
      [Buffer.concat([nobody, frame(0x70, 2 ** 31 - 1)]), '08P01', 'over the limit of 8192'],
      [Buffer.concat([nobody, frame(0x70, 9_000)]), '08P01', 'over the limit of 8192'],
    ];
    for (const [bytes, code, words] of cases) {
      const client = await RawClient.open(test.port);
      client.write(bytes);
      if (code !== undefined) {
        // A client that is refused before its challenge gets nothing but the error.
        let said = await client.bytes(1);
        while (said.toString() === 'N') said = await client.bytes(1);
        const length = (await client.bytes(4)).readInt32BE(0);
        const payload = await client.bytes(length - 4);
        const fields = decodeErrorFields(
          said.toString() === 'E' ? payload : ((await client.until('E')).at(-1)?.payload as Buffer),
        );
        expect(fields).toMatchObject({ code, severity: 'FATAL', message: expect.stringContaining(words) });
        expect(said.toString()).toBe(bytes.indexOf('nobody') < 0 ? 'E' : 'R');
      }
      await client.closed();
    }
  });

  it('a session that breaks the protocol is ended with an error of its own, and a session that sends Terminate ends without one', async () => {
    const key = test.key('owner');
    const client = await RawClient.open(test.port);
    await rawLogin(client, key, PROTOCOL_3_0);
    client.write(Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
    expect(decodeErrorFields((await client.until('E')).at(-1)?.payload as Buffer).code).toBe('08P01');
    await client.closed();
    const ended = async (bytes: Buffer): Promise<{ code?: string | undefined; message?: string | undefined }> => {
      const broken = await RawClient.open(test.port);
      await rawLogin(broken, key, PROTOCOL_3_0);
      broken.write(bytes);
      const heard: { type: string; payload: Buffer }[] = [];
      for (;;) {
        const frame = await broken.frame().catch(() => undefined);
        if (frame === undefined) break;
        heard.push(frame);
      }
      const last = heard.findLast(({ type }) => type === 'E');
      return last === undefined ? {} : decodeErrorFields(last.payload);
    };
    const words = (text: string) => ({ code: '08P01', message: expect.stringContaining(text) });
    expect(await ended(Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff]))).toMatchObject(words('limit of 1073741822'));
    expect(await ended(Buffer.from([0x64, 0x7f, 0xff, 0xff, 0xff]))).toMatchObject(words('limit of 1073741822'));
    expect(await ended(Buffer.from([0x53, 0x7f, 0xff, 0xff, 0xff]))).toMatchObject(words('limit of 10000'));
    expect(await ended(Buffer.from([0x45, 0, 1, 0, 0]))).toMatchObject(words('limit of 10000'));
    expect(await ended(Buffer.from([0x51, 0, 0, 0, 0]))).toMatchObject(words('below 4'));
    expect(await ended(Buffer.from([0x21, 0, 0, 0, 4]))).toMatchObject(words('invalid frontend message type 33'));
    expect(await ended(Buffer.from([0x70, 0, 0, 0, 4]))).toMatchObject(words('invalid frontend message type 112'));
    const goodbye = Buffer.from([0x58, 0, 0, 0, 4]);
    expect(await ended(goodbye)).toEqual({});
    expect(await ended(Buffer.concat([goodbye, Buffer.from('more')]))).toEqual({});
    expect(await ended(Buffer.concat([goodbye, Buffer.alloc(300_000, 0x51)]))).toEqual({});
    expect(await ended(Buffer.from([0x58, 0, 0, 0, 8, 1, 2, 3, 4, 5]))).toEqual({});
    // The same holds while a statement runs.
    const writer = new ByteWriter();
    encodeQuery(writer, 'select pg_sleep(0.1)');
    expect(await ended(Buffer.concat([writer.take(), goodbye, Buffer.from('more')]))).toEqual({});
    expect((await run('psql', [key.url, '-XAtc', 'select 1'])).stdout.trim()).toBe('1');
  });

  it('the sessions of a database are limited, and a place becomes free again', async () => {
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

import { afterAll, beforeAll, expect, it } from 'vitest';
import { cryptoRandom, systemClock } from '../../src/base/index.ts';
import {
  connectSocket,
  openSession,
  SimpleSession,
  type SimpleSessionOptions,
  sendCancelRequest,
} from '../../src/session/index.ts';
import { PostgresError, ProtocolError } from '../../src/wire/index.ts';
import { type PostgresTestDoor, startPostgresTestDoor, type TestKey } from '../support/postgres-test-door.ts';
import { until } from '../support/until.ts';

let test: PostgresTestDoor;
let owner: TestKey;

beforeAll(async () => {
  test = await startPostgresTestDoor();
  owner = test.key('owner');
});
afterAll(() => test?.close());

const closed = (): Error => new Error('closed without a reason');

function open(user: string, options: Partial<SimpleSessionOptions> = {}): Promise<SimpleSession> {
  return SimpleSession.open(connectSocket(test.instance.endpoint), {
    parameters: [
      ['user', user],
      ['database', 'postgres'],
    ],
    frames: { payloadBytesMax: 65_536 },
    closed,
    ...options,
  });
}

const throughTheDoor = (login: { readonly password: string } | undefined): Promise<unknown> => {
  const socket = connectSocket({ kind: 'tcp', host: '127.0.0.1', port: test.port });
  return openSession(socket, {
    parameters: [
      ['user', owner.config.user],
      ['database', 'postgres'],
    ],
    login: login === undefined ? undefined : { ...login, random: cryptoRandom },
  }).finally(() => socket.destroy());
};

it('a session logs in by SCRAM where the server asks for a password, and fails with the error that says why it cannot', async () => {
  await expect(throughTheDoor({ password: owner.secret })).resolves.toMatchObject({ processId: expect.any(Number) });
  await expect(throughTheDoor({ password: 'wrong' })).rejects.toBeInstanceOf(PostgresError);
  await expect(throughTheDoor(undefined)).rejects.toBeInstanceOf(ProtocolError);
});

it('a statement that fails leaves the session usable, and the rows of all statements of one text come together', async () => {
  const session = await open('owner');
  await expect(session.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
  expect(await session.query("SELECT 1, NULL; SELECT 'two', 'three'")).toEqual([
    ['1', null],
    ['two', 'three'],
  ]);
  session.destroy();
});

it('no setting that a tenant gave a role holds in a session of the platform', async () => {
  const names = ['statement_timeout', 'search_path', 'default_transaction_read_only'];
  const tenant = await open('owner');
  await tenant.query(
    'ALTER ROLE owner SET statement_timeout = 7; ALTER ROLE owner SET search_path = x; ALTER ROLE owner SET default_transaction_read_only = on',
  );
  tenant.destroy();
  try {
    const values = async (session: SimpleSession): Promise<unknown> => {
      const [row] = await session.query(`SELECT ${names.map((name) => `current_setting('${name}')`).join(', ')}`);
      session.destroy();
      return row;
    };
    expect(await values(await open('owner'))).toEqual(['7ms', 'x', 'on']);
    for (const kind of ['administration', 'replication'] as const) {
      expect(await values(await open('owner', { kind }))).toEqual(['0', 'pg_catalog, pg_temp', 'off']);
    }
  } finally {
    const session = await open('owner', { kind: 'administration' });
    await session.query('ALTER ROLE owner RESET ALL');
    session.destroy();
  }
});

it('the data of a COPY comes to its reader, and a message over the bound comes cut where the session allows it', async () => {
  const frames = { payloadBytesMax: 1_000, oversize: 'skip', keptBytes: 10 } as const;
  const session = await open('owner', { frames });
  const seen: [string, boolean][] = [];
  await session.copyOut("COPY (SELECT repeat('x', n) FROM (VALUES (3), (5000), (4)) AS v (n)) TO STDOUT", {
    onData: (payload, cut) => seen.push([payload.toString('utf8'), cut]),
  });
  expect(seen).toEqual([
    ['xxx\n', false],
    ['x'.repeat(10), true],
    ['xxxx\n', false],
  ]);
  await expect(session.copyOut('SELECT 1', { onData() {} })).rejects.toBeInstanceOf(ProtocolError);
  session.destroy();
});

it('a cancel request ends the statement that runs in the session, and the session goes on', async () => {
  const session = await open('owner');
  let ended: string | undefined;
  void session.query('SELECT pg_sleep(60)').catch((error: PostgresError) => {
    ended = error.code;
  });
  await until(
    async () => {
      // A cancel request that overtakes its statement finds the server idle and is lost.
      await sendCancelRequest(() => connectSocket(test.instance.endpoint), session, systemClock);
      return ended !== undefined;
    },
    { what: 'the end of the statement' },
  );
  expect(ended).toBe('57014');
  expect(await session.query('SELECT 1')).toEqual([['1']]);
  session.destroy();
});

it('a session that the server ends says why, and one whose stream ends without a reason fails as its owner says', async () => {
  const session = await open('owner');
  await expect(session.query('SELECT pg_terminate_backend(pg_backend_pid())')).rejects.toMatchObject({ code: '57P01' });
  expect(session.ended).toBe(true);
  await expect(session.query('SELECT 1')).rejects.toMatchObject({ code: '57P01' });
  const other = await open('owner');
  const slow = other.query('SELECT pg_sleep(60)');
  other.destroy();
  await expect(slow).rejects.toThrow('closed without a reason');
  await expect(
    SimpleSession.open(connectSocket({ kind: 'unix', path: '/nowhere' }), {
      ...{ parameters: [['user', 'owner']], frames: { payloadBytesMax: 1_000 }, closed },
    }),
  ).rejects.toMatchObject({ code: 'ENOENT' });
});

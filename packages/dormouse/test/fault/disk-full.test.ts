import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadClient } from '../support/clients.ts';
import { Ledger } from '../support/ledger.ts';
import { rawDoor } from '../support/life-writers.ts';
import { withSession } from '../support/pg-session.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema } from '../support/push-schema.ts';
import { processesOf } from '../support/reaper.mjs';
import { recordPlan } from '../support/recorded-plan.ts';
import { memoryDisk, NoMount, type SmallDisk } from '../support/small-disk.ts';
import { checkSubscriber, NamedSubscriber, readWholeLog, type StreamSource, tailOf } from '../support/stream-reader.ts';
import { until } from '../support/until.ts';

// A disk fills up under writes, stays full for a while, and then has room again. All data of the platform lies on it,
// the registry and the event logs too.

/** Room for the binaries, the template and three databases with some WAL. */
const DISK_MIB = 400;

let disk: SmallDisk | undefined;
let platform: Platform | undefined;

beforeAll(() => {
  try {
    disk = memoryDisk(DISK_MIB);
  } catch (error) {
    if (!(error instanceof NoMount)) throw error;
    console.log(`skipped: a disk of its own cannot be mounted here (${error.message})`);
  }
});
afterAll(async () => {
  await platform?.stop();
  disk?.remove();
});

const MARKS = /No space left|disk is full|53100|disk_full/i;
/**
 * The codes for a full disk (P2039 carries the 53100 of Postgres), and the codes for what a full disk does to a server:
 * the server crashed, does not start, or is restarting.
 */
const CODES = /^(53100|57P0[123]|08...|P6008|P6004|P2024|P2039)$/;

it('a database on a full disk refuses writes, loses nothing acknowledged, and accepts writes again once there is room', async ({
  skip,
}) => {
  if (disk === undefined) return skip();
  const small = disk;
  platform = await startPlatform({
    flags: ['--data', join(small.path, 'data'), '--wake-timeout', '5s', '--query-timeout', '5s'],
  });
  const running = platform;
  const database = await running.createDatabase('full');
  const other = await running.createDatabase('other');
  const spare = await running.json<DatabaseUrls>('key', 'create', 'full', '--role', 'reader');
  await pushSchema(database.postgresUrl, 7);
  const source: StreamSource = { base: () => running.http, apiKey: database.apiKey as string, table: 'public.samples' };
  const subscriber = new NamedSubscriber(source, 'full');
  await until(() => subscriber.place !== '', { what: 'the subscriber has its place' });

  const ledger = new Ledger();
  const refusals: string[] = [];
  const plan = await recordPlan(await loadClient(7), (client) =>
    // The values are too random to be compressed, so each needs its full room on the disk.
    client.sample.create({
      data: { text: 'RECORDED', json: randomBytes(48 * 1024).toString('base64') },
      select: { id: true },
    }),
  );
  const http = rawDoor('http', () => running.http, database.apiKey as string, plan, 'RECORDED');
  const attempt = async (writer: string, write: (id: string) => Promise<unknown>): Promise<boolean> => {
    const entry = ledger.begin(writer, 1, false);
    try {
      await write(entry.id);
      ledger.acknowledge(entry);
      return true;
    } catch (thrown) {
      const { code, status, body, message } = thrown as {
        code?: string;
        status?: number;
        body?: string;
        message: string;
      };
      const said = status === undefined ? undefined : (JSON.parse(body ?? '') as { code: string; message: string });
      const wording = `${said?.code ?? code ?? 'no code'} ${said?.message ?? message}`;
      // node-postgres gives no code when its session is ended by the server.
      if (!CODES.test(said?.code ?? code ?? '') && !/terminated|ECONNRESET/.test(message)) ledger.unclear.push(wording);
      refusals.push(wording);
      return false;
    }
  };
  const session = (id: string): Promise<unknown> =>
    withSession(database.postgresUrl, (client) =>
      client.query(
        `INSERT INTO samples (text, json) SELECT $1, to_jsonb(string_agg(md5(random()::text), '')) FROM generate_series(1, 2000)`,
        [id],
      ),
    );
  const tcp = (): Promise<boolean> => attempt('tcp', session);
  const prisma = (): Promise<boolean> =>
    attempt('http', (id) =>
      http.write({ id, writer: 'http', rows: 1, counts: false, issuedMs: 0, ackedMs: undefined }),
    );
  const both = async (): Promise<boolean> => (await tcp()) && (await prisma());
  /** Writes until each door has refused `times` writes; room that becomes free meanwhile is filled again. */
  const refused = async (times: number): Promise<void> => {
    const left = { tcp: times, prisma: times };
    await until(
      async () => {
        small.fill();
        if (!(await tcp())) left.tcp--;
        small.fill();
        if (!(await prisma())) left.prisma--;
        return left.tcp <= 0 && left.prisma <= 0;
      },
      { what: 'writes are refused at both doors', withinMs: 120_000 },
    );
  };

  expect(await both()).toBe(true);
  await refused(5);
  expect(refusals.join('\n')).toMatch(/53100/);
  expect(refusals.join('\n')).toMatch(MARKS);
  // The worst case: without room for the WAL the whole server ends, and it cannot start again.
  await until(
    async () => {
      small.fill();
      return withSession(database.postgresUrl, async (client) => {
        await client.query("SELECT pg_logical_emit_message(true, 'test', repeat('x', 900000))");
        return false;
      }).catch((error: Error) =>
        /terminated|not queryable|57P0|start/.test(`${error.message} ${(error as { code?: string }).code}`),
      );
    },
    { what: 'the WAL has no room' },
  );
  await refused(5);
  expect(ledger.unclear).toEqual([]);
  expect(refusals.join('\n')).toMatch(MARKS);

  // The platform itself still runs, and its errors name the full disk.
  const status = await running.cli('status');
  expect([status.code, status.stderr]).toEqual([0, '']);
  const creation = await running.cli('db', 'create', 'third');
  expect([creation.code, creation.stderr]).toEqual([2, expect.stringMatching(/disk is full.*Free some space/i)]);
  expect((await running.json<{ name: string }[]>('db', 'list')).map(({ name }) => name)).toEqual([
    'main',
    'full',
    'other',
  ]);
  expect(running.child.exitCode).toBe(null);
  const made = await managed(running, small, spare);

  small.drain();
  await until(both, { what: 'writes through both doors again', withinMs: 60_000 });
  const rows = await readTexts(database);
  expect(ledger.checkRows(rows, new Map())).toEqual([]);
  await until(async () => subscriber.place >= (await tailOf(source)), { what: 'the subscriber is at the tail' });
  await until(async () => (await readWholeLog(source)).length === rows.length, { what: 'every event in the log' });
  const log = await readWholeLog(source);
  expect(ledger.checkLog(log, rows)).toEqual([]);
  await until(() => subscriber.received.at(-1)?.offset === log.at(-1)?.offset, { what: 'the last event arrives' });
  await subscriber.close();
  expect(checkSubscriber(subscriber.received, log)).toEqual([]);
  console.log([...new Set(refusals.map((text) => text.slice(0, 120)))].join('\n'));

  expect((await readTexts(other, 'SELECT 1::text AS text')).length).toBe(1);
  await running.createDatabase('third');
  // Keys whose creation was acknowledged exist; keys whose creation was refused do not.
  const labels = (await running.json<{ label: string }[]>('key', 'list', 'other')).map(({ label }) => label);
  expect(labels).toEqual(['default', ...Array.from({ length: made }, () => 'written')]);
  expect(await running.terminate()).toBe(0);
  expect(processesOf(small.path)).toEqual([]);
});

/**
 * Tries each kind of write of the management API on a full disk: each is refused as `disk_full`, or is done. Returns
 * how many keys could be created.
 */
async function managed(running: Platform, small: SmallDisk, spare: DatabaseUrls): Promise<number> {
  const spareId = new URL(spare.postgresUrl).username;
  const commands: readonly (readonly string[])[] = [
    ['key', 'create', 'other', '--role', 'reader', '--label', 'written'],
    ['db', 'set', 'other', '--suspend-after', '7s'],
    ['db', 'create', 'fourth'],
    ['db', 'branch', 'other', 'fifth'],
    ['key', 'revoke', 'full', spareId],
  ];
  let made = 0;
  for (const command of commands) {
    const tell = async (): Promise<string> => {
      small.fill();
      const { code, stderr } = await running.cli(...command);
      if (code === 0 && command === commands[0]) made++;
      return `${command.join(' ')}: ${code} ${stderr}`;
    };
    // The command succeeds while the registry's journal still has room that it took before; after that it is refused.
    await until(async () => (await tell()).includes('[disk_full]'), { what: `${command.join(' ')} is refused` });
  }
  // The key counts as revoked all the same until this platform ends.
  const refused = await fetch(`${running.http}/connection-info`, {
    headers: { authorization: `Bearer ${spare.apiKey}` },
  });
  expect([refused.status, ((await refused.json()) as { meta: unknown }).meta]).toEqual([
    401,
    { reason: 'key_revoked' },
  ]);
  // If a server cannot start because the disk is full, the error is `disk_full` and not a failed start.
  expect((await running.cli('db', 'stop', 'main')).code).toBe(0);
  small.fill();
  const [main] = running.databases;
  await expect(withSession(main?.postgresUrl ?? '', (client) => client.query('SELECT 1'))).rejects.toMatchObject({
    code: '53100',
  });
  expect(running.log()).not.toMatch(/bug of ours/);
  return made;
}

function readTexts(database: DatabaseUrls, sql = 'SELECT text FROM samples'): Promise<string[]> {
  return withSession(database.postgresUrl, async (client) =>
    (await client.query<{ text: string }>(sql)).rows.map(({ text }) => text),
  );
}

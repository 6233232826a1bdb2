import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { membersOf, postmastersOf, send } from '../support/instance-faults.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { type SlowDisk, slowDisk } from '../support/slow-disk.ts';
import { NoMount } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

// A disk of a few operations per second, like a small cloud volume. All data of the platform lies on it, the registry
// and the event logs too.

/** Room for the binaries, the template and two databases with some WAL. */
const DISK_MIB = 500;
/** A limit so low that no operation of more than a few blocks ends before the limit is lifted. */
const STANDS_STILL = 1;

let disk: SlowDisk | undefined;
let platform: Platform | undefined;
let database: DatabaseUrls;
/** The sum that the acknowledged writes make. */
let sum = 0;

beforeAll(async () => {
  try {
    disk = slowDisk(DISK_MIB);
  } catch (error) {
    if (!(error instanceof NoMount)) throw error;
    console.log(`skipped: a disk cannot be made slow here (${error.message})`);
    return;
  }
  // The platform's directory is a scratch one.
  const { TMPDIR } = process.env;
  process.env.TMPDIR = disk.path;
  platform = await startPlatform({ flags: ['--wake-timeout', '2s', '--suspend-after', '1h'] }).finally(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  });
  disk.join(platform.child.pid as number);
  database = await platform.createDatabase('slow');
  await run(
    'CREATE TABLE t (id int PRIMARY KEY, n int, pad text) WITH (fillfactor = 50)',
    "INSERT INTO t SELECT i, 0, repeat('x', 1000) FROM generate_series(1, 3000) i",
  );
  await platform.cli('db', 'stop', 'slow');
});
afterAll(async () => {
  disk?.limit(undefined);
  await platform?.stop();
  disk?.remove();
});

async function run(...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(database.postgresUrl);
  client.on('error', () => {});
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const sql of statements) rows = (await client.query(sql)).rows;
    return rows;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Changes blocks that do not lie beside each other, so that each is a disk operation of its own. */
async function dirty(): Promise<void> {
  const [row] = await run(
    'UPDATE t SET n = n + 1 WHERE id % 9 = 0',
    'INSERT INTO t VALUES (-1, 0) ON CONFLICT (id) DO UPDATE SET n = t.n + 1',
    'SELECT sum(n)::int AS sum FROM t',
  );
  sum = row?.sum as number;
}

async function state(name: string): Promise<string | undefined> {
  const rows = await platform?.json<{ name: string; state: string }[]>('db', 'list');
  return rows?.find((row) => row.name === name)?.state;
}

it('a slow disk holds up the requests that need it, and no other request', async ({ skip }) => {
  if (disk === undefined || platform === undefined) return skip();
  const { http } = platform;
  let longestMs = 0;
  let done = false;
  const others = (async () => {
    while (!done) {
      const begunMs = performance.now();
      const reply = await fetch(`${http}/connection-info`, {
        headers: { authorization: `Bearer ${database.apiKey}` },
      });
      expect(reply.status).toBe(200);
      await reply.arrayBuffer();
      longestMs = Math.max(longestMs, performance.now() - begunMs);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  let tookMs = 0;
  try {
    await run('SELECT 1');
    disk.limit(STANDS_STILL);
    // The call copies the template and enters the database into the registry, so it takes as long as the disk does.
    const begunMs = performance.now();
    const created = platform.createDatabase('another');
    const directories = join(platform.data, 'databases');
    await until(() => membersOf(directories).some(({ title }) => /^cp /.test(title)), { what: 'the copy' });
    const writing = run('UPDATE t SET n = n + 1 WHERE id = 1');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    disk.limit(undefined);
    await Promise.all([created, writing]);
    tookMs = performance.now() - begunMs;
  } finally {
    disk.limit(undefined);
    done = true;
    await others;
  }
  expect(tookMs).toBeGreaterThan(1500);
  expect(longestMs).toBeLessThan(tookMs / 2);
});

it('a crash recovery on a slow disk goes on when the platform is killed, and waiting requests fail at their deadlines', async ({
  skip,
}) => {
  if (disk === undefined || platform === undefined) return skip();
  await dirty();
  const directory = join(platform.data, 'databases', database.id);
  for (const { pid } of membersOf(directory)) send(pid, 'SIGKILL');
  await until(async () => (await state('slow')) === 'stopped', { what: 'the report of the crash' });
  disk.limit(STANDS_STILL);
  await expect(run('SELECT 1')).rejects.toThrow(/wake|woke/);
  expect(await state('slow')).toBe('starting');
  const pidFile = join(directory, 'pgdata/postmaster.pid');
  await until(() => existsSync(pidFile) && /^starting/m.test(readFileSync(pidFile, 'latin1')), {
    what: 'the recovery',
  });
  const postmasters = postmastersOf(directory);
  expect(postmasters.length).toBe(1);

  await platform.kill9();
  await platform.start();
  disk.join(platform.child.pid as number);
  expect(await state('slow')).toBe('starting');
  await expect(run('SELECT 1')).rejects.toThrow(/wake|woke/);
  expect(postmastersOf(directory)).toEqual(postmasters);

  disk.limit(undefined);
  await until(async () => (await state('slow')) === 'running', { what: 'the end of the recovery' });
  expect(postmastersOf(directory)).toEqual(postmasters);
  expect(await run('SELECT sum(n)::int AS sum FROM t')).toEqual([{ sum }]);
});

it('a freeze, a thaw and a stop that a slow disk prolongs keep every acknowledged write', async ({ skip }) => {
  if (disk === undefined || platform === undefined) return skip();
  await dirty();
  disk.limit(20);
  await platform.cli('db', 'suspend', 'slow');
  await run('UPDATE t SET n = n + 1 WHERE id = 1');
  sum++;
  const stopping = platform.cli('db', 'stop', 'slow');
  await until(async () => (await state('slow')) !== 'running', { what: 'the stop to begin' });
  disk.limit(undefined);
  expect((await stopping).code).toBe(0);
  expect(platform.log()).not.toMatch(/not stopped cleanly/);
  expect(await run('SELECT sum(n)::int AS sum FROM t')).toEqual([{ sum }]);
});

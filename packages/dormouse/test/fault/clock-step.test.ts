import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type Loose, loadClient, requireOf } from '../support/clients.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema, runSql } from '../support/push-schema.ts';
import { postmasterPid } from '../support/server-processes.ts';
import { type SteppedWallClock, steppedWallClock } from '../support/stepped-wall-clock.ts';
import { checkSubscriber, NamedSubscriber, readWholeLog, type StreamSource } from '../support/stream-reader.ts';
import { clientOptions } from '../support/target.ts';
import { until } from '../support/until.ts';

// The wall clock of a platform steps a day ahead, then to a day before the platform’s start, and back. Durations must
// not depend on the wall clock.

const DAY_MS = 24 * 60 * 60 * 1000;

let clock: SteppedWallClock | undefined;
let platform: Platform;
let subscriber: NamedSubscriber | undefined;
const clients: Loose[] = [];
afterAll(async () => {
  for (const client of clients) await client.$disconnect();
  await subscriber?.close();
  await platform?.stop();
  clock?.remove();
});

async function api(method: string, path: string, body?: object): Promise<Loose> {
  const reply = await fetch(`${platform.http}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${platform.adminToken}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  expect(reply.ok, text).toBe(true);
  return JSON.parse(text);
}
const stateOf = async (name: string): Promise<string> => (await api('GET', `/databases/${name}`)).state;
const postmaster = ({ id }: DatabaseUrls): number | undefined => postmasterPid(join(platform.data, 'databases', id));
const sleeps = (name: string): Promise<unknown> =>
  until(async () => (await stateOf(name)) === 'suspended', { what: `${name} rests`, withinMs: 60_000 });

function open(module: Loose, prismaUrl: string): Loose {
  const { withAccelerate } = requireOf(7)('@prisma/extension-accelerate');
  const client = new module.PrismaClient({
    ...clientOptions(7, prismaUrl),
    transactionOptions: { maxWait: 60_000, timeout: 120_000 },
  });
  clients.push(client);
  return client.$extends(withAccelerate());
}

it('a step of the wall clock ends no transaction, stops no database, expires no cached reply and loses no event', async ({
  skip,
}) => {
  clock = steppedWallClock();
  if (clock === undefined) {
    console.warn('skipped: libfaketime is not installed, so that the clock of a process cannot be stepped');
    skip();
    return;
  }
  const { stepTo } = clock;
  // Databases are suspended soon. The times after which they are stopped, or a wait for them ends, are shorter than a
  // day and longer than the test.
  const flags = ['--suspend-after', '300ms', '--stop-after', '10h'];
  platform = await startPlatform({ flags, env: clock.env });
  const [busy, resting, stopped] = await Promise.all(['busy', 'resting', 'stopped'].map(platform.createDatabase));
  if (busy === undefined || resting === undefined || stopped === undefined) throw new Error('three were asked for');
  await pushSchema(busy.postgresUrl, 7);
  // A new database is stopped already; this one has to run first.
  await runSql(resting.postgresUrl, 'SELECT');
  expect(await stateOf('stopped')).toBe('stopped');
  await sleeps('resting');
  const module = await loadClient(7);
  const prisma = open(module, busy.prismaUrl);

  const source: StreamSource = { base: () => platform.http, apiKey: busy.apiKey as string, table: 'public.samples' };
  subscriber = new NamedSubscriber(source, 'clock');
  const { received, unclear } = subscriber;
  await until(() => subscriber?.place !== '', { what: 'the subscriber has its place' });
  const written: string[] = [];
  /** Writes one row and waits until the subscriber has its event. */
  const write = async (text: string, by: Loose = prisma): Promise<void> => {
    await by.sample.create({ data: { text }, select: { id: true } });
    written.push(text);
    await until(() => received.some((event) => event.text === text), { what: `the event of ${text}` });
  };
  const cached = async (): Promise<string> =>
    (await prisma.account.findMany({ where: { id: 0 }, cacheStrategy: { ttl: 36_000 } }).withAccelerateInfo()).info
      .cacheStatus;
  /** Steps the clock and checks that the platform sees the new time. */
  const step = async (days: number): Promise<void> => {
    stepTo(days);
    const { nowMs } = await api('GET', '/status');
    expect(Math.abs(nowMs - Date.now() - days * DAY_MS)).toBeLessThan(DAY_MS / 4);
  };

  await write('true');
  expect(await cached()).toBe('miss');
  const server = postmaster(busy);
  const keys: string[] = [];
  const newKey = async (): Promise<void> => {
    keys.push((await api('POST', '/databases/busy/keys', { role: 'owner' })).prismaUrl);
  };

  await prisma.$transaction(async (tx: Loose) => {
    await tx.account.create({ data: { id: 1, owner: 'before' } });
    await step(1);
    await write('a day ahead');
    await newKey();
    expect(await cached()).toBe('ttl');
    await tx.account.create({ data: { id: 2, owner: 'a day ahead' } });
    expect(await stateOf('resting')).toBe('suspended');
    await runSql(resting.postgresUrl, 'CREATE TABLE t ()');
    // The clock steps back while the platform counts how long this database has been idle.
    await step(-1);
    await sleeps('resting');
    await write('a day back');
    await newKey();
    expect(await cached()).toBe('ttl');
    await runSql(stopped.postgresUrl, 'CREATE TABLE t ()');
    await sleeps('stopped');
    await tx.account.create({ data: { id: 3, owner: 'a day back' } });
  });
  expect(await prisma.account.count()).toBe(3);
  expect(await stateOf('resting')).toBe('suspended');
  for (const url of keys) await write(`by key ${keys.indexOf(url)}`, open(module, url));

  // By the wall clock, the next run of the platform begins before the previous run began.
  await platform.kill9();
  clock.killed(platform.child.pid as number);
  await platform.start();
  expect(postmaster(busy)).toBe(server);
  await write('in another life');
  await runSql(resting.postgresUrl, 'SELECT FROM t');
  await step(0);
  for (const url of [busy.prismaUrl, ...keys]) await write(`again by ${url.slice(-8)}`, open(module, url));
  await sleeps('busy');
  expect(postmaster(busy)).toBe(server);
  const { databases } = await api('GET', '/databases');
  expect(databases.map(({ name }: Loose) => name).filter((name: string) => name !== 'main')).toEqual(
    expect.arrayContaining(['busy', 'resting', 'stopped']),
  );

  const log = await readWholeLog(source);
  expect(log.map(({ text }) => text)).toEqual(written);
  expect(checkSubscriber(received, log)).toEqual([]);
  expect(unclear).toEqual([]);
});

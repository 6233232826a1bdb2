import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { until } from '../support/until.ts';

// Settings for suspending and stopping databases, changed on a running platform. No test here wakes a database by a
// query.

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({ flags: ['--suspend-after', 'never', '--stop-after', 'never'] });
});
afterAll(() => platform?.stop());

interface Shown {
  readonly id: string;
  readonly state: string;
  readonly rest: { readonly own: readonly string[] };
}
const show = async (name: string): Promise<Shown> => {
  const headers = { authorization: `Bearer ${platform.adminToken}` };
  return (await (await fetch(`${platform.http}/api/databases/${name}`, { headers })).json()) as Shown;
};
const reaches = (name: string, state: string) =>
  until(async () => (await show(name)).state === state, { what: `${name} ${state}`, withinMs: 60_000 });

describe('db set', () => {
  it('db set takes effect at once, is shown, and outlives the platform', async () => {
    await platform.createDatabase('nap');
    await platform.json('db', 'wake', 'nap');
    const set = await platform.json<Shown>('db', 'set', 'nap', '--suspend-after', '50ms', '--stop-after', 'never');
    expect(set.rest).toEqual({
      ...{ suspendAfterMs: 50, stopAfterMs: 'never', alwaysOn: false, listenKeepsAwake: false },
      own: ['suspendAfterMs', 'stopAfterMs'],
    });
    await reaches('nap', 'suspended');
    await platform.json('db', 'set', 'nap', '--stop-after', '10ms');
    await reaches('nap', 'stopped');
    await platform.restart();
    const text = (await platform.cli('db', 'show', 'nap')).stdout;
    expect(text).toMatch(/Suspend after +50ms\n.*Stop after +10ms\n/s);
    expect((await platform.cli('db', 'list')).stdout).toMatch(/nap +stopped +50ms \/ 10ms/);
    await platform.json('db', 'set', 'nap', '--suspend-after', 'default', '--stop-after', 'default');
    await platform.json('db', 'wake', 'nap');
    expect((await show('nap')).rest).toMatchObject({ suspendAfterMs: 'never', own: [] });
    expect((await platform.cli('db', 'show', 'nap')).stdout).toMatch(/Suspend after +never \(default\)/);
  });

  it.each([
    [['db', 'set', 'main'], 'There is nothing to change'],
    [['db', 'set', 'main', '--always-on', '--no-always-on'], 'exclude each other'],
    [['db', 'set', 'main', '--suspend-after', 'soon'], '--suspend-after: "soon" is not a duration'],
    [['db', 'set', 'nowhere', '--always-on'], '`dormouse db list`'],
  ])('%o says what is wrong', async (words, message) => {
    const { code, stderr } = await platform.cli(...words);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe('a database that is always on', () => {
  it('a database that is always on runs at once, after a crash, and after a restart of the platform, without a query', async () => {
    const { id } = await platform.createDatabase('shop');
    await platform.json('db', 'stop', 'shop');
    await platform.json('db', 'set', 'shop', '--always-on', '--suspend-after', '10ms');
    await reaches('shop', 'running');
    const record = join(platform.data, 'databases', id, 'process.json');
    const pid = () => (JSON.parse(readFileSync(record, 'utf8')) as { pid: number }).pid;
    const first = pid();
    process.kill(first, 'SIGKILL');
    await until(async () => (await show('shop')).state === 'running' && pid() !== first, { what: 'its return' });
    await platform.restart();
    await reaches('shop', 'running');
    expect((await platform.cli('db', 'show', 'shop')).stdout).toMatch(/Always on +yes\n/);
    // A stop by command stops the database until it is woken.
    await platform.json('db', 'stop', 'shop');
    expect((await show('shop')).state).toBe('stopped');
    await platform.json('db', 'set', 'shop', '--no-always-on');
    await platform.json('db', 'wake', 'shop');
    await reaches('shop', 'suspended');
  });
});

describe('LISTEN', () => {
  const session = async ({ postgresUrl }: DatabaseUrls): Promise<pg.Client> => {
    const client = new pg.Client(postgresUrl);
    client.on('error', () => {});
    await client.connect();
    return client;
  };

  it('a session with LISTEN lets its database be suspended and misses no notification, or keeps it awake if so set', async () => {
    const urls = await platform.createDatabase('news');
    await platform.json('db', 'set', 'news', '--suspend-after', '20ms');
    const listener = await session(urls);
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query('LISTEN news');
    for (const round of ['one', 'two']) {
      await reaches('news', 'suspended');
      const speaker = await session(urls);
      await speaker.query("SELECT pg_notify('news', $1)", [round]);
      await speaker.end();
      await until(() => heard.at(-1) === round, { what: `notification ${round}` });
    }
    expect(heard).toEqual(['one', 'two']);
    await platform.json('db', 'set', 'news', '--listen-keeps-awake');
    await listener.query('SELECT 1');
    // Another database is suspended twice meanwhile.
    await platform.json('db', 'set', 'nap', '--suspend-after', '20ms');
    for (let round = 0; round < 2; round++) {
      await platform.json('db', 'wake', 'nap');
      await reaches('nap', 'suspended');
    }
    expect((await show('news')).state).toBe('running');
    await listener.end();
    await reaches('news', 'suspended');
  });
});

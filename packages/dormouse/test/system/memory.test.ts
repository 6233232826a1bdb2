import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSession } from '../support/pg-session.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { until } from '../support/until.ts';

// Databases that together use more memory than they may. A server alone takes 16 MB; one beside others that share its
// binary takes 7 to 12 MB. So two servers fit, but not all of these.
const MEMORY_MAX_MIB = 44;
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

let platform: Platform;
const urls = new Map<string, DatabaseUrls>();
beforeAll(async () => {
  platform = await startPlatform({
    flags: ['--suspend-after', '20ms', '--stop-after', 'never', '--memory-max', `${MEMORY_MAX_MIB}MiB`],
  });
  for (const name of NAMES) urls.set(name, await platform.createDatabase(name));
});
afterAll(() => platform?.stop());

interface Item {
  readonly name: string;
  readonly state: string;
  readonly memoryBytes: number | null;
}
async function api<T>(path: string): Promise<T> {
  const headers = { authorization: `Bearer ${platform.adminToken}` };
  return (await (await fetch(`${platform.http}/api${path}`, { headers })).json()) as T;
}
const databases = async () => (await api<{ databases: Item[] }>('/databases')).databases;
const stateOf = async (name: string) => (await databases()).find((one) => one.name === name)?.state;

const session = (name: string) => openSession(urls.get(name)?.postgresUrl ?? '');

describe('memory', () => {
  it('memory is kept below --memory-max by stopping the databases that have slept longest, their sessions are told, and no query is refused', async () => {
    await platform.json('db', 'set', 'b', '--always-on');
    const sleeper = await session('a');
    await sleeper.client.query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)');
    await until(async () => (await stateOf('a')) === 'suspended', { what: 'the sleeper' });
    for (const name of NAMES.slice(2)) {
      const { client } = await session(name);
      await client.query('SELECT 1');
      await client.end();
      await until(async () => (await stateOf(name)) !== 'running', { what: `the rest of ${name}` });
    }
    const settled = await until(
      async () => {
        const all = await databases();
        const bytes = all.reduce((sum, { memoryBytes }) => sum + (memoryBytes ?? Number.NaN), 0);
        const still = all.every(({ state }) => ['running', 'suspended', 'stopped'].includes(state));
        return still && bytes > 0 && bytes <= MEMORY_MAX_MIB * 2 ** 20 ? all : undefined;
      },
      { what: 'everything measured, and below the mark', withinMs: 120_000 },
    );
    // The stopped databases are the first that went to sleep, in the order of use. The database that is always on is
    // not among them.
    const order = settled.filter(({ name }) => name !== 'main' && name !== 'b');
    const stopped = order.filter(({ state }) => state === 'stopped').length;
    expect(stopped).toBeGreaterThan(0);
    expect(order.map(({ state }) => state)).toEqual(
      order.map((_, index) => (index < stopped ? 'stopped' : 'suspended')),
    );
    expect(settled.find(({ name }) => name === 'b')?.state).toBe('running');
    for (const { name, state, memoryBytes } of settled) {
      if (state === 'stopped') expect([name, memoryBytes]).toEqual([name, 0]);
      else expect(memoryBytes, name).toBeGreaterThan(2 ** 20);
    }
    await until(() => sleeper.lost(), { what: 'the session to be told' });
    expect(sleeper.lost()).toMatchObject({ code: '57P01', message: expect.stringContaining('memory is scarce') });
    // The stopped database starts again, and another one is stopped to make room for it.
    const { client } = await session('a');
    expect((await client.query('SELECT n FROM kept')).rows).toEqual([{ n: 1 }]);
    await client.end();
  });

  it('the memory of databases is shown by `status`, `db list` and `db show`', async () => {
    const status = await api<{ memory: { bytes: number; maxBytes: number; measured: number; servers: number } }>(
      '/status',
    );
    expect(status.memory.maxBytes).toBe(MEMORY_MAX_MIB * 2 ** 20);
    expect(status.memory.bytes).toBeGreaterThan(2 ** 20);
    expect((await platform.cli('status')).stdout).toMatch(/Memory +[\d.]+ MiB of at most 44 MiB, of the databases/);
    expect((await platform.cli('db', 'list')).stdout).toMatch(/NAME +STATE +RESTS AFTER +MEMORY/);
    expect((await platform.cli('db', 'show', 'b')).stdout).toMatch(/Memory +[\d.]+ MiB/);
  });
});

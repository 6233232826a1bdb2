import { afterAll, beforeAll, expect, it } from 'vitest';
import { Deadline, systemClock } from '../../src/base/index.ts';
import { type BareEngine, rawPlan, startBareEngine } from '../support/bare-engine.ts';
import { until } from '../support/until.ts';

let engine: BareEngine;
beforeAll(async () => {
  engine = await startBareEngine();
});
afterAll(() => engine?.close());

it('a late request of one key is served before most requests of another key that floods the pool', async () => {
  const pool = engine.pool('owner');
  const deadline = Deadline.in(systemClock, 60_000);
  // Both connections are taken. Requests that come now wait, and the first connection that is released serves them.
  const [one, two] = [await pool.acquire({ deadline }), await pool.acquire({ deadline })];
  const served: string[] = [];
  const ask = async (key: string): Promise<void> => {
    const { status } = await engine.ask('/query', rawPlan('select 1 as one'), { key });
    expect(status).toBe(200);
    served.push(key);
  };
  const asked = Array.from({ length: 30 }, () => ask('flood'));
  await until(() => pool.stats.waiting === 30, { what: 'the flood waits' });
  asked.push(ask('quiet'));
  await until(() => pool.stats.waiting === 31, { what: 'the quiet key waits' });
  asked.push(
    (async () => {
      const { json, status } = await engine.ask(
        '/transaction/start',
        { timeout: 5_000, maxWait: 20_000 },
        { key: 'slow' },
      );
      expect(status).toBe(200);
      served.push('slow');
      expect((await engine.ask(`/transaction/${json.id}/rollback`, '', { key: 'slow' })).status).toBe(200);
    })(),
  );
  await until(() => pool.stats.waiting === 32, { what: 'the transaction waits' });
  one.release();
  await Promise.all(asked);
  two.release();
  expect(served.length).toBe(32);
  expect(served.indexOf('quiet')).toBeLessThan(4);
  expect(served.indexOf('slow')).toBeLessThan(6);
});

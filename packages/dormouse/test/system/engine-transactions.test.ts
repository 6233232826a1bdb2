import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/base/index.ts';
import {
  type Answer,
  type AskOptions,
  askEngine,
  type BareEngine,
  rawPlan,
  startBareEngine,
} from '../support/bare-engine.ts';
import { until } from '../support/until.ts';

let engine: BareEngine;
beforeAll(async () => {
  engine = await startBareEngine({ limits: { transactionsMax: 2, transactionMs: 15_000 } });
  await engine.sql(`CREATE TABLE note (id int PRIMARY KEY)`);
});
afterAll(() => engine?.close());
beforeEach(() => engine.sql('DELETE FROM note'));

const start = async (body: object = {}, options?: AskOptions): Promise<string> => {
  const answer = await engine.ask('/transaction/start', { timeout: 10_000, maxWait: 5_000, ...body }, options);
  expect(answer.status, JSON.stringify(answer.json)).toBe(200);
  return answer.json.id;
};
const insert = (id: string, value: number, options?: AskOptions): Promise<Answer> =>
  engine.ask(`/transaction/${id}/query`, rawPlan(`INSERT INTO note VALUES (${value})`, [], 'execute'), options);
const end = (id: string, how: 'commit' | 'rollback', options?: AskOptions): Promise<Answer> =>
  engine.ask(`/transaction/${id}/${how}`, '', options);
const count = async (): Promise<number> => Number((await engine.sql('SELECT count(*) FROM note'))[0]);
const noneLeased = (): Promise<boolean> =>
  until(() => engine.pool('owner').stats.leased === 0, { what: 'every lease is given back' });

describe('an interactive transaction', () => {
  it('an interactive transaction commits or rolls back, and is closed afterwards', async () => {
    const one = await start();
    expect((await insert(one, 1)).status).toBe(200);
    expect(await count()).toBe(0);
    expect(await end(one, 'commit')).toEqual({ status: 200, json: {} });
    expect(await count()).toBe(1);
    expect(await end(one, 'commit')).toMatchObject({
      status: 409,
      json: { code: 'P2028', error: expect.stringMatching(/already closed: A commit .* committed transaction/) },
    });
    const two = await start();
    await insert(two, 2);
    expect((await end(two, 'rollback')).status).toBe(200);
    expect(await count()).toBe(1);
    expect((await insert(two, 3)).json).toMatchObject({ code: 'P2028', error: expect.stringContaining('rolled back') });
    await noneLeased();
  });

  it('an interactive transaction is not found by another key or under a wrong id', async () => {
    const id = await start();
    for (const answer of [
      await insert(id, 1, { key: 'two' }),
      await end(id, 'commit', { key: 'two' }),
      await insert('0'.repeat(32), 1),
      await insert('constructor', 1),
      await end('__proto__', 'rollback'),
    ]) {
      expect(answer).toMatchObject({
        status: 409,
        json: { code: 'P2028', error: expect.stringContaining('not found') },
      });
    }
    expect((await end(id, 'rollback')).status).toBe(200);
    // Another key does not learn the end of the transaction either.
    expect((await end(id, 'commit', { key: 'two' })).json.error).toContain('not found');
  });

  it('an interactive transaction ends when its time is over, even in the middle of a statement', async () => {
    const id = await start({ timeout: 300 });
    await insert(id, 1);
    const slow = await engine.ask(`/transaction/${id}/query`, rawPlan('SELECT pg_sleep(30)::text'));
    expect(slow).toMatchObject({ status: 409, json: { code: 'P2028', meta: { operation: 'query', timeout: 300 } } });
    expect(slow.json.error).toMatch(/: A query cannot be executed on an expired transaction/);
    expect((await end(id, 'commit')).json.error).toMatch(/A commit cannot be executed on an expired transaction/);
    expect(await count()).toBe(0);
    await noneLeased();
  });

  it('an interactive transaction of a client that vanishes is rolled back', async () => {
    const id = await start({ timeout: 400 });
    const cancellation = new Cancellation();
    const asked = engine.ask(`/transaction/${id}/query`, rawPlan('SELECT pg_sleep(30)::text'), { cancellation });
    cancellation.cancel();
    expect((await asked).code).toBe('interrupted');
    await noneLeased();
    expect((await insert(id, 1)).json.error).toContain('expired');
  });

  it('an interactive transaction runs simultaneous requests in the order in which they came', async () => {
    const id = await start();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, value) => insert(id, value)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const [order] = await Promise.all([
      engine.ask(`/transaction/${id}/query`, rawPlan(`SELECT string_agg(id::text, ',' ORDER BY ctid) FROM note`)),
      end(id, 'commit'),
    ]);
    expect(order.json.data.rows[0][0]).toBe(Array.from({ length: 20 }, (_, value) => value).join(','));
    expect(await count()).toBe(20);
  });

  it('the commit of an interactive transaction with a failed statement is refused', async () => {
    const id = await start();
    await insert(id, 1);
    expect((await insert(id, 1)).json.code).toBe('P2010');
    expect(await end(id, 'commit')).toMatchObject({
      status: 409,
      json: { code: 'P2028', error: expect.stringContaining('nothing was committed') },
    });
    expect(await count()).toBe(0);
    await noneLeased();
  });

  it('an error of Postgres at the commit of an interactive transaction is passed to the client', async () => {
    await engine.sql(
      `CREATE TABLE IF NOT EXISTS child (id int, parent int REFERENCES note DEFERRABLE INITIALLY DEFERRED)`,
    );
    const id = await start();
    await engine.ask(`/transaction/${id}/query`, rawPlan('INSERT INTO child VALUES (1, 99)', [], 'execute'));
    expect((await end(id, 'commit')).json).toMatchObject({ code: 'P2003' });
    expect((await end(id, 'commit')).json.error).toContain('rolled back');
    await noneLeased();
  });

  it('interactive transactions nest by savepoints', async () => {
    const id = await start();
    await insert(id, 1);
    expect(await start({ newTxId: id })).toBe(id);
    await insert(id, 2);
    expect((await insert(id, 2)).json.code).toBe('P2010');
    expect((await end(id, 'rollback')).status).toBe(200);
    expect(await start({ newTxId: id })).toBe(id);
    await insert(id, 3);
    expect((await end(id, 'commit')).status).toBe(200);
    expect((await end(id, 'commit')).status).toBe(200);
    expect(await engine.sql(`SELECT string_agg(id::text, ',' ORDER BY id) FROM note`)).toEqual(['1,3']);
  });

  it('an interactive transaction has the isolation level that its request asks for', async () => {
    for (const [asked, level] of [
      ['SERIALIZABLE', 'serializable'],
      ['RepeatableRead', 'repeatable read'],
    ]) {
      const id = await start({ isolationLevel: asked });
      const { json } = await engine.ask(`/transaction/${id}/query`, rawPlan('SHOW transaction_isolation'));
      expect(json.data.rows[0][0]).toBe(level);
      await end(id, 'rollback');
    }
    const snapshot = await engine.ask('/transaction/start', {
      timeout: 1000,
      maxWait: 1000,
      isolationLevel: 'SNAPSHOT',
    });
    expect(snapshot.json).toMatchObject({ code: 'P2023', error: expect.stringContaining('`SNAPSHOT`') });
  });

  it('an interactive transaction that gets no connection in time says so, and transactions above the limit are refused', async () => {
    const [one, two] = [await start(), await start()];
    expect((await engine.ask('/transaction/start', { timeout: 1000, maxWait: 50 })).code).toBe(
      'transactions_exhausted',
    );
    await end(two, 'rollback');
    // Both connections are taken: one by the transaction, the other by this statement.
    const cancellation = new Cancellation();
    const busy = engine.ask('/query', rawPlan('SELECT pg_sleep(30)::text'), { cancellation });
    await until(() => engine.pool('owner').stats.leased === 2, { what: 'both connections are leased' });
    expect(await engine.ask('/transaction/start', { timeout: 1000, maxWait: 50 })).toMatchObject({
      status: 409,
      json: { code: 'P2028', error: expect.stringContaining('Unable to start a transaction in the given time') },
    });
    cancellation.cancel();
    await busy;
    await end(one, 'rollback');
    await noneLeased();
  });

  it('an interactive transaction ends when its server ends', async () => {
    // This transaction has run no statement yet, so its first statement finds a server that works.
    const early = await start();
    await engine.instance.crash();
    expect((await insert(early, 7)).status).toBe(200);
    await end(early, 'rollback');
    const id = await start();
    await insert(id, 2);
    await engine.instance.crash();
    expect((await insert(id, 1)).code).toMatch(/^database_(crashed|stopped)$/);
    expect((await insert(id, 1)).json.error).toContain('rolled back');
    expect(await count()).toBe(0);
    await noneLeased();
  });

  it('an interactive transaction is rolled back when the database closes', async () => {
    const other = engine.reopen();
    const { json } = await askEngine(other, '/transaction/start', { timeout: 10_000, maxWait: 1000 });
    await askEngine(other, `/transaction/${json.id}/query`, rawPlan('INSERT INTO note VALUES (1)', [], 'execute'));
    await other.close();
    await noneLeased();
    expect(await count()).toBe(0);
    expect((await askEngine(other, '/query', rawPlan('SELECT 1'))).code).toBe('shutting_down');
  });
});

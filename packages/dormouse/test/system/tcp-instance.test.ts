import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Instance, InstanceState } from '../../src/instance/index.ts';
import { openSession } from '../support/pg-session.ts';
import type { TestKey } from '../support/postgres-test-door.ts';
import { type RestingInstance, startRestingInstance } from '../support/resting-instance.ts';
import { until } from '../support/until.ts';

// The pool and the TCP door over real instances, which are suspended and stopped by their own timers.
const run = promisify(execFile);
let resting: RestingInstance;
let instance: Instance;
let owner: TestKey;

beforeAll(async () => {
  resting = await startRestingInstance('tcp-instance', { suspendAfterMs: 50, stopAfterMs: 50 });
  ({ instance, owner } = resting);
});
afterAll(() => resting?.close());

const reach = (state: InstanceState): Promise<true> => until(() => instance.state === state, { what: state });

const ask = (sql: string): Promise<string | undefined> => resting.ask(sql);

describe('over instances that rest by themselves', () => {
  it('a pool starts a stopped database and lets it rest again', async () => {
    for (let round = 0; round < 5; round++) {
      await reach('stopped');
      expect(await ask('select current_user')).toBe('owner');
    }
  });

  it('a pool keeps its connection through suspends', async () => {
    const session = instance.openSession();
    const pid = await ask('select pg_backend_pid()');
    for (let round = 0; round < 5; round++) {
      await reach('suspended');
      expect(await ask('select pg_backend_pid()')).toBe(pid);
    }
    session.release();
    await reach('stopped');
    expect(resting.pool.stats.open).toBe(0);
  });

  it('a TCP client wakes a database, keeps its session through a suspend, and prevents a stop for idleness', async () => {
    await reach('stopped');
    const client = new pg.Client(owner.config);
    await client.connect();
    await client.query('create temp table mine as select 7 as n');
    for (let round = 0; round < 5; round++) {
      await reach('suspended');
      expect((await client.query('select n from mine')).rows).toEqual([{ n: 7 }]);
    }
    await client.query('begin');
    await client.query('select 1');
    const changes: InstanceState[] = [];
    const detach = instance.onChange((state) => changes.push(state));
    await ask('select pg_sleep(0.3)');
    expect(changes).toEqual([]);
    await client.query('commit');
    await reach('suspended');
    detach();
    await client.end();
    await reach('stopped');
  });

  it('a stop ends an idle session with 57P01 and a statement with database_stopped', async () => {
    const { client, lost } = await openSession(owner.config);
    const slow = ask('select pg_sleep(600)').catch((error) => error);
    await until(
      async () =>
        (
          await client.query(
            "select 1 from pg_stat_activity where query like 'select pg_sleep(6%' and state = 'active'",
          )
        ).rowCount === 1,
      { what: 'the statement' },
    );
    await instance.stop();
    expect(await slow).toMatchObject({ code: 'database_stopped' });
    await until(lost, { what: 'the end of the session' });
    expect(lost()).toMatchObject({ code: '57P01', message: expect.stringContaining('stopped') });
    expect((await run('psql', [owner.url, '-XAtc', 'select 1'])).stdout.trim()).toBe('1');
    expect(await ask('select 2')).toBe('2');
  });
});

import { describe, expect, it } from 'vitest';
import { Timings } from '../../src/base/index.ts';
import type { Lease } from '../../src/pool/index.ts';
import { ask, lease, soon, usePools } from '../support/pools.ts';
import { until } from '../support/until.ts';

const world = usePools();

describe('a server that sleeps, dies and comes back', () => {
  it('a database is suspended despite idle connections, and wakes for a lease on the same connection', async () => {
    const pool = world.open();
    const one = await lease(pool);
    const pid = await ask(one, 'select pg_backend_pid()');
    one.release();
    // The pool first asks which code of the tenant exists.
    await until(() => world.instance.holds === 0, { what: 'no hold' });
    await world.instance.suspend();
    const timings = new Timings();
    const two = await pool.acquire({ deadline: soon(), timings });
    expect(timings.get('wake')).toBeGreaterThan(0);
    expect(world.instance.holds).toBe(1);
    expect(await ask(two, 'select pg_backend_pid()')).toEqual(pid);
    two.release();
  });

  it('one idle connection, the one used last, is kept through a freeze', async () => {
    const pool = world.open();
    const three = await Promise.all([lease(pool), lease(pool), lease(pool)]);
    const warmest = await ask(three[2] as Lease, 'select pg_backend_pid()');
    for (const each of three) each.release();
    await world.instance.suspend();
    await until(async () => pool.stats.open === 1, { what: 'the others to be closed' });
    const again = await Promise.all([lease(pool), lease(pool), lease(pool)]);
    const pids = await Promise.all(again.map((each) => ask(each, 'select pg_backend_pid()')));
    expect(pids).toContainEqual(warmest);
    for (const each of again) each.release();
  });

  it('a pool is rebuilt after a stop, a crash and an unannounced stop, without a caller noticing', async () => {
    const pool = world.open();
    for (const end of ['stop', 'crash', 'stop', 'crash'] as const) {
      const three = await Promise.all([lease(pool), lease(pool), lease(pool)]);
      for (const each of three) each.release();
      expect(pool.stats.idle).toBe(3);
      await world.instance[end]();
      const one = await lease(pool);
      expect(await ask(one, 'select 1')).toEqual([['1']]);
      one.release();
    }
  });

  it('one wake serves all callers of a pool', async () => {
    const pool = world.open({ connectionsMax: 5 });
    await world.instance.stop();
    const before = world.instance.wakes;
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const one = await lease(pool);
        expect(await ask(one, 'select 1')).toEqual([['1']]);
        one.release();
      }),
    );
    expect(world.instance.wakes).toBe(before + 1);
  });

  it('a connection that was terminated while idle is replaced, even between lease and statement', async () => {
    const killer = await lease(world.open());
    const pool = world.open({ connectionsMax: 1 });
    for (let round = 0; round < 20; round++) {
      const one = await lease(pool);
      const pid = (await ask(one, 'select pg_backend_pid()'))[0]?.[0] as string;
      one.release();
      // The lease is taken sometimes before and sometimes after the termination. The signal is sent when the call
      // returns; the pool may not have read the end of the connection yet.
      const before = round % 2 === 0 ? await lease(pool) : undefined;
      await ask(killer, 'select pg_terminate_backend($1::int)', [pid]);
      const use = before ?? (await lease(pool));
      expect(await ask(use, 'select $1::int', [String(round)])).toEqual([[String(round)]]);
      use.release();
    }
    killer.release();
  });

  it('a pool distinguishes a statement that was ended in the middle from one that was not begun', async () => {
    const killer = await lease(world.open());
    const pool = world.open();
    const one = await lease(pool);
    const pid = (await ask(one, 'select pg_backend_pid()'))[0]?.[0] as string;
    const slow = one.execute('select pg_sleep(600)', []).catch((error) => error);
    await until(
      async () =>
        (await ask(killer, "select 1 from pg_stat_activity where pid = $1::int and state = 'active'", [pid])).length ===
        1,
      { what: 'the statement to run' },
    );
    await ask(killer, 'select pg_terminate_backend($1::int)', [pid]);
    // The server goes on: only this session was ended.
    expect(await slow).toMatchObject({ code: '57P01', fatal: true });
    await expect(one.execute('select 1', [])).rejects.toMatchObject({ code: '57P01' });
    one.release();

    const two = await lease(pool);
    const [[other] = []] = await ask(two, 'select pg_backend_pid()');
    const crashed = two.execute('select pg_sleep(600)', []).catch((error) => error);
    await until(
      async () =>
        (
          await ask(killer, "select 1 from pg_stat_activity where pid = $1::int and state = 'active'", [
            other as string,
          ])
        ).length === 1,
      { what: 'the statement to run' },
    );
    killer.release();
    await world.instance.crash();
    expect(await crashed).toMatchObject({ code: 'database_crashed' });
    two.release();
    expect(pool.stats.leased).toBe(0);
    const three = await lease(pool);
    expect(await ask(three, 'select 1')).toEqual([['1']]);
    three.release();
    // The pool first asks which code of the tenant exists.
    await until(() => world.instance.holds === 0, { what: 'no hold' });
  });

  it('no write is run twice or lost through stops and crashes', async () => {
    const pool = world.open({ connectionsMax: 4 });
    const setup = await lease(pool);
    await setup.execute('drop table if exists ledger', []);
    await setup.execute('create table ledger (n int)', []);
    setup.release();
    const acknowledged = new Set<number>();
    const unknown = new Set<number>();
    let next = 0;
    let stop = false;
    const writers = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const n = next++;
        try {
          const one = await lease(pool);
          try {
            await one.execute('insert into ledger values ($1)', [String(n)]);
            acknowledged.add(n);
          } finally {
            one.release();
          }
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^database_(crashed|stopped)$/) });
          unknown.add(n);
        }
      }
    });
    for (let round = 0; round < 12; round++) {
      const reached = acknowledged.size + 20;
      await until(() => acknowledged.size >= reached, { what: 'writes' });
      await world.instance[round % 3 === 0 ? 'stop' : 'crash']();
    }
    stop = true;
    await Promise.all(writers);
    const one = await lease(pool);
    const rows = (await ask(one, 'select n, count(*) from ledger group by n')).map(([n, count]) => [
      Number(n),
      Number(count),
    ]);
    one.release();
    const found = new Map(rows as [number, number][]);
    for (const n of acknowledged) expect(found.get(n), `acknowledged ${n}`).toBe(1);
    for (const [n, count] of found) {
      expect(count, `${n}`).toBe(1);
      expect(acknowledged.has(n) || unknown.has(n)).toBe(true);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/base/index.ts';
import { ask, lease, soon, usePools } from '../support/pools.ts';

const world = usePools();

describe('the queue', () => {
  it('the queue serves 1000 callers over 5 connections, each once, in order', async () => {
    const pool = world.open({ connectionsMax: 5, waitersMax: 1_000 });
    const order: number[] = [];
    let most = 0;
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, i) => {
        const one = await lease(pool);
        order.push(i);
        most = Math.max(most, pool.stats.open);
        expect(await ask(one, 'select $1::int', [String(i)])).toEqual([[String(i)]]);
        one.release();
      }),
    );
    // The first five callers open connections of their own, which takes a varying time; the others are served in the
    // order of the queue.
    expect(order.filter((i) => i >= 5)).toEqual(Array.from({ length: 995 }, (_, i) => i + 5));
    expect(order.length).toBe(1_000);
    expect(most).toBe(5);
    expect(pool.stats).toEqual({ open: 5, idle: 5, leased: 0, waiting: 0 });
  });

  it('a full queue refuses callers, and a caller that reaches its deadline or hangs up leaves without changing the order', async () => {
    const pool = world.open({ connectionsMax: 1, waitersMax: 3 });
    const one = await lease(pool);
    const cancellation = new Cancellation();
    const late = pool.acquire({ deadline: soon(50) });
    const gone = pool.acquire({ deadline: soon(), cancellation });
    const patient = lease(pool);
    await expect(lease(pool)).rejects.toMatchObject({ code: 'queue_full' });
    expect(pool.stats.waiting).toBe(3);
    cancellation.cancel();
    await expect(gone).rejects.toMatchObject({ code: 'interrupted' });
    await expect(late).rejects.toMatchObject({ code: 'connection_timeout' });
    expect(pool.stats.waiting).toBe(1);
    one.release();
    const two = await patient;
    expect(await ask(two, 'select 1')).toEqual([['1']]);
    two.release();
  });

  it('idle connections of a pool do not keep the process alive', async () => {
    const alive = (): number => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
    const before = alive();
    const pool = world.open();
    const one = await lease(pool);
    expect(alive()).toBe(before + 1);
    one.release();
    expect(pool.stats.idle).toBe(1);
    expect(alive()).toBe(before);
    const again = await lease(pool);
    expect(alive()).toBe(before + 1);
    again.release();
  });

  it('a closed pool refuses callers, and close ends waiting callers', async () => {
    const pool = world.open({ connectionsMax: 1 });
    const one = await lease(pool);
    const waiting = lease(pool).catch((error) => error);
    const closed = pool.close();
    expect(await waiting).toMatchObject({ code: 'shutting_down' });
    await expect(lease(pool)).rejects.toMatchObject({ code: 'shutting_down' });
    one.release();
    await closed;
    expect(pool.stats.open).toBe(0);
  });
});

describe('roles', () => {
  it('the roles of a pool are those of Postgres', async () => {
    const owner = await lease(world.open());
    await owner.execute('create table if not exists guarded (n int)', []);
    owner.release();
    const writer = await lease(world.open({ role: 'writer' }));
    await writer.execute('insert into guarded values (1)', []);
    await expect(writer.execute('create table forbidden (n int)', [])).rejects.toMatchObject({
      fields: { code: '42501' },
    });
    await writer.script('reset role; reset session authorization');
    expect(await ask(writer, 'select current_user')).toEqual([['writer']]);
    writer.release();
    const reader = await lease(world.open({ role: 'reader' }));
    await expect(reader.execute('insert into guarded values (2)', [])).rejects.toMatchObject({
      fields: { code: '42501' },
    });
    expect(Number((await ask(reader, 'select count(*) from guarded'))[0]?.[0])).toBeGreaterThan(0);
    reader.release();
  });
});

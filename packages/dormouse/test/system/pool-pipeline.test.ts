import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/base/index.ts';
import { decodeDataRow } from '../../src/wire/index.ts';
import { ask, lease, soon, usePools } from '../support/pools.ts';

const world = usePools();
const first = ({ rows }: { readonly rows: readonly Uint8Array[] }): string | undefined =>
  decodeDataRow(rows[0] as Uint8Array)[0]?.toString();
const pipelined = true;

describe('pipelined statements', () => {
  it('pipelined statements are answered separately, and so are those that fail', async () => {
    const one = await lease(world.open());
    for (let round = 0; round < 3; round++) {
      const settled = await Promise.allSettled(
        Array.from({ length: 60 }, (_, i) => one.execute('select 60 / $1::int', [String(i % 5)], { pipelined })),
      );
      for (const [i, each] of settled.entries()) {
        if (i % 5 === 0) expect(each).toMatchObject({ status: 'rejected', reason: { fields: { code: '22012' } } });
        else expect(each.status === 'fulfilled' && first(each.value)).toBe(String(60 / (i % 5)));
      }
    }
    one.release();
  });

  it('pipelined statements are sent before the first is answered', async () => {
    const pool = world.open();
    const one = await lease(pool);
    const other = await lease(pool);
    await other.execute('select pg_advisory_lock(77)', []);
    const blocked = one.execute('select pg_advisory_xact_lock(77)', [], { pipelined });
    const behind = one.execute("select 'behind'", [], { pipelined });
    // The server has both statements by the time it waits for the lock, so only the lock holds up the second.
    await other.execute('select pg_advisory_unlock(77)', []);
    await blocked;
    expect(first(await behind)).toBe('behind');
    one.release();
    other.release();
  });

  it('pipelined statements see earlier writes and no later writes', async () => {
    const one = await lease(world.open());
    await one.script('drop table if exists piped; create table piped (n int)');
    const steps = [];
    for (let i = 0; i < 20; i++) {
      steps.push(one.execute('insert into piped values ($1)', [String(i)]));
      for (let read = 0; read < 3; read++) {
        steps.push(one.execute('select count(*) from piped', [], { pipelined }).then((r) => Number(first(r)) - i - 1));
      }
    }
    const answers = await Promise.all(steps);
    expect(answers.filter((each) => typeof each === 'number')).toEqual(Array.from({ length: 60 }, () => 0));
    one.release();
  });

  it('pipelined statements are prepared again after another session changed the table', async () => {
    const one = await lease(world.open());
    const stranger = await lease(world.open());
    await stranger.script('drop table if exists shape; create table shape (a int); insert into shape values (1)');
    const all = (): Promise<unknown[]> =>
      Promise.all(
        [1, 2, 3].map(async (n) => {
          const { rows } = await one.execute(`select *, ${n} from shape`, [], { pipelined });
          return decodeDataRow(rows[0] as Uint8Array).map(String);
        }),
      );
    for (let i = 0; i < 3; i++) expect(await all()).toEqual([1, 2, 3].map((n) => ['1', String(n)]));
    await stranger.execute('alter table shape add column b text default $$x$$', []);
    for (let i = 0; i < 3; i++) expect(await all()).toEqual([1, 2, 3].map((n) => ['1', 'x', String(n)]));
    one.release();
    stranger.release();
  });

  it('pipelined statements end together when their operation is cancelled, and no later statement is hit', async () => {
    const one = await lease(world.open());
    for (let round = 0; round < 20; round++) {
      const cancellation = new Cancellation();
      const sleeps = Array.from({ length: 4 }, () =>
        one.execute('select pg_sleep(600)', [], { pipelined, cancellation }).catch((error) => error.code),
      );
      cancellation.cancel();
      expect(await Promise.all(sleeps)).toEqual(['interrupted', 'interrupted', 'interrupted', 'interrupted']);
      expect(await ask(one, 'select 1')).toEqual([['1']]);
    }
    one.release();
  });

  it('pipelined statements stop at the deadline, and those that are done by then keep their answers', async () => {
    const one = await lease(world.open());
    const quick = one.execute('select 1', [], { pipelined });
    const deadline = soon(300);
    const slow = one.execute('select pg_sleep(600)', [], { pipelined, deadline }).catch((error) => error.code);
    const behind = one.execute('select pg_sleep(600)', [], { pipelined, deadline }).catch((error) => error.code);
    expect(first(await quick)).toBe('1');
    expect(await Promise.all([slow, behind])).toEqual(['query_timeout', 'query_timeout']);
    expect(await ask(one, 'select 1')).toEqual([['1']]);
    one.release();
  });

  it('a pipelined statement with too many rows fails alone or with those behind it, and none gets a wrong answer', async () => {
    const one = await lease(world.open());
    const [small, huge, last] = await Promise.allSettled([
      one.execute('select 1', [], { pipelined }),
      one.execute('select generate_series(1, 200000000)', [], { pipelined, rowBytesMax: 100_000 }),
      one.execute('select 3', [], { pipelined }),
    ]);
    expect(small).toMatchObject({ status: 'fulfilled' });
    expect(huge).toMatchObject({ status: 'rejected', reason: { code: 'reply_too_large' } });
    if (last.status === 'fulfilled') expect(first(last.value)).toBe('3');
    else expect(last.reason).toMatchObject({ code: 'interrupted' });
    expect(await ask(one, 'select 1')).toEqual([['1']]);
    one.release();
  });

  it('a pipelined statement that the protocol cannot carry fails alone', async () => {
    const one = await lease(world.open());
    const [before, bad, behind] = await Promise.allSettled([
      one.execute("select 'before'", [], { pipelined }),
      one.execute('select \0', [], { pipelined }),
      one.execute("select 'behind'", [], { pipelined }),
    ]);
    expect(before.status === 'fulfilled' && first(before.value)).toBe('before');
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'request_invalid' } });
    expect(behind.status === 'fulfilled' && first(behind.value)).toBe('behind');
    one.release();
  });

  it('pipelined statements move together to another connection when theirs was dead before any answer', async () => {
    const pool = world.open({ connectionsMax: 2 });
    const killer = await lease(pool);
    const victim = await lease(pool);
    const [[pid] = []] = await ask(victim, 'select pg_backend_pid()');
    victim.release();
    const again = await lease(pool);
    await killer.execute('select pg_terminate_backend($1::int)', [pid ?? null]);
    const answers = await Promise.all(
      [1, 2, 3].map((n) => again.execute('select $1::int', [String(n)], { pipelined })),
    );
    expect(answers.map(first)).toEqual(['1', '2', '3']);
    again.release();
    killer.release();
  });
});

describe('a statement with BEGIN in front', () => {
  it('a statement with BEGIN in front is the first of its transaction', async () => {
    const one = await lease(world.open());
    await one.script('drop table if exists begun; create table begun (n int primary key)');
    for (let i = 0; i < 4; i++) {
      const { commandTag } = await one.execute('insert into begun values ($1)', [String(i)], { before: 'BEGIN' });
      expect(commandTag).toBe('INSERT 0 1');
      expect(one.transactionStatus).toBe('T');
      await one.execute(i % 2 === 0 ? 'COMMIT' : 'ROLLBACK', []);
    }
    expect(await ask(one, 'select n from begun order by n')).toEqual([['0'], ['2']]);
    await expect(one.execute('insert into begun values (2)', [], { before: 'BEGIN' })).rejects.toMatchObject({
      fields: { code: '23505' },
    });
    expect(one.transactionStatus).toBe('E');
    await one.execute('ROLLBACK', []);
    one.release();
  });

  it('a statement with BEGIN in front is not run when BEGIN fails', async () => {
    const one = await lease(world.open());
    await one.script('drop table if exists begun; create table begun (n int primary key)');
    for (let i = 0; i < 3; i++) {
      const before = 'BEGIN ISOLATION LEVEL WHATEVER';
      await expect(one.execute('insert into begun values (1)', [], { before })).rejects.toMatchObject({
        fields: { code: '42601' },
      });
      expect(one.transactionStatus).toBe('I');
    }
    expect(await ask(one, 'select count(*) from begun')).toEqual([['0']]);
    one.release();
  });

  it('a statement with BEGIN in front can be cancelled before or after its transaction is open, and the connection goes on', async () => {
    const pool = world.open({ connectionsMax: 1 });
    const one = await lease(pool);
    await expect(
      one.execute('select pg_sleep(600)', [], { before: 'BEGIN', deadline: soon(100) }),
    ).rejects.toMatchObject({ code: 'query_timeout' });
    one.release();
    const two = await lease(pool);
    expect(two.transactionStatus).toBe('I');
    expect(await ask(two, 'select 1')).toEqual([['1']]);
    two.release();
  });
});

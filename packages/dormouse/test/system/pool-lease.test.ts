import { describe, expect, it } from 'vitest';
import { Cancellation, Timings } from '../../src/base/index.ts';
import { SchemaChanges } from '../../src/pool/index.ts';
import { decodeDataRow, PostgresError } from '../../src/wire/index.ts';
import { ask, lease, soon, usePools } from '../support/pools.ts';
import { until } from '../support/until.ts';

const world = usePools();

describe('a lease', () => {
  it('a lease runs statements with parameters and returns undecoded rows', async () => {
    const timings = new Timings();
    const one = await world.open().acquire({ deadline: soon(), timings });
    const result = await one.execute('select $1::int + 1 as n, $2::text as t, $3::bytea as b, $4::text as z', [
      '41',
      'grüße',
      Buffer.from([0, 255]),
      null,
    ]);
    expect(result.fields.map(({ name, typeOid }) => [name, typeOid])).toEqual([
      ['n', 23],
      ['t', 25],
      ['b', 17],
      ['z', 25],
    ]);
    expect(result.rows.map((row) => decodeDataRow(row).map((v) => v?.toString() ?? null))).toEqual([
      ['42', 'grüße', '\\x00ff', null],
    ]);
    expect(result.commandTag).toBe('SELECT 1');
    expect(result.affectedRows).toBe(1);
    expect(timings.get('queue')).toBeGreaterThan(0);
    expect(await ask(one, 'select current_user, session_user')).toEqual([['owner', 'owner']]);
    one.release();
  });
  it('a lease passes errors of Postgres through with all fields and stays usable', async () => {
    const one = await lease(world.open());
    await one.execute('create table if not exists uniq (id int primary key)', []);
    await one.execute('truncate uniq', []);
    await one.execute('insert into uniq values (1)', []);
    const failed = await one.execute('insert into uniq values ($1)', ['1']).catch((error) => error);
    expect(failed).toBeInstanceOf(PostgresError);
    expect(failed.fields).toMatchObject({
      severityNonLocalized: 'ERROR',
      code: '23505',
      schema: 'public',
      table: 'uniq',
      constraint: 'uniq_pkey',
      detail: 'Key (id)=(1) already exists.',
      routine: '_bt_check_unique',
    });
    expect(one.transactionStatus).toBe('I');
    expect(await ask(one, 'select count(*) from uniq')).toEqual([['1']]);
    one.release();
  });

  it('a lease runs scripts and returns the last result', async () => {
    const one = await lease(world.open());
    const result = await one.script('create temp table s (n int); insert into s values (1), (2); select n from s');
    expect(result.rows.length).toBe(2);
    expect(result.commandTag).toBe('SELECT 2');
    const last = await one.script('select 1 as a, 2 as b; delete from s');
    expect(last).toMatchObject({ commandTag: 'DELETE 2', affectedRows: 2 });
    one.release();
  });

  it('a lease follows the state of its transaction, and refuses statements that the protocol cannot carry', async () => {
    const one = await lease(world.open());
    await one.execute('begin', []);
    expect(one.transactionStatus).toBe('T');
    await expect(one.execute('select 1/0', [])).rejects.toMatchObject({ fields: { code: '22012' } });
    expect(one.transactionStatus).toBe('E');
    await one.execute('rollback', []);
    expect(one.transactionStatus).toBe('I');
    await expect(one.execute('select \0 1', [])).rejects.toMatchObject({ code: 'request_invalid' });
    await expect(one.execute('select $1::text', ['a\0b'])).rejects.toMatchObject({ fields: { code: '22021' } });
    expect(await ask(one, 'select 1')).toEqual([['1']]);
    one.release();
  });

  it('a lease accepts statements at the same time and answers them in order', async () => {
    const one = await lease(world.open());
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => ask(one, 'select $1::int * 2', [String(i)])),
    );
    expect(answers.map(([row]) => Number(row?.[0]))).toEqual(Array.from({ length: 200 }, (_, i) => i * 2));
    one.release();
  });

  it('COPY over a lease fails with a clear error, and the protocol stays in step', async () => {
    const one = await lease(world.open());
    await one.execute('create table if not exists copied (n int)', []);
    await expect(one.execute('copy copied from stdin', [])).rejects.toMatchObject({ fields: { code: '57014' } });
    await expect(one.script('copy copied from stdin')).rejects.toMatchObject({ fields: { code: '57014' } });
    expect((await one.execute('copy (select generate_series(1, 1000)) to stdout', [])).commandTag).toBe('COPY 1000');
    expect(await ask(one, 'select count(*) from copied')).toEqual([['0']]);
    one.release();
  });

  it('a lease reads huge rows, and refuses a result over the caller’s limit', async () => {
    const one = await lease(world.open());
    const { rows } = await one.execute("select repeat('x', 30000000)", []);
    expect(rows[0]?.length).toBe(30_000_006);
    await expect(one.execute("select repeat('x', 30000000)", [], { rowBytesMax: 1_000_000 })).rejects.toMatchObject({
      code: 'reply_too_large',
    });
    // The result has many small rows, far more than are sent by the time the cancel arrives.
    await expect(
      one.execute('select generate_series(1, 200000000)', [], { rowBytesMax: 1_000_000 }),
    ).rejects.toMatchObject({ code: 'reply_too_large' });
    expect(await ask(one, 'select 7')).toEqual([['7']]);
    one.release();
  });
});

describe('prepared statements', () => {
  it('prepared statements are kept from the second use on, per connection, and closed when the cache is full', async () => {
    const one = await lease(world.open({ statementsMax: 3 }));
    const names = async (): Promise<string[]> =>
      (await one.script('select statement from pg_prepared_statements order by statement')).rows.map(
        (row) => decodeDataRow(row)[0]?.toString() ?? '',
      );
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select 1')).toEqual([['1']]);
    expect(await names()).toEqual(['select 1']);
    for (const n of [2, 3, 4]) for (let i = 0; i < 2; i++) await ask(one, `select ${n}`);
    // The evicted statement is closed with the next request.
    await ask(one, 'select 4');
    expect(await names()).toEqual(['select 2', 'select 3', 'select 4']);
    one.release();
  });

  it('prepared statements are prepared again after a change of the table, and after the session lost them', async () => {
    const pool = world.open({ connectionsMax: 2 });
    const one = await lease(pool);
    const other = await lease(pool);
    await one.execute('drop table if exists shape', []);
    await one.execute('create table shape (a int)', []);
    await one.execute('insert into shape values (1)', []);
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1']]);
    await other.execute('alter table shape add column b text default $$x$$', []);
    const { fields, rows } = await one.execute('select * from shape', []);
    expect(fields.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(rows.length).toBe(1);
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1', 'x']]);
    await one.script('deallocate all');
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1', 'x']]);
    // In a transaction the failure of a statement whose table changed unannounced cannot be hidden; the next use
    // succeeds again.
    const stranger = await lease(world.open());
    await one.execute('begin', []);
    await stranger.execute('alter table shape add column c int', []);
    stranger.release();
    expect(await ask(one, 'select 1')).toEqual([['1']]);
    await expect(ask(one, 'select * from shape')).rejects.toMatchObject({ fields: { code: '0A000' } });
    await one.execute('rollback', []);
    expect(await ask(one, 'select * from shape')).toEqual([['1', 'x', null]]);
    one.release();
    other.release();
  });

  it('prepared statements take parameters of the table’s current types, whoever changed the table and however', async () => {
    const schemaChanges = new SchemaChanges();
    const one = await lease(world.open({ schemaChanges }));
    const other = await lease(world.open({ schemaChanges }));
    await other.script('drop table if exists typed; create table typed (n int, r real, d date)');
    await other.execute('insert into typed values (1, 1, $$2020-01-01$$)', []);
    const number = 'update typed set n = $1';
    const real = 'update typed set r = $1';
    const date = 'update typed set d = $1';
    const now = async (): Promise<(string | null)[]> =>
      (await ask(other, 'select n::text, r::text, d::text from typed'))[0] ?? [];
    for (let i = 0; i < 3; i++) {
      await one.execute(number, ['7']);
      await one.execute(real, ['0.1']);
      await one.execute(date, ['2020-01-01']);
    }
    // With the old type of the column these values would be cut without an error.
    await other.execute('alter table typed alter r type double precision, alter d type timestamp', []);
    await one.execute(real, ['0.123456789012345']);
    await one.execute(date, ['2020-01-01 12:34:56']);
    expect(await now()).toEqual(['7', '0.123456789012345', '2020-01-01 12:34:56']);
    await other.script('begin; alter table typed alter n type bigint; commit');
    await one.execute(number, ['3000000000']);
    expect((await now())[0]).toBe('3000000000');
    // The pool cannot see what a DO block changes.
    await other.script('do $$ begin alter table typed alter r type text; end $$');
    await one.execute(real, ['words']);
    expect((await now())[1]).toBe('words');
    // A wrong value is still refused, and the statement stays usable.
    await expect(one.execute(number, ['words'])).rejects.toMatchObject({ fields: { code: '22P02' } });
    await one.execute(number, ['8']);
    expect((await now())[0]).toBe('8');
    one.release();
    other.release();
  });

  it('prepared statements are parsed again when Bind fails because types have changed unannounced since Parse', async () => {
    const one = await lease(world.open());
    const stranger = await lease(world.open());
    await stranger.script('drop table if exists typed; create table typed (n int)');
    await stranger.execute('insert into typed values (1)', []);
    for (let i = 0; i < 3; i++) await one.execute('update typed set n = $1', ['7']);
    for (let i = 0; i < 3; i++) await ask(one, 'select 1 from typed where n = $1', ['7']);
    await stranger.execute('alter table typed alter n type text', []);
    await one.execute('update typed set n = $1', ['words']);
    expect(await ask(one, 'select 1 from typed where n = $1', ['words'])).toEqual([['1']]);
    one.release();
    stranger.release();
  });

  it('prepared statements follow changes of their own transaction, search_path included', async () => {
    const one = await lease(world.open());
    await one.script(
      'drop table if exists shape; create table shape (a int); insert into shape values (1);' +
        'create schema elsewhere; create table elsewhere.shape (a text, b text); insert into elsewhere.shape values ($$x$$, $$y$$)',
    );
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1']]);
    await one.execute('begin', []);
    await one.execute('alter table shape add column c int', []);
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1', null]]);
    await one.execute('rollback', []);
    for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1']]);
    for (const move of ['set local search_path to elsewhere', "select set_config('search_path', 'elsewhere', true)"]) {
      await one.execute('begin', []);
      await one.execute(move, []);
      for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['x', 'y']]);
      await one.execute('commit', []);
      for (let i = 0; i < 3; i++) expect(await ask(one, 'select * from shape')).toEqual([['1']]);
    }
    one.release();
  });

  it('prepared statements survive a failure between Parse and Execute', async () => {
    const one = await lease(world.open());
    const sql = 'select 10 / $1::int';
    await ask(one, sql, ['1']);
    await expect(ask(one, sql, ['0'])).rejects.toMatchObject({ fields: { code: '22012' } });
    await expect(ask(one, sql, ['zero'])).rejects.toMatchObject({ fields: { code: '22P02' } });
    expect(await ask(one, sql, ['5'])).toEqual([['2']]);
    await expect(ask(one, 'select * from nowhere')).rejects.toMatchObject({ fields: { code: '42P01' } });
    await expect(ask(one, 'select * from nowhere')).rejects.toMatchObject({ fields: { code: '42P01' } });
    await one.execute('create table nowhere (n int)', []);
    expect(await ask(one, 'select * from nowhere')).toEqual([]);
    await one.execute('drop table nowhere', []);
    one.release();
  });
});

describe('release', () => {
  it('release rolls back an open transaction, resets settings, and gives the hold back', async () => {
    await until(() => world.instance.holds === 0, { what: 'the holds of what was before' });
    const pool = world.open({ connectionsMax: 1 });
    const one = await lease(pool);
    await one.execute('create table if not exists rolled (n int)', []);
    await one.execute('begin', []);
    await one.execute('insert into rolled values (1)', []);
    await one.execute("set search_path to 'nowhere'", []);
    expect(world.instance.holds).toBe(1);
    one.release();
    one.release();
    const two = await lease(pool);
    expect(await ask(two, 'select count(*) from rolled')).toEqual([['0']]);
    await two.execute("set application_name to 'mine'", []);
    await two.execute('create temp table leftover (n int)', []);
    await two.execute("select set_config('work_mem', '1MB', false)", []);
    await two.execute('select pg_advisory_lock(42)', []);
    await two.execute('listen news', []);
    const first = await ask(two, 'select pg_backend_pid()');
    two.release();
    const three = await lease(pool);
    expect(await ask(three, 'select pg_backend_pid()')).toEqual(first);
    expect(
      await ask(
        three,
        `select current_setting('application_name'), current_setting('work_mem'), to_regclass('leftover'),
           (select count(*) from pg_locks where locktype = 'advisory'), (select count(*) from pg_listening_channels())`,
      ),
    ).toEqual([['dormouse', '4MB', null, '0', '0']]);
    three.release();
    await until(() => world.instance.holds === 0, { what: 'the hold of the lease' });
  });

  it('release ends a statement that still runs', async () => {
    const pool = world.open({ connectionsMax: 1 });
    const one = await lease(pool);
    const slow = one.execute('select pg_sleep(600)', []).catch((error) => error);
    one.release();
    expect(await slow).toMatchObject({ code: 'interrupted' });
    const two = await lease(pool);
    expect(await ask(two, 'select 1')).toEqual([['1']]);
    two.release();
    await expect(one.execute('select 1', [])).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('time', () => {
  it('a statement past its deadline is cancelled and the connection is kept', async () => {
    const one = await lease(world.open());
    const [[pid] = []] = await ask(one, 'select pg_backend_pid()');
    await expect(one.execute('select pg_sleep(600)', [], { deadline: soon(100) })).rejects.toMatchObject({
      code: 'query_timeout',
    });
    await expect(one.script('select pg_sleep(600)', { deadline: soon(50) })).rejects.toMatchObject({
      code: 'query_timeout',
    });
    expect(await ask(one, 'select pg_backend_pid()')).toEqual([[pid]]);
    one.release();
  });

  it('a statement is cancelled when its caller no longer waits, and is not sent if it still waits for another statement', async () => {
    const one = await lease(world.open());
    const cancellation = new Cancellation();
    const slow = one.execute('select pg_sleep(600)', [], { cancellation });
    const behind = one.execute('create table never (n int)', [], { cancellation });
    const settled = Promise.allSettled([slow, behind]);
    cancellation.cancel();
    for (const each of await settled)
      expect(each).toMatchObject({ status: 'rejected', reason: { code: 'interrupted' } });
    expect(await ask(one, "select to_regclass('never')")).toEqual([[null]]);
    one.release();
  });

  it('a statement that catches every cancellation is ended, and its place becomes free when its backend is gone', async () => {
    const watcher = await lease(world.open());
    const pool = world.open({ connectionsMax: 1 });
    const one = await lease(pool);
    await ask(one, 'set client_connection_check_interval = 0');
    const pid = (await ask(one, 'select pg_backend_pid()'))[0]?.[0] as string;
    const endless =
      'do $$ begin loop begin perform pg_sleep(600); exception when query_canceled then null; end; end loop; end $$';
    await expect(one.execute(endless, [], { deadline: soon(200) })).rejects.toMatchObject({ code: 'query_timeout' });
    one.release();
    const alive = async (): Promise<boolean> =>
      (await ask(watcher, 'select 1 from pg_stat_activity where pid = $1', [pid])).length === 1;
    for (;;) {
      // The watcher has a hold, and the running statement at least one more.
      const { holds } = world.instance;
      if (!(await alive())) break;
      expect(holds).toBeGreaterThan(1);
    }
    const two = await lease(pool);
    expect(await ask(two, 'select 1')).toEqual([['1']]);
    expect(pool.stats.open).toBe(1);
    two.release();
    watcher.release();
    expect(await until(() => world.instance.holds === 0, { what: 'nothing held' })).toBe(true);
  });

  it('a cancel that overtook its statement is sent again', async () => {
    const one = await lease(world.open());
    const pid = await ask(one, 'select pg_backend_pid()');
    for (let i = 0; i < 50; i++) {
      const cancellation = new Cancellation();
      const slow = one.execute('select pg_sleep(600)', [], { cancellation }).catch((error) => error);
      cancellation.cancel();
      expect(await slow).toMatchObject({ code: 'interrupted' });
    }
    expect(await ask(one, 'select pg_backend_pid()')).toEqual(pid);
    one.release();
  });

  it('a cancel never hits the next statement', async () => {
    const one = await lease(world.open());
    for (let i = 0; i < 100; i++) {
      // The deadline falls sometimes before and sometimes after the end of the statement.
      await one
        .execute('select pg_sleep(0.005)', [], { deadline: soon(3 + (i % 5)) })
        .catch((error) => expect(error).toMatchObject({ code: 'query_timeout' }));
      expect(await ask(one, 'select 1')).toEqual([['1']]);
    }
    one.release();
  });
});

import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { membersOf } from '../support/instance-faults.ts';
import { connectTo } from '../support/instance-owner.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { until } from '../support/until.ts';

// Databases that rest before they have run for the minute after which autovacuum first looks at them.

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({
    flags: ['--suspend-after', '100ms', '--stop-after', 'never', '--log-level', 'debug'],
  });
});
afterAll(() => platform?.stop());

interface Detail {
  readonly state: string;
  readonly instance: {
    readonly maintenance: {
      readonly frozenXidAge: number;
      readonly runningOut: boolean;
      readonly lookedAtMs: number;
      readonly vacuumed: number;
      readonly analyzed: number;
      readonly frozen: number;
      readonly givenUp: number;
    } | null;
  };
}
async function show(name: string): Promise<Detail> {
  const headers = { authorization: `Bearer ${platform.adminToken}` };
  return (await (await fetch(`${platform.http}/api/databases/${name}`, { headers })).json()) as Detail;
}
const asleep = (name: string) =>
  until(async () => ((await show(name)).state === 'suspended' ? show(name) : undefined), {
    what: `the rest of ${name}`,
    withinMs: 120_000,
  });

async function session({ postgresUrl }: DatabaseUrls): Promise<pg.Client> {
  const client = new pg.Client(postgresUrl);
  client.on('error', () => {});
  await client.connect();
  return client;
}
async function run(urls: DatabaseUrls, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = await session(urls);
  try {
    let rows: Record<string, unknown>[] = [];
    for (const sql of statements) rows = (await client.query(sql)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

const STATISTICS = `SELECT relname, n_dead_tup::int AS dead, n_mod_since_analyze::int AS modified,
  last_vacuum IS NOT NULL AS vacuumed, last_analyze IS NOT NULL AS analyzed, last_autovacuum IS NULL AS alone
  FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname`;

describe('a database with short runs', () => {
  it('exactly the tables that autovacuum would find due are vacuumed and analyzed before a database rests', async () => {
    const urls = await platform.createDatabase('naps');
    await run(
      urls,
      'CREATE TABLE "due, too" (n int); CREATE TABLE busy (n int); CREATE TABLE quiet (n int)',
      'CREATE TABLE refused (n int) WITH (autovacuum_enabled = false)',
      'INSERT INTO busy SELECT generate_series(1, 500); INSERT INTO refused SELECT generate_series(1, 500)',
      'INSERT INTO "due, too" SELECT generate_series(1, 60); INSERT INTO quiet SELECT generate_series(1, 40)',
      'UPDATE busy SET n = n + 1; UPDATE refused SET n = n + 1',
    );
    const { instance } = await asleep('naps');
    expect(instance.maintenance?.vacuumed).toBeGreaterThan(0);
    expect(await run(urls, STATISTICS)).toEqual([
      { relname: 'busy', dead: 0, modified: 0, vacuumed: true, analyzed: true, alone: true },
      // 60 rows are above the threshold of ANALYZE, and none of them is dead.
      { relname: 'due, too', dead: 0, modified: 0, vacuumed: false, analyzed: true, alone: true },
      { relname: 'quiet', dead: 0, modified: 40, vacuumed: false, analyzed: false, alone: true },
      { relname: 'refused', dead: 500, modified: 1000, vacuumed: false, analyzed: false, alone: true },
    ]);
    // The counters that decide this survive a freeze (shown by the lines above) and a clean stop.
    await platform.json('db', 'stop', 'naps');
    expect(await run(urls, STATISTICS)).toContainEqual({
      ...{ relname: 'refused', dead: 500, modified: 1000 },
      ...{ vacuumed: false, analyzed: false, alone: true },
    });
  });

  it('old transaction ids of a database are frozen in time, and its transaction age is shown', async () => {
    const urls = await platform.createDatabase('ages');
    await run(
      urls,
      // This is the smallest value that Postgres allows; maintenance freezes from three quarters of it on.
      'CREATE TABLE old (n int) WITH (autovacuum_freeze_max_age = 100000); INSERT INTO old VALUES (1)',
      'CREATE TABLE burn (n int)',
      // Each block with an exception handler is a subtransaction and takes an id of its own.
      `DO $$ BEGIN FOR i IN 1..76000 LOOP
         BEGIN INSERT INTO burn VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
       END LOOP; END $$`,
    );
    const { instance } = await asleep('ages');
    expect(instance.maintenance?.frozen).toBe(1);
    expect(instance.maintenance?.frozenXidAge).toBeGreaterThan(76_000);
    const [age] = await run(urls, "SELECT age(relfrozenxid) AS xids FROM pg_class WHERE relname = 'old'");
    expect(age?.xids).toBeLessThan(1000);
    expect((await platform.cli('db', 'show', 'ages')).stdout).toMatch(
      /Transaction age +\d+ transactions, less than 1 %/,
    );
    expect((await platform.cli('status')).stdout).toMatch(/Transaction age +\d+ transactions/);
  });

  it('a query interrupts the maintenance of its database at once, even where a function of the tenant ignores cancellation', async () => {
    const urls = await platform.createDatabase('slow');
    // ANALYZE computes the indexed expression for each row of its sample. That takes minutes here, and the function
    // catches the cancellation.
    await run(
      urls,
      `CREATE FUNCTION slowly(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
         IF session_user = 'dormouse_maintenance' THEN
           BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END;
         END IF; RETURN n; END $$`,
      'CREATE TABLE slow (n int); CREATE INDEX ON slow (slowly(n)); INSERT INTO slow SELECT generate_series(1, 300)',
    );
    const begun = () => platform.log().split('maintenance before a rest').length;
    const before = begun();
    const id = (await platform.json<{ id: string }>('db', 'show', 'slow')).id;
    const titles = (): string[] => membersOf(join(platform.data, 'databases', id)).map(({ title }) => title);
    await until(() => begun() > before && titles().some((title) => title.includes('ANALYZE')), {
      what: 'the maintenance to begin',
    });
    const client = await session(urls);
    const { rows } = await client.query('SELECT count(*)::int AS n FROM slow');
    expect(rows).toEqual([{ n: 300 }]);
    // The maintenance ends while the session works, and none of it goes on in the server.
    await until(() => !titles().some((title) => title.includes('ANALYZE')), { what: 'its end' });
    await until(async () => (await show('slow')).instance.maintenance?.givenUp === 1, { what: 'the news of it' });
    await client.query('CREATE OR REPLACE FUNCTION slowly(n int) RETURNS int IMMUTABLE LANGUAGE sql RETURN n');
    await client.end();
    expect((await asleep('slow')).instance.maintenance?.analyzed).toBeGreaterThan(0);
  });
});

describe('a database that never rests', () => {
  it('a database that never rests shows its transaction age too, including that of databases that refuse connections', async () => {
    const age = 1_200_000_000;
    const urls = await platform.createDatabase('steady');
    const { id } = await platform.json<{ id: string }>('db', 'set', 'steady', '--always-on');
    await run(urls, 'CREATE DATABASE closed', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
    const server = await connectTo(join(platform.data, 'databases', id, 'run', '.s.PGSQL.5432'), 'dormouse');
    // To run transactions for a year is too long for a test, so the age is written into the catalog. Autovacuum must
    // not run meanwhile: it may enter the closed database and would find out that those transactions never ran.
    await server.query("ALTER SYSTEM SET autovacuum_naptime = '1h'");
    await server.query(
      `UPDATE pg_database SET datfrozenxid = (txid_current() + 4294967296 - ${age})::text::xid WHERE datname = 'closed'`,
    );
    await server.end();
    // The platform reads the age after each start; otherwise it reads it once an hour.
    await platform.json('db', 'stop', 'steady');
    const stoppedAtMs = Date.now();
    await platform.json('db', 'wake', 'steady');
    const { instance, state } = await until(
      async () => {
        const detail = await show('steady');
        return (detail.instance.maintenance?.lookedAtMs ?? 0) > stoppedAtMs ? detail : undefined;
      },
      { what: 'a look at its age', withinMs: 120_000 },
    );
    expect(state).toBe('running');
    expect(instance.maintenance).toMatchObject({ runningOut: true, vacuumed: 0, analyzed: 0, frozen: 0 });
    expect(instance.maintenance?.frozenXidAge).toBeGreaterThanOrEqual(age);
    expect(instance.maintenance?.frozenXidAge).toBeLessThan(age + 1_000_000);
    expect(platform.log()).toMatch(/transaction ids are running out.*closed/);
    expect((await platform.cli('db', 'show', 'steady')).stdout).toMatch(/Transaction age .* 56 % .*RUNNING OUT/);
    expect((await platform.cli('status')).stdout).toMatch(/Transaction age .*RUNNING OUT.*VACUUM/);
  });
});

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  allEvents,
  type CapturedDatabase,
  type CapturedMachine,
  lineOf,
  startCapturedMachine,
} from '../support/captured-database.ts';
import { until } from '../support/until.ts';

// Servers that earlier versions made, at their first start by this one.

let machine: CapturedMachine;
beforeAll(async () => {
  machine = await startCapturedMachine();
});
afterAll(async () => {
  await machine?.close();
});

function rightsFile({ record }: CapturedDatabase): string {
  return join(machine.instances.directory(record.id), 'pgdata', 'dormouse_rights');
}

/** Takes a database back to what earlier versions made: its owner owns it, and our only role is the superuser. */
async function made(...more: readonly string[]): Promise<CapturedDatabase> {
  const database = await machine.create();
  await database.sql('CREATE TABLE kept (id int PRIMARY KEY)', 'INSERT INTO kept VALUES (1)');
  await database.capture.drain();
  const superuser = await database.session('dormouse', 'template1');
  const inMain = await database.session('dormouse');
  expect(existsSync(rightsFile(database))).toBe(true);
  await inMain.query('ALTER SCHEMA public OWNER TO pg_database_owner');
  await inMain.end();
  for (const sql of [
    'REVOKE ALL ON DATABASE postgres FROM owner, dormouse_maintenance, dormouse_replication',
    'ALTER ROLE owner NOCREATEROLE',
    'REVOKE pg_read_all_stats, pg_stat_scan_tables FROM owner',
    'ALTER DATABASE postgres OWNER TO owner',
    'DROP ROLE dormouse_maintenance, dormouse_replication',
  ]) {
    await superuser.query(sql);
  }
  await database.instance.stop();
  rmSync(rightsFile(database));
  if (more.length > 0) {
    database.detach();
    await database.instance.wake();
    // The upgrade has been there: once more back, with what an owner could do.
    const again = await database.session('dormouse', 'template1');
    for (const sql of more) await again.query(sql);
    await again.end();
    await database.instance.stop();
    rmSync(rightsFile(database), { force: true });
    database.attach();
  }
  return database;
}

async function standing(database: CapturedDatabase): Promise<Record<string, unknown>> {
  const [result] = await database.sql(
    `SELECT d.oid::int, d.datname, pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS limit,
       (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public') AS public,
       (SELECT rolcreaterole AND pg_has_role(oid, 'pg_read_all_stats', 'USAGE') FROM pg_roles WHERE rolname = 'owner') AS rights,
       (SELECT string_agg(rolname || CASE WHEN rolsuper THEN ' super' ELSE '' END || CASE WHEN rolreplication THEN ' replicates' ELSE '' END, ', ' ORDER BY rolname)
        FROM pg_roles WHERE rolname LIKE 'dormouse%') AS roles
     FROM pg_database d WHERE datname = current_database()`,
  );
  return result?.rows[0] as Record<string, unknown>;
}

const PRESENT = {
  oid: 5,
  datname: 'postgres',
  owner: 'dormouse',
  limit: -1,
  public: 'owner',
  rights: true,
  roles: 'dormouse super replicates, dormouse_maintenance, dormouse_replication replicates',
};

test('the main database of an older server becomes ours, and the owner goes on with what was his', async () => {
  const database = await made();
  expect(await standing(database)).toEqual(PRESENT);
  expect(existsSync(rightsFile(database))).toBe(true);
  const results = await database.sql(
    'INSERT INTO kept VALUES (2)',
    'SELECT count(*)::int AS n FROM kept',
    'CREATE EXTENSION pgcrypto',
    'CREATE SCHEMA another',
    'CREATE TEMP TABLE t (id int)',
    'GRANT CREATE ON DATABASE postgres TO writer',
    'DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE public.again (id int PRIMARY KEY)',
    'INSERT INTO public.again VALUES (1)',
  );
  expect(results[1]?.rows).toEqual([{ n: 2 }]);
  for (const sql of ['ALTER DATABASE postgres RENAME TO old', 'ALTER ROLE dormouse_replication SUPERUSER']) {
    await expect(database.sql(sql)).rejects.toMatchObject({ code: '42501' });
  }
  await until(async () => (await allEvents(database.log)).map(lineOf).includes('insert public.again 1'), {
    what: 'the events',
  });
  expect((await allEvents(database.log)).map(lineOf)).toEqual([
    'insert public.kept 1',
    'insert public.kept 2',
    'insert public.again 1',
  ]);
  expect(machine.warnings).toEqual([]);
});

test('it is known by its OID: one that has got its name gives it back, and one that was closed is open', async () => {
  const database = await made(
    'ALTER DATABASE postgres OWNER TO owner',
    'ALTER DATABASE postgres RENAME TO elsewhere',
    'CREATE DATABASE postgres OWNER owner',
    'ALTER DATABASE elsewhere CONNECTION LIMIT 0',
    'ALTER DATABASE elsewhere ALLOW_CONNECTIONS false',
  );
  expect(await standing(database)).toEqual(PRESENT);
  const [databases] = await database.sql('SELECT datname FROM pg_database WHERE oid > 5');
  expect(databases?.rows).toEqual([{ datname: expect.stringMatching(/^postgres_\d+$/) }]);
  expect(machine.warnings).toEqual([]);
});

test('a role that has one of our names and is not ours is not used; the database serves', async () => {
  const database = await made('ALTER DATABASE postgres OWNER TO owner', 'ALTER ROLE dormouse_maintenance CREATEROLE');
  const [count] = await database.sql('SELECT count(*)::int AS n FROM kept');
  expect(count?.rows).toEqual([{ n: 1 }]);
  expect(existsSync(rightsFile(database))).toBe(false);
  expect(machine.warnings.splice(0).join('\n')).toContain('there is another role named dormouse_maintenance');
});

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseLsn } from '../../src/wire/index.ts';
import {
  allEvents,
  type CapturedDatabase,
  type CapturedMachine,
  lineOf,
  startCapturedMachine,
} from '../support/captured-database.ts';
import { OLDER_OBJECTS_SQL } from '../support/older-objects.ts';
import { until } from '../support/until.ts';

// Database servers of earlier versions, at their first start by this version.

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

interface Older {
  /** Statements that the superuser of the old server ran in the whole server. */
  readonly server?: readonly string[];
  /**
   * Adds the objects and the slot of the versions that read publications. `unread`: statements that ran while no stream
   * was reading.
   */
  readonly objects?: { readonly unread: readonly string[] };
}

/**
 * Returns a database to the form of earlier versions: the tenant's owner role owns the database, and the platform's
 * only role is the superuser.
 */
async function made({ server = [], objects }: Older = {}): Promise<CapturedDatabase> {
  const database = await machine.create();
  await database.sql('CREATE TABLE kept (id int PRIMARY KEY)', 'INSERT INTO kept VALUES (1)');
  await database.capture.drain();
  database.detach();
  await database.capture.stopping();
  const superuser = await database.session('dormouse', 'template1');
  const inMain = await database.session('dormouse');
  expect(existsSync(rightsFile(database))).toBe(true);
  await inMain.query('ALTER SCHEMA public OWNER TO pg_database_owner');
  for (const sql of [
    'REVOKE ALL ON DATABASE postgres FROM owner, dormouse_maintenance, dormouse_replication',
    'ALTER ROLE owner NOCREATEROLE',
    'REVOKE pg_read_all_stats, pg_stat_scan_tables FROM owner',
    "DELETE FROM pg_database WHERE datname = 'template0'",
    'ALTER DATABASE postgres OWNER TO owner',
    'DROP ROLE dormouse_maintenance, dormouse_replication',
  ]) {
    await superuser.query(sql);
  }
  if (objects !== undefined) {
    await inMain.query(OLDER_OBJECTS_SQL);
    await database.sql(
      'CREATE TABLE bare (a int); INSERT INTO bare VALUES (1)',
      'CREATE TABLE chosen (id int PRIMARY KEY); ALTER TABLE chosen REPLICA IDENTITY FULL',
      'CREATE VIEW curious AS SELECT * FROM dormouse.full_identity',
    );
    const { epoch, history } = await database.log.state();
    await until(
      () => inMain.query(`SELECT pg_drop_replication_slot('dormouse_events_${epoch}')`).catch(() => undefined),
      { what: 'the slot free' },
    );
    const { rows } = await inMain.query(
      `SELECT lsn FROM pg_create_logical_replication_slot('dormouse_${epoch}', 'pgoutput')`,
    );
    const { systemId, timeline } = history as NonNullable<typeof history>;
    await database.log.begin({ systemId, timeline }, parseLsn(rows[0].lsn) as bigint);
    await database.sql(...objects.unread);
  }
  for (const sql of server) await superuser.query(sql);
  await Promise.all([superuser.end(), inMain.end()]);
  await database.instance.stop();
  rmSync(rightsFile(database));
  // This stands for a new process that has no knowledge of the database yet.
  const later = machine.open(database.record);
  later.attach();
  return later;
}

async function standing(database: CapturedDatabase): Promise<Record<string, unknown>> {
  const [result] = await database.sql(
    `SELECT d.oid::int, d.datname, pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS limit,
       (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public') AS public,
       (SELECT rolcreaterole AND pg_has_role(oid, 'pg_read_all_stats', 'USAGE') FROM pg_roles WHERE rolname = 'owner') AS rights,
       (SELECT datconnlimit FROM pg_database WHERE datname = 'template0' AND datdba = 10) AS template0,
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
  template0: -2,
  roles: 'dormouse super replicates, dormouse_maintenance, dormouse_replication replicates',
};

test('the platform takes over the main database of an older server, and the owner keeps all objects and rights in it', async () => {
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

test('the main database is known by its OID, so a database that took its name is renamed and a closed one is opened', async () => {
  const database = await made({
    server: [
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'postgres'",
      'ALTER DATABASE postgres RENAME TO elsewhere',
      'CREATE DATABASE postgres OWNER owner',
      'ALTER DATABASE elsewhere CONNECTION LIMIT 0',
      'ALTER DATABASE elsewhere ALLOW_CONNECTIONS false',
    ],
  });
  expect(await standing(database)).toEqual(PRESENT);
  const [databases] = await database.sql('SELECT datname FROM pg_database WHERE oid > 5');
  expect(databases?.rows).toEqual([{ datname: expect.stringMatching(/^postgres_\d+$/) }]);
  expect(machine.warnings).toEqual([]);
});

test('the platform takes over the name template0, and a database with that name is renamed', async () => {
  const database = await made({ server: ['CREATE DATABASE template0 OWNER owner IS_TEMPLATE true'] });
  expect(await standing(database)).toEqual(PRESENT);
  const [databases] = await database.sql('SELECT datname FROM pg_database WHERE oid > 5');
  expect(databases?.rows).toEqual([{ datname: expect.stringMatching(/^template0_\d+$/) }]);
  expect(machine.warnings).toEqual([]);
});

test('a foreign role with a name of the platform is not used, and the database serves queries', async () => {
  const database = await made({ server: ['CREATE ROLE dormouse_maintenance CREATEROLE'] });
  const [count] = await database.sql('SELECT count(*)::int AS n FROM kept');
  expect(count?.rows).toEqual([{ n: 1 }]);
  expect(existsSync(rightsFile(database))).toBe(false);
  expect(machine.warnings.splice(0).join('\n')).toContain('there is another role named dormouse_maintenance');
});

const TRACES = `SELECT (SELECT count(*) FROM pg_publication)::int AS publications, (SELECT count(*) FROM pg_event_trigger)::int AS triggers,
  (SELECT count(*) FROM pg_namespace WHERE nspname = 'dormouse')::int AS schemas,
  (SELECT string_agg(relname || ' ' || relreplident::text, ', ' ORDER BY relname) FROM pg_class WHERE relname IN ('bare', 'chosen')) AS identities`;
const NONE = { publications: 0, triggers: 0, schemas: 0, identities: 'bare d, chosen f' };

test('objects of earlier versions are removed, tables keep their owner’s settings, and no event is missed or repeated', async () => {
  const database = await made({ objects: { unread: ['CREATE TABLE empty (id int PRIMARY KEY)'] } });
  const { epoch } = await database.log.state();
  const results = await database.sql(TRACES, 'UPDATE bare SET a = 2', 'INSERT INTO kept VALUES (2)');
  expect(results[0]?.rows).toEqual([NONE]);
  await until(() => database.capture.drain(), { what: 'the events' });
  expect((await allEvents(database.log)).map(lineOf)).toEqual([
    'insert public.kept 1',
    'update public.bare 2',
    'insert public.kept 2',
  ]);
  expect((await database.log.state()).epoch).toBe(epoch);
  const slots = await database.sql('SELECT slot_name, plugin FROM pg_replication_slots');
  expect(slots[0]?.rows).toEqual([{ slot_name: `dormouse_events_${epoch}`, plugin: 'test_decoding' }]);
  // The same holds after the next start, which knows that the work is done.
  await database.instance.stop();
  await database.sql('INSERT INTO kept VALUES (3)');
  await until(() => database.capture.drain(), { what: 'the next event' });
  expect((await allEvents(database.log)).map(lineOf).slice(3)).toEqual(['insert public.kept 3']);
  expect(machine.warnings).toEqual([]);
});

test('changes that an earlier version had not read become a gap that says so', async () => {
  const database = await made({ objects: { unread: ['INSERT INTO kept VALUES (2)'] } });
  const { epoch } = await database.log.state();
  const results = await database.sql(TRACES, 'INSERT INTO kept VALUES (3)');
  expect(results[0]?.rows).toEqual([NONE]);
  await until(() => database.capture.drain(), { what: 'the events' });
  expect((await allEvents(database.log)).map(lineOf)).toEqual(['insert public.kept 1', 'gap', 'insert public.kept 3']);
  expect((await database.log.state()).epoch).not.toBe(epoch);
  expect(machine.warnings.splice(0).join('\n')).toContain('what an earlier version had not read is gone');
});

test('a tenant’s objects with names of the platform are kept, and none of their code runs with the platform’s rights', async () => {
  const database = await made();
  await database.instance.wake();
  await database.sql(
    'CREATE TABLE booty (who name)',
    'CREATE SCHEMA dormouse; CREATE TABLE dormouse.full_identity (relation oid)',
    `CREATE FUNCTION dormouse.spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.booty VALUES (current_user); RETURN NULL; END $$`,
    'CREATE TRIGGER spy BEFORE DELETE ON dormouse.full_identity FOR EACH STATEMENT EXECUTE FUNCTION dormouse.spy()',
    'CREATE PUBLICATION dormouse; CREATE PUBLICATION dormouse_listed FOR TABLE booty',
  );
  await database.instance.stop();
  rmSync(rightsFile(database));
  const [schemas, publications, booty] = await database.sql(
    "SELECT count(*)::int AS n FROM pg_namespace WHERE nspname = 'dormouse'",
    'SELECT count(*)::int AS n FROM pg_publication',
    'SELECT * FROM public.booty',
  );
  expect([schemas?.rows, publications?.rows, booty?.rows]).toEqual([[{ n: 1 }], [{ n: 2 }], []]);
  expect(existsSync(rightsFile(database))).toBe(true);
  await until(() => database.capture.drain(), { what: 'capture' });
  expect(machine.warnings).toEqual([]);
});

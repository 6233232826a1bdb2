import { cpSync, rmSync } from 'node:fs';
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

let machine: CapturedMachine;
beforeAll(async () => {
  machine = await startCapturedMachine();
});
afterAll(async () => {
  await machine?.close();
});

/** Stops a database, runs `change` on its files, and opens the database again with a new events layer. */
async function reopened(database: CapturedDatabase, change: (directory: string) => void): Promise<CapturedDatabase> {
  await database.instance.stop();
  database.detach();
  await database.events.close();
  change(machine.instances.directory(database.record.id));
  const again = machine.open(database.record);
  again.attach();
  await again.instance.wake();
  return again;
}

async function slots(database: CapturedDatabase): Promise<string[]> {
  const root = await database.session('dormouse');
  const { rows } = await root.query('SELECT slot_name FROM pg_replication_slots');
  await root.end();
  return rows.map((row) => row.slot_name);
}

test('a copy that has its parent’s slot but not its log starts a history of its own before its first write', async () => {
  const parent = await machine.create();
  await parent.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
  await parent.capture.drain();
  const { epoch } = await parent.log.state();
  const copy = await reopened(parent, (directory) => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(directory, `events.db${suffix}`), { force: true });
  });
  await copy.sql('INSERT INTO t VALUES (2)');
  await copy.capture.drain();
  const state = await copy.log.state();
  expect(state.epoch).not.toBe(epoch);
  expect((await allEvents(copy.log)).map(lineOf)).toEqual(['insert public.t 2']);
  expect(await slots(copy)).toEqual([`dormouse_events_${state.epoch}`]);
});

test('a log that is older than its slot gets a gap', async () => {
  const database = await machine.create();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
  await database.instance.stop();
  const backup = join(machine.home.path, 'backup.db');
  const kept = await reopened(database, (directory) => cpSync(join(directory, 'events.db'), backup));
  await kept.sql('INSERT INTO t VALUES (2)');
  const restored = await reopened(kept, (directory) => {
    for (const suffix of ['-wal', '-shm']) rmSync(join(directory, `events.db${suffix}`), { force: true });
    cpSync(backup, join(directory, 'events.db'));
  });
  await until(() => restored.capture.drain(), { what: 'capture' });
  await restored.sql('INSERT INTO t VALUES (3)');
  await restored.capture.drain();
  expect((await allEvents(restored.log)).map(lineOf)).toEqual(['insert public.t 1', 'gap', 'insert public.t 3']);
  expect(await slots(restored)).toHaveLength(1);
});

test('a tenant can neither use nor disturb the platform’s slot and publication', async () => {
  const database = await machine.create();
  for (const role of ['owner', 'writer', 'reader']) {
    const client = await database.session(role);
    for (const statement of [
      'CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION no_function()',
      'SET event_triggers = off',
      'SET ROLE dormouse_replication',
      'ALTER ROLE dormouse_replication NOLOGIN',
      'SET session_replication_role = replica',
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots',
      'SELECT * FROM pg_logical_slot_get_binary_changes((SELECT slot_name FROM pg_replication_slots), NULL, NULL)',
      'CREATE ROLE another SUPERUSER',
    ]) {
      await expect(client.query(statement), `${role}: ${statement}`).rejects.toThrow(
        /permission denied|must be|cannot be called|only roles|trigger functions/i,
      );
    }
    await client.end();
  }
  // Names and functions of the tenant do not run with the rights of the platform.
  await database.sql(
    'CREATE TABLE escaped (who name)',
    `CREATE FUNCTION public.format(text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'DROP PUBLICATION dormouse' $$`,
    `CREATE FUNCTION public.trap(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO public.escaped VALUES (current_user); RETURN true; END $$`,
    'CREATE OPERATOR public.= (leftarg = int, rightarg = int, function = public.trap)',
    'ALTER ROLE owner SET search_path = public, pg_catalog',
    `CREATE TABLE "x""; DROP PUBLICATION dormouse; --" (a int)`,
  );
  const results = await database.sql(
    'CREATE TABLE plain (a int)',
    'SELECT who FROM public.escaped',
    'INSERT INTO plain VALUES (1)',
  );
  expect(results[1]?.rows).toEqual([]);
  await database.capture.drain();
  expect((await allEvents(database.log)).map(lineOf)).toEqual(['insert public.plain 1']);
});

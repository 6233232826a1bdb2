import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Deadline, systemClock } from '../../src/base/index.ts';
import type { Lease } from '../../src/pool/index.ts';
import { allEvents, type CapturedMachine, lineOf, startCapturedMachine } from '../support/captured-database.ts';
import { processesOf } from '../support/reaper.mjs';
import { until } from '../support/until.ts';

let machine: CapturedMachine;
beforeAll(async () => {
  machine = await startCapturedMachine();
});
afterAll(async () => {
  await machine?.close();
});

test('committed changes arrive in commit order, and changes that are rolled back never arrive', async () => {
  const { sql, session, log, capture } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY, name text)', "INSERT INTO t VALUES (1, 'a'), (2, NULL)");
  const [first, second] = [await session(), await session()];
  await first.query('BEGIN');
  await first.query("INSERT INTO t VALUES (10, 'begun first, committed last')");
  await second.query("INSERT INTO t VALUES (20, 'between')");
  await first.query('SAVEPOINT s');
  await first.query("INSERT INTO t VALUES (11, 'undone')");
  await first.query('ROLLBACK TO s');
  await first.query('COMMIT');
  await second.query('BEGIN');
  await second.query('DELETE FROM t');
  await second.query('ROLLBACK');
  await first.end();
  await second.end();
  await sql(
    "UPDATE t SET name = 'b' WHERE id = 1",
    'UPDATE t SET id = 3 WHERE id = 2',
    'DELETE FROM t WHERE id = 1',
    'TRUNCATE t',
  );
  expect(await capture.drain()).toBe(true);
  const events = await allEvents(log);
  expect(events.map(lineOf)).toEqual([
    'insert public.t 1,a',
    'insert public.t 2,NULL',
    'insert public.t 20,between',
    'insert public.t 10,begun first, committed last',
    'update public.t 1,b',
    'update public.t 2,? -> 3,NULL',
    'delete public.t 1,? ->',
    'truncate public.t',
  ]);
  expect(machine.warnings).toEqual([]);
  expect(capture.caughtUp()).toBe(true);
});

test('the first transaction after the first start is captured, whoever makes it', async () => {
  const { session, log, capture } = await machine.create();
  const client = await session();
  await client.query('CREATE TABLE first (id int PRIMARY KEY); INSERT INTO first VALUES (1)');
  await client.end();
  await capture.drain();
  expect((await allEvents(log)).map(lineOf)).toEqual(['insert public.first 1']);
});

test('tables without a primary key stay updatable, however their keys change', async () => {
  const { sql, log, capture } = await machine.create();
  await sql(
    'CREATE TABLE bare (a int, b text)',
    "INSERT INTO bare VALUES (1, 'x')",
    "UPDATE bare SET b = 'y'",
    'CREATE TABLE loses (a int PRIMARY KEY, b int)',
    'INSERT INTO loses VALUES (1, 1)',
    'ALTER TABLE loses DROP CONSTRAINT loses_pkey',
    'UPDATE loses SET b = 2',
    'CREATE TABLE uses (a int NOT NULL UNIQUE, b int); ALTER TABLE uses REPLICA IDENTITY USING INDEX uses_a_key',
    'INSERT INTO uses VALUES (1, 1)',
    'ALTER TABLE uses DROP CONSTRAINT uses_a_key',
    'UPDATE uses SET b = 2',
    'CREATE TABLE refuses (a int, b int); ALTER TABLE refuses REPLICA IDENTITY NOTHING',
    'INSERT INTO refuses VALUES (1, 1)',
    'UPDATE refuses SET b = 2',
    'CREATE TABLE later (a int UNIQUE DEFERRABLE, b int)',
    'CREATE TABLE parts (a int, b int) PARTITION BY RANGE (a); CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10)',
    'INSERT INTO parts VALUES (1, 1)',
    'UPDATE parts SET b = 2',
    'CREATE SCHEMA other CREATE TABLE inside (a int)',
    'INSERT INTO other.inside VALUES (1)',
    'DELETE FROM other.inside',
    'CREATE TABLE copied AS SELECT 1 AS a',
    'UPDATE copied SET a = 2',
    'CREATE TABLE "odd ""name" ("odd ""column" int)',
    'INSERT INTO "odd ""name" VALUES (1)',
    'UPDATE "odd ""name" SET "odd ""column" = 2',
    'CREATE DOMAIN d AS int; CREATE TABLE keyed (a d PRIMARY KEY, b int); INSERT INTO keyed VALUES (1, 1); DROP DOMAIN d CASCADE',
    'UPDATE keyed SET b = 2',
    'CREATE TABLE stored (a int, b int GENERATED ALWAYS AS (a * 2) STORED)',
    'INSERT INTO stored VALUES (1)',
    'UPDATE stored SET a = 2',
  );
  await capture.drain();
  const lines = (await allEvents(log)).map(lineOf);
  expect(lines).toEqual([
    'insert public.bare 1,x',
    'update public.bare 1,y',
    'insert public.loses 1,1',
    'update public.loses 1,2',
    'insert public.uses 1,1',
    'update public.uses 1,2',
    'insert public.refuses 1,1',
    'update public.refuses 1,2',
    'insert public.part1 1,1',
    'update public.part1 1,2',
    'insert other.inside 1',
    // The event can only say that a row was deleted.
    'delete other.inside ? ->',
    'insert public.copied 1',
    'update public.copied 2',
    'insert public.odd "name 1',
    'update public.odd "name 2',
    // The column was dropped together with the domain that was its type.
    expect.stringMatching(/^insert public\.keyed 1,1$/),
    'update public.keyed 2',
    'insert public.stored 1,2',
    'update public.stored 2,4',
  ]);
  expect(machine.warnings).toEqual([]);
});

test('every table keeps the replica identity that the tenant gave it, and the tenant’s database holds no object of the platform', async () => {
  const { sql, capture } = await machine.create();
  const results = await sql(
    'CREATE TABLE restored (a int NOT NULL, b int); INSERT INTO restored VALUES (1, 1)',
    'UPDATE restored SET b = 2',
    'CREATE TABLE chosen (a int NOT NULL); ALTER TABLE chosen REPLICA IDENTITY FULL; ALTER TABLE chosen ADD PRIMARY KEY (a)',
    'CREATE TABLE nothing (a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING; INSERT INTO nothing VALUES (1); UPDATE nothing SET a = 2',
    'CREATE TABLE indexed (a int PRIMARY KEY, b int NOT NULL UNIQUE); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_b_key',
    "SELECT string_agg(relname || ' ' || relreplident::text, ', ' ORDER BY relname) AS identities FROM pg_class WHERE relkind = 'r' AND oid >= 16384",
    `SELECT (SELECT count(*) FROM pg_publication)::int AS publications, (SELECT count(*) FROM pg_event_trigger)::int AS triggers,
       (SELECT string_agg(nspname, ', ' ORDER BY nspname) FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp') AS schemas,
       (SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relnamespace NOT IN ('public'::regnamespace, 'pg_toast'::regnamespace))::int AS relations,
       (SELECT count(*) FROM pg_proc WHERE oid >= 16384)::int AS functions,
       (SELECT string_agg(schema_name, ', ' ORDER BY schema_name) FROM information_schema.schemata) AS visible`,
  );
  await capture.drain();
  expect(results[5]?.rows).toEqual([{ identities: 'chosen f, indexed i, nothing n, restored d' }]);
  expect(results[6]?.rows).toEqual([
    {
      publications: 0,
      triggers: 0,
      schemas: null,
      relations: 0,
      functions: 0,
      visible: 'information_schema, pg_catalog, public',
    },
  ]);
});

test('an event has its table’s key, also a key that was added after the row, and the root of its partition', async () => {
  const { sql, log, capture } = await machine.create();
  const keys = async (): Promise<string[]> => {
    await capture.drain();
    return (await allEvents(log)).map(({ operation, relation, before, after }) => {
      const row = (operation === 'delete' ? before : after) ?? [];
      const key = relation?.columns.flatMap((column, i) => (column.key ? [row[i] === 0 ? '?' : row[i]] : []));
      return `${operation} ${key?.join(',')}`;
    });
  };
  // This is the order of pg_restore: rows first, each table in a transaction of its own, then the keys.
  await sql('CREATE TABLE t (a text, id int NOT NULL)', "INSERT INTO t VALUES ('x', 1), ('y', 2)");
  expect(await keys()).toEqual(['insert x,1', 'insert y,2']);
  await sql('ALTER TABLE ONLY t ADD CONSTRAINT t_pkey PRIMARY KEY (id)');
  expect(await keys()).toEqual(['insert 1', 'insert 2']);
  await sql("UPDATE t SET a = 'z' WHERE id = 1", 'DELETE FROM t WHERE id = 2');
  expect(await keys()).toEqual(['insert 1', 'insert 2', 'update 1', 'delete 2']);
  // The key changes later: events that were written before keep their key.
  await sql('BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (a); DELETE FROM t; COMMIT');
  expect(await keys()).toEqual(['insert 1', 'insert 2', 'update 1', 'delete 2', 'delete z']);
  await sql(
    'CREATE TABLE root (id int, region text, PRIMARY KEY (region, id)) PARTITION BY LIST (region)',
    "CREATE TABLE middle PARTITION OF root FOR VALUES IN ('a', 'b') PARTITION BY LIST (region)",
    "CREATE TABLE leaf PARTITION OF middle FOR VALUES IN ('a')",
    "INSERT INTO root VALUES (1, 'a')",
    'CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (parent); INSERT INTO heir VALUES (9)',
  );
  expect((await keys()).slice(5)).toEqual(['insert 1,a', 'insert 9']);
  const [leaf, heir] = (await allEvents(log)).slice(5);
  expect(leaf?.relation).toMatchObject({
    name: 'leaf',
    ancestors: [{ name: 'middle' }, { schema: 'public', name: 'root' }],
  });
  expect(heir?.relation).toMatchObject({ name: 'heir', ancestors: [{ name: 'parent' }] });
  const after = { ordinal: 1, lsn: 0n, index: 0 };
  const ofRoot = await log.read({ after, limit: 10, tables: [{ schema: 'public', name: 'root' }] });
  expect(ofRoot.events.map(lineOf)).toEqual(['insert public.leaf 1,a']);
  expect(machine.warnings).toEqual([]);
});

test('an event reflects what its transaction did to the table, however soon the commit is read', async () => {
  const { sql, log, capture } = await machine.create();
  // The commit is in the WAL before other sessions see its changes.
  for (let i = 0; i < 40; i++) {
    await sql(`CREATE TABLE t${i} (a text, id int NOT NULL)`, `INSERT INTO t${i} VALUES ('x', ${i})`);
    await capture.drain();
    await sql(`ALTER TABLE t${i} ADD PRIMARY KEY (id)`);
    await capture.drain();
    const { relation } = (await allEvents(log)).at(-1) ?? {};
    expect([i, relation?.columns.filter(({ key }) => key).map(({ name }) => name)]).toEqual([i, ['id']]);
  }
});

test('a table with virtual generated columns and no key stays updatable, and the others stay captured', async () => {
  const { sql, log, capture } = await machine.create();
  await sql(
    'CREATE TABLE kept (id int PRIMARY KEY, b int); INSERT INTO kept VALUES (1, 1)',
    'CREATE TABLE virtual (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)',
    'INSERT INTO virtual (a) VALUES (1)',
    'UPDATE virtual SET a = 2',
    'DELETE FROM virtual',
    'UPDATE kept SET b = 2',
    'CREATE TABLE after (id int PRIMARY KEY, b int); INSERT INTO after VALUES (1, 1)',
    'UPDATE after SET b = 2',
    'DELETE FROM after',
    'ALTER TABLE after ADD COLUMN v int GENERATED ALWAYS AS (b) VIRTUAL',
    'ALTER TABLE after DROP CONSTRAINT after_pkey',
    'INSERT INTO after VALUES (3, 3)',
    'UPDATE after SET b = 4',
    'CREATE TABLE whole (id int PRIMARY KEY, b int, v int GENERATED ALWAYS AS (b) VIRTUAL); ALTER TABLE whole REPLICA IDENTITY FULL',
    'INSERT INTO whole VALUES (1, 1)',
    'UPDATE whole SET b = 2',
    'DELETE FROM whole',
  );
  await capture.drain();
  expect((await allEvents(log)).map(lineOf)).toEqual([
    'insert public.kept 1,1',
    'insert public.virtual 1',
    'update public.virtual 2',
    'delete public.virtual ? ->',
    'update public.kept 1,2',
    'insert public.after 1,1',
    'update public.after 1,2',
    'delete public.after 1,? ->',
    'insert public.after 3,3',
    'update public.after 3,4',
    'insert public.whole 1,1',
    'update public.whole 1,1 -> 1,2',
    'delete public.whole 1,2 ->',
  ]);
  expect(machine.warnings).toEqual([]);
});

test('an unchanged TOASTed value is unknown, not NULL, and known with the full identity', async () => {
  const { sql, log, capture } = await machine.create();
  await sql(
    'CREATE TABLE wide (id int PRIMARY KEY, n int, big text); ALTER TABLE wide ALTER big SET STORAGE EXTERNAL',
    "INSERT INTO wide VALUES (1, 1, repeat('x', 10000)), (2, 2, NULL)",
    'UPDATE wide SET n = n + 10',
    'ALTER TABLE wide REPLICA IDENTITY FULL',
    'UPDATE wide SET n = n + 10 WHERE id = 1',
  );
  await capture.drain();
  const events = await allEvents(log);
  expect(
    events.slice(2).map((event) => event.after?.map((value) => (typeof value === 'string' ? value.length : value))),
  ).toEqual([
    [1, 2, 0],
    [1, 2, null],
    [1, 2, 10000],
  ]);
});

test('a giant transaction is read in pieces and delivered whole or not at all', async () => {
  const { session, log, capture } = await machine.create();
  const client = await session();
  await client.query('CREATE TABLE giant (id int PRIMARY KEY, filler text)');
  let seen = 0;
  let most = 0;
  const counts = new Set<number>();
  const written = client
    .query("INSERT INTO giant SELECT i, repeat('x', 200) FROM generate_series(1, 200000) i")
    .finally(() => client.end());
  await Promise.all([
    written,
    until(
      async () => {
        most = Math.max(most, capture.bufferedBytes);
        const { events } = await log.read({ after: { ordinal: 1, lsn: 0n, index: 0 }, limit: 1 });
        counts.add(events.length);
        return events.length > 0;
      },
      { what: 'the giant transaction', withinMs: 120_000 },
    ),
  ]);
  let after = { ordinal: 1, lsn: 0n, index: 0 };
  for (;;) {
    const result = await log.read({ after, limit: 1000 });
    for (const event of result.events) expect(event.after?.[0]).toBe(String(++seen));
    after = result.upTo;
    if (result.atTail) break;
  }
  expect(seen).toBe(200_000);
  expect(counts.has(0)).toBe(true);
  // The rows are 45 MB of WAL messages; the buffer holds 4 MiB and the chunk that fills it.
  expect(most).toBeLessThan(8 * 1024 * 1024);
  expect(await capture.drain()).toBe(true);
});

test('suspend, thaw, stop and start lose no event and repeat no event', async () => {
  const { sql, instance, log, capture } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY)');
  for (let i = 1; i <= 12; i++) {
    await sql(`INSERT INTO t VALUES (${i})`);
    if (i % 3 === 0) await instance.suspend();
    else if (i % 3 === 1) await instance.stop();
  }
  await instance.wake();
  await until(() => capture.drain(), { what: 'the rest' });
  expect((await allEvents(log)).map(lineOf)).toEqual(Array.from({ length: 12 }, (_, i) => `insert public.t ${i + 1}`));
});

test('a freeze asks how far to drain over an existing idle connection and opens no new connection', async () => {
  const { sql, instance, log, pool } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY)');
  const lease = (): Promise<Lease> => pool.acquire({ deadline: Deadline.in(systemClock, 60_000) });
  for (let i = 1; i <= 5; i++) {
    const held = await lease();
    await held.execute(`INSERT INTO t VALUES (${i})`, []);
    // The stream has been opened anew after the thaw, and no other connection is being opened.
    await until(async () => (await allEvents(log)).length === i, { what: 'the event' });
    const before = machine.connects();
    held.release();
    await instance.suspend();
    expect(machine.connects()).toBe(before);
    expect(pool.stats).toMatchObject({ open: 1, idle: 1 });
  }
  // A connection in use must not be asked, and a connection that gives an error yields no answer.
  const held = await lease();
  expect(await pool.askIdle('SELECT 1')).toBeUndefined();
  held.release();
  expect(await pool.askIdle('SELECT 1/0')).toBeUndefined();
  expect(await pool.askIdle("SET statement_timeout = '1h'; SELECT 1")).toBe('1');
  // The connection was left in a state that no later user may meet.
  await until(() => pool.stats.open === 0, { what: 'its place free' });
});

test('a row written just before a stop is in the log when the stop returns', async () => {
  const { sql, instance, log } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY)');
  await sql('INSERT INTO t SELECT generate_series(1, 5000)');
  await instance.stop();
  expect(await allEvents(log)).toHaveLength(5000);
});

test('a row written just before a freeze is in the log while the server is frozen, and the stream costs nothing meanwhile', async () => {
  const { record, sql, instance, log, capture } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY)');
  await sql('INSERT INTO t SELECT generate_series(1, 1000)');
  await instance.suspend();
  expect(await allEvents(log)).toHaveLength(1000);
  expect(instance.state).toBe('suspended');
  expect(capture.caughtUp()).toBe(true);
  const commands = processesOf(machine.instances.directory(record.id)).map((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
  );
  expect(commands.length).toBeGreaterThan(4);
  expect(commands.filter((command) => command.includes('walsender'))).toEqual([]);
  // The stream comes back by itself after a wake, and a stop in between needs no stream.
  await sql('INSERT INTO t VALUES (1001)');
  await until(async () => (await allEvents(log)).length === 1001, { what: 'the stream to be back' });
  await instance.suspend();
  await instance.stop();
  await sql('INSERT INTO t VALUES (1002)');
  await until(async () => (await allEvents(log)).length === 1002, { what: 'the stream after a stop' });
});

test('an idle suspend and a stop wait until a transaction larger than any drain is read', async () => {
  const { record, session, instance, log } = await machine.create();
  const client = await session();
  await client.query('CREATE TABLE giant (id int PRIMARY KEY, filler text)');
  await client.query("INSERT INTO giant SELECT i, repeat('x', 50) FROM generate_series(1, 300000) i");
  machine.instances.setRest(record.id, { suspendAfterMs: 0 });
  await client.end();
  await until(() => instance.state === 'suspended', { what: 'the rest', withinMs: 150_000 });
  expect(await log.state()).toMatchObject({ events: 300_000 });
  machine.instances.setRest(record.id, { suspendAfterMs: Number.POSITIVE_INFINITY });
  const again = await session();
  await again.query('UPDATE giant SET filler = NULL WHERE id <= 60000');
  await again.query("INSERT INTO giant SELECT 300001, repeat('x', 60000000)");
  await again.end();
  await instance.stop();
  expect(await log.state()).toMatchObject({ events: 360_001 });
  // The log is read while the database is suspended; the last event has its key.
  const { tail } = await log.state();
  const last = await log.read({ after: { ...tail, index: -1 }, limit: 1 });
  expect(last.events.map(lineOf)).toEqual(['insert public.giant 300001,!']);
});

test('a transaction that Postgres itself cannot decode becomes a gap in the log, and capture goes on', async () => {
  const { sql, log, instance } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY, raw bytea)', 'INSERT INTO t VALUES (1)');
  // The value has 1.08 GB as text, and Postgres outputs no value over 1 GB.
  await sql("INSERT INTO t SELECT 2, convert_to(repeat('x', 540000000), 'UTF8')");
  await until(async () => (await allEvents(log)).at(-1)?.operation === 'gap', { what: 'the gap', withinMs: 120_000 });
  await sql('INSERT INTO t VALUES (3)');
  await instance.suspend();
  expect((await allEvents(log)).map(lineOf)).toEqual(['insert public.t 1,NULL', 'gap', 'insert public.t 3,NULL']);
  await sql('INSERT INTO t VALUES (4)');
  await instance.stop();
  expect((await allEvents(log)).map(lineOf).slice(2)).toEqual(['insert public.t 3,NULL', 'insert public.t 4,NULL']);
});

test('a lost slot becomes a gap and a new epoch', async () => {
  const { sql, session, instance, log, capture } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
  await capture.drain();
  const { epoch } = await log.state();
  await instance.stop();
  await instance.wake();
  // The slot is dropped while no stream is open.
  const root = await session('dormouse');
  await until(
    async () => {
      await root.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active');
      return root
        .query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'dormouse%'")
        .then((result) => result.rowCount === 1)
        .catch(() => false);
    },
    { what: 'the slot dropped' },
  );
  await root.end();
  await sql('INSERT INTO t VALUES (2)');
  await until(async () => (await log.state()).epoch !== epoch, { what: 'a new epoch' });
  await until(() => capture.drain(), { what: 'capture after the gap' });
  await sql('INSERT INTO t VALUES (3)');
  await capture.drain();
  const lines = (await allEvents(log)).map(lineOf);
  expect(lines[0]).toBe('insert public.t 1');
  expect(lines[1]).toBe('gap');
  expect(lines.at(-1)).toBe('insert public.t 3');
});

test("a tenant's settings do not reach capture", async () => {
  const { sql, session, instance, log, capture } = await machine.create();
  await sql('CREATE TABLE t (id int PRIMARY KEY, at timestamptz, raw bytea)');
  // In earlier versions an owner owned the main database and could set these; such settings stay.
  const superuser = await session('dormouse');
  for (const statement of [
    "ALTER DATABASE postgres SET datestyle = 'German'",
    "ALTER DATABASE postgres SET timezone = 'Asia/Tokyo'",
    "ALTER DATABASE postgres SET bytea_output = 'escape'",
    "ALTER DATABASE postgres SET statement_timeout = '1ms'",
    'ALTER DATABASE postgres SET default_transaction_read_only = on',
    "ALTER DATABASE postgres SET role = 'owner'",
    "ALTER DATABASE postgres SET search_path = 'evil'",
  ]) {
    await superuser.query(statement);
  }
  await superuser.end();
  await instance.stop();
  const client = await session();
  await client.query('SET default_transaction_read_only = off; SET statement_timeout = 0');
  await client.query("INSERT INTO public.t VALUES (1, '2026-01-02 03:04:05+00', '\\x00ff')");
  await client.end();
  await until(() => capture.drain(), { what: 'the event' });
  expect((await allEvents(log)).map(lineOf)).toEqual(['insert public.t 1,2026-01-02 03:04:05+00,\\x00ff']);
});

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/index.ts';
import { type Pool, SchemaChanges, StoredCode } from '../../src/pool/index.ts';
import { type Connect, connectSocket } from '../../src/session/index.ts';
import { ask, lease, usePools } from '../support/pools.ts';

// State that code of the tenant (functions, triggers, views, policies …) leaves in a session never reaches the next
// request.

const world = usePools();

/** The scripts by which the pool resets a session. */
let resets = 0;
/** The statements by which the pool asks which code of the tenant exists. */
let questions = 0;
const counted: Connect = (endpoint) => {
  const socket = connectSocket(endpoint);
  const write = socket.write.bind(socket);
  socket.write = ((bytes: Uint8Array, ...rest: []) => {
    const text = Buffer.from(bytes).toString('latin1');
    if (text.includes('RESET ALL')) resets++;
    if (text.includes('pg_rewrite')) questions++;
    return write(bytes, ...rest);
  }) as typeof socket.write;
  return socket;
};

/** There is one connection per role, so the next request would find what a request leaves. */
function open(): Record<'owner' | 'writer' | 'reader', Pool> {
  const schemaChanges = new SchemaChanges();
  const shared = { schemaChanges, storedCode: new StoredCode(schemaChanges, systemClock), connectionsMax: 1 };
  const pool = (role: 'owner' | 'writer' | 'reader'): Pool => world.open({ ...shared, role, connect: counted });
  return { owner: pool('owner'), writer: pool('writer'), reader: pool('reader') };
}

async function run(pool: Pool, ...texts: readonly string[]): Promise<(string | null)[][]> {
  const one = await lease(pool);
  try {
    let rows: (string | null)[][] = [];
    for (const text of texts) rows = await ask(one, text);
    return rows;
  } finally {
    one.release();
  }
}

/** The state that a request finds from the request before it. */
const FOUND = `SELECT coalesce(current_setting('app.tenant', true), '') AS tenant, current_user = session_user AS own,
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
  (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors, (SELECT count(*) FROM pg_listening_channels()) AS channels,
  to_regclass('pg_temp.left_behind') IS NULL AS clean, current_setting('work_mem') AS work_mem`;
const CLEAN = [['', 't', '0', '0', '0', 't', '4MB']];

describe('a session', () => {
  let pools: ReturnType<typeof open>;
  beforeAll(async () => {
    pools = open();
    await run(
      pools.owner,
      'CREATE TABLE items (id int PRIMARY KEY, note text)',
      'CREATE TABLE numbered (id serial, note text)',
      'GRANT ALL ON items, numbered TO writer',
    );
  });
  beforeEach(async () => {
    await run(
      pools.owner,
      'DROP SCHEMA IF EXISTS code CASCADE',
      'CREATE SCHEMA code',
      'GRANT USAGE ON SCHEMA code TO PUBLIC',
    );
    await run(pools.owner, 'DELETE FROM items');
  });

  /** Code that leaves state in a session, by the way in which the code is reached. */
  const LEAVES = `set_config('app.tenant', 'other', false)`;
  const WAYS: Readonly<Record<string, readonly [make: string, use: string, role?: 'writer' | 'reader']>> = {
    'a function': [
      `CREATE FUNCTION code.f() RETURNS text LANGUAGE sql AS $$SELECT ${LEAVES}$$`,
      'SELECT code.f()',
      'reader',
    ],
    'a function that builds its text': [
      `CREATE FUNCTION code.f() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SET app' || '.tenant = other'; END$$`,
      'SELECT code.f()',
      'reader',
    ],
    'a view': [
      `CREATE VIEW code.v AS SELECT ${LEAVES} AS x; GRANT SELECT ON code.v TO PUBLIC`,
      'SELECT * FROM code.v',
      'reader',
    ],
    'a default': [
      `CREATE TABLE code.t (id int, x text DEFAULT ${LEAVES}); GRANT ALL ON code.t TO writer`,
      'INSERT INTO code.t (id) VALUES (1)',
      'writer',
    ],
    'a check': [`CREATE TABLE code.t (id int CHECK (${LEAVES} <> ''))`, 'INSERT INTO code.t (id) VALUES (1)', 'writer'],
    'a domain': [`CREATE DOMAIN code.d AS int CHECK (${LEAVES} <> '')`, 'SELECT 1::code.d', 'reader'],
    'the default of a domain': [
      `CREATE DOMAIN code.d AS text DEFAULT ${LEAVES}; CREATE TABLE code.t (id int, x code.d)`,
      'INSERT INTO code.t (id) VALUES (1)',
      'writer',
    ],
    'a policy': [
      `CREATE TABLE code.t (id int); INSERT INTO code.t VALUES (1); ALTER TABLE code.t ENABLE ROW LEVEL SECURITY;
       CREATE POLICY p ON code.t TO PUBLIC USING (${LEAVES} <> '')`,
      'SELECT * FROM code.t',
      'reader',
    ],
    'a rule': [
      `CREATE TABLE code.t (id int); CREATE RULE r AS ON INSERT TO code.t DO ALSO SELECT ${LEAVES}`,
      'INSERT INTO code.t VALUES (1)',
      'writer',
    ],
    'a trigger': [
      `CREATE FUNCTION code.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM ${LEAVES}; RETURN NEW; END$$;
       CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION code.f()`,
      'INSERT INTO items VALUES (1)',
      'writer',
    ],
    'a trigger behind a WITH': [
      `CREATE FUNCTION code.f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM ${LEAVES}; RETURN NEW; END$$;
       CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION code.f()`,
      'WITH made AS (INSERT INTO items VALUES (1) RETURNING id) SELECT * FROM made',
      'writer',
    ],
    "a trigger's condition": [
      `CREATE TRIGGER c BEFORE UPDATE ON items FOR EACH ROW WHEN (${LEAVES} <> '') EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
      `INSERT INTO items VALUES (1);;UPDATE items SET note = 'x'`,
    ],
    'a cast': [
      `CREATE FUNCTION code.f(items) RETURNS int LANGUAGE sql AS $$SELECT length(${LEAVES})$$; CREATE CAST (items AS int) WITH FUNCTION code.f(items)`,
      'SELECT ROW(1, NULL)::items::int',
    ],
    'a function of the standard form': [
      `CREATE FUNCTION code.f() RETURNS text BEGIN ATOMIC SELECT ${LEAVES}; END`,
      'SELECT code.f()',
      'reader',
    ],
    'a view of the settings': [
      'CREATE VIEW code.v AS SELECT name, setting FROM pg_settings; GRANT ALL ON code.v TO writer',
      `UPDATE code.v SET setting = '8MB' WHERE name = 'work_mem'`,
      'writer',
    ],
  };

  it.each(Object.entries(WAYS))('a session is not changed for the next request by %s', async (_, [make, use, role]) => {
    const one = await lease(pools.owner);
    await one.script(make);
    one.release();
    await run(pools.owner, 'GRANT ALL ON ALL TABLES IN SCHEMA code TO writer');
    for (const pool of role === undefined ? [pools.owner] : [pools.owner, pools[role]]) {
      // The check runs before and after the pool knows which code exists.
      for (let round = 0; round < 3; round++) {
        await run(pools.owner, 'TRUNCATE items');
        await run(pool, ...use.split(';;'));
        expect(await run(pool, FOUND)).toEqual(CLEAN);
        await run(pools.owner, 'TRUNCATE items');
        await run(pool, 'BEGIN', ...use.split(';;'), 'COMMIT');
        expect(await run(pool, FOUND)).toEqual(CLEAN);
      }
    }
    await run(pools.owner, 'DROP TRIGGER IF EXISTS t ON items', 'DROP TRIGGER IF EXISTS c ON items');
  });

  it('a session keeps no state that a function can leave', async () => {
    const one = await lease(pools.owner);
    await one.script(`CREATE FUNCTION code.leaves() RETURNS void LANGUAGE plpgsql AS $$BEGIN
      PERFORM set_config('app.tenant', 'other', false), set_config('role', 'reader', false);
      PERFORM pg_advisory_lock(7), pg_advisory_lock_shared(8), setseed(0.5), nextval('numbered_id_seq');
      EXECUTE 'LISTEN gossip'; EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1';
      EXECUTE 'CREATE TEMP TABLE left_behind (i int)'; EXECUTE 'PREPARE mine AS SELECT 1';
      END$$; ALTER SEQUENCE numbered_id_seq OWNED BY NONE`);
    await one.script(
      'CREATE OR REPLACE FUNCTION code.calls() RETURNS void LANGUAGE sql SECURITY INVOKER AS $$SELECT code.leaves()$$',
    );
    one.release();
    const seeded = await run(pools.owner, 'SELECT setseed(0.5)', 'SELECT random()');
    for (const texts of [
      ['SELECT code.calls()'],
      ['BEGIN', 'SELECT code.calls()', 'ROLLBACK'],
      ['BEGIN', 'SELECT code.calls()'],
    ]) {
      await run(pools.owner, ...texts).catch(() => undefined);
      expect(await run(pools.owner, FOUND)).toEqual(CLEAN);
      expect(await run(pools.owner, 'SELECT random()')).not.toEqual(seeded);
      await expect(run(pools.owner, 'SELECT lastval()')).rejects.toMatchObject({ code: '55000' });
    }
  });

  it('a session keeps no state of a statement that failed', async () => {
    const texts = ['SELECT pg_advisory_lock(9), 1 / (random() * 0)::int', 'SELECT pg_try_advisory_lock(9); SELECT 1/0'];
    for (const text of texts) {
      const one = await lease(pools.reader);
      await expect(one.script(text)).rejects.toMatchObject({ code: '22012' });
      one.release();
      expect(await run(pools.reader, FOUND)).toEqual(CLEAN);
    }
  });

  it('a session is not changed by the settings that a statement’s text writes to', async () => {
    await run(pools.reader, `UPDATE pg_settings SET setting = '8MB' WHERE name = 'work_mem'`);
    expect(await run(pools.reader, FOUND)).toEqual(CLEAN);
  });

  it('a session that is reset keeps its prepared statements', async () => {
    const one = await lease(pools.owner);
    await one.script('CREATE FUNCTION code.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$');
    one.release();
    const text = 'SELECT code.f() AS kept';
    for (let i = 0; i < 4; i++) await run(pools.owner, text);
    expect(await run(pools.owner, `SELECT count(*) FROM pg_prepared_statements WHERE statement = '${text}'`)).toEqual([
      ['1'],
    ]);
  });

  it('a session is not reset where no code can have changed it', async () => {
    const one = await lease(pools.owner);
    // This code cannot change a session: functions of extensions and of Postgres, plain views, checks and generated
    // columns.
    await one.script(`CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS pg_trgm;
      CREATE TYPE code.mood AS ENUM ('sad', 'ok'); CREATE TYPE code.span AS RANGE (subtype = float8);
      CREATE TABLE code.t (id serial PRIMARY KEY, at timestamptz DEFAULT now(), mail citext CHECK (mail <> ''), n int, m int GENERATED ALWAYS AS (n * 2) STORED);
      CREATE VIEW code.v AS SELECT id, lower(mail::text) AS mail FROM code.t`);
    one.release();
    // The first session is given back before the pool has asked which code exists.
    await run(pools.owner, 'SELECT 1');
    await run(pools.owner, 'SELECT 1');
    const [before, asked] = [resets, questions];
    const texts = [
      'SELECT * FROM code.v',
      `INSERT INTO code.t (mail, n) VALUES ('a', 1)`,
      `SELECT similarity('a', 'b')`,
    ];
    for (let i = 0; i < 20; i++) for (const text of texts) await run(pools.owner, text);
    expect([resets, questions]).toEqual([before, asked]);
  });

  it('a session is reset only after writes where the only code is triggers', async () => {
    const one = await lease(pools.owner);
    await one.script(`CREATE FUNCTION code.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note := now(); RETURN NEW; END$$;
      CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION code.touch()`);
    one.release();
    await run(pools.owner, 'SELECT 1');
    await run(pools.owner, 'SELECT 1');
    const before = resets;
    for (let i = 0; i < 5; i++) await run(pools.owner, 'SELECT note FROM items');
    expect(resets).toBe(before);
    await run(pools.owner, `INSERT INTO items VALUES (5)`);
    expect(resets).toBe(before + 1);
    await run(pools.owner, 'DROP TRIGGER t ON items');
  });

  it('a session is reset for code that another connection has created', async () => {
    await run(pools.reader, 'SELECT 1');
    await run(pools.reader, 'SELECT 1');
    const one = await lease(pools.owner);
    await one.script(`CREATE FUNCTION code.f() RETURNS text LANGUAGE sql AS $$SELECT ${LEAVES}$$`);
    one.release();
    await run(pools.reader, 'SELECT code.f()');
    expect(await run(pools.reader, FOUND)).toEqual(CLEAN);
  });
});

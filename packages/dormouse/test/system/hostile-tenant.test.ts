import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadClient } from '../support/clients.ts';
import { membersOf } from '../support/instance-faults.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema } from '../support/push-schema.ts';
import { recordPlan } from '../support/recorded-plan.ts';
import { readWholeLog, type StreamSource } from '../support/stream-reader.ts';
import { until } from '../support/until.ts';

// A hostile tenant tries to take more than the tenant's keys allow: the machine, the parts of the database that belong
// to Dormouse, the rights of another key, and the connections that other clients need.

let platform: Platform;
let database: DatabaseUrls;
let source: StreamSource;
const keys = new Map<string, DatabaseUrls>();
let mark = 0;

beforeAll(async () => {
  platform = await startPlatform({ flags: ['--suspend-after', '60s'] });
  database = await platform.createDatabase('hostile');
  await pushSchema(database.postgresUrl, 7);
  keys.set('owner', database);
  for (const role of ['writer', 'reader']) {
    keys.set(role, await platform.json<DatabaseUrls>('key', 'create', 'hostile', '--role', role));
  }
  source = { base: () => platform.http, apiKey: database.apiKey as string, table: 'public.samples' };
});
afterAll(async () => {
  await platform?.stop();
});

async function connected<T>(
  role: string,
  work: (client: pg.Client) => Promise<T>,
  more: pg.ClientConfig = {},
): Promise<T> {
  const client = new pg.Client({ connectionString: keys.get(role)?.postgresUrl, ...more });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** The SQLSTATE that a statement ends with, or `done`. */
function outcome(client: pg.Client, sql: string): Promise<string> {
  return client.query(sql).then(
    () => 'done',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
}

/** Runs a statement as Dormouse's superuser, over the private socket that no tenant reaches. */
async function asSuperuser(sql: string): Promise<pg.QueryResult> {
  const host = join(platform.data, 'databases', database.id, 'run');
  return connected('owner', (client) => client.query(sql), {
    ...{ connectionString: undefined, host, port: 5432 },
    ...{ user: 'dormouse', database: 'template1' },
  });
}

/**
 * Writes a row as the owner and waits until its event is in the log: then capture works, and every earlier change is in
 * the log too.
 */
async function stillCaptured(): Promise<void> {
  const text = `mark-${++mark}`;
  await connected('owner', (client) => client.query('INSERT INTO samples (text) VALUES ($1)', [text]));
  await until(async () => (await readWholeLog(source)).some((event) => event.text === text), { what: 'its event' });
}

const DENIED = '42501';

describe('the owner', () => {
  it.each<[string, readonly string[]]>([
    [
      'refused every statement that would make it a superuser or another role',
      [
        'ALTER ROLE owner SUPERUSER',
        'ALTER ROLE owner CREATEROLE',
        'ALTER ROLE owner REPLICATION',
        'ALTER ROLE owner BYPASSRLS',
        'ALTER ROLE owner NOLOGIN',
        'ALTER ROLE owner CONNECTION LIMIT 0',
        "ALTER ROLE reader VALID UNTIL '2001-01-01'",
        'ALTER ROLE writer SUPERUSER',
        'ALTER ROLE dormouse PASSWORD NULL',
        'ALTER ROLE reader RENAME TO other',
        'ALTER ROLE reader SET work_mem = 64',
        'DROP ROLE reader',
        'CREATE ROLE evil SUPERUSER LOGIN',
        'GRANT dormouse TO owner',
        'GRANT pg_write_server_files TO owner',
        'GRANT owner TO reader',
        'SET ROLE dormouse',
        'SET ROLE writer',
        'SET SESSION AUTHORIZATION dormouse',
        'SET SESSION AUTHORIZATION reader',
        'REASSIGN OWNED BY dormouse TO owner',
        'DROP OWNED BY dormouse',
        'ALTER DEFAULT PRIVILEGES FOR ROLE dormouse GRANT ALL ON TABLES TO owner',
      ],
    ],
    [
      'refused access to the files and programs of the machine',
      [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY samples FROM PROGRAM 'id'",
        "COPY samples FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/dormouse-hostile'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_stat_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/dormouse-hostile')",
        "CREATE TABLESPACE evil LOCATION '/tmp'",
        "CREATE FUNCTION evil() RETURNS int LANGUAGE c AS '/tmp/evil', 'evil'",
        "CREATE FUNCTION evil() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
        "CREATE FUNCTION evil() RETURNS int LANGUAGE c AS '$libdir/dblink', 'dblink_connect'",
        "LOAD '/tmp/evil'",
        "LOAD 'plpgsql'",
        'CREATE FOREIGN DATA WRAPPER evil',
        "COPY (SELECT 1) TO '/dev/null'",
        "COPY samples (text) FROM 'PG_VERSION'",
        'SELECT pg_ls_logdir()',
        'SELECT pg_ls_waldir()',
        'SELECT pg_ls_tmpdir()',
        'SELECT pg_current_logfile()',
        'SELECT * FROM pg_hba_file_rules',
        'SELECT * FROM pg_file_settings',
        "SELECT current_setting('data_directory')",
      ],
    ],
    [
      'refused the administration of the server',
      [
        'ALTER SYSTEM SET fsync = off',
        "ALTER SYSTEM SET archive_command = 'id'",
        "SET session_preload_libraries = 'evil'",
        "ALTER ROLE owner SET session_preload_libraries = 'evil'",
        'SET session_replication_role = replica',
        'SET event_triggers = off',
        "SET log_statement = 'all'",
        'SET temp_file_limit = -1',
        "SET log_min_messages = 'debug5'",
        'SET log_min_duration_statement = 0',
        "SET log_error_verbosity = 'verbose'",
        'SET log_temp_files = 0',
        'SET log_lock_waits = on',
        'ALTER ROLE owner RESET log_min_messages',
        "SET dynamic_library_path = '/tmp'",
        'SET allow_system_table_mods = on',
        'SET zero_damaged_pages = on',
        'SET ignore_checksum_failure = on',
        'SET track_activities = off',
        'SET lo_compat_privileges = on',
        "SET backtrace_functions = 'evil'",
        'GRANT SET ON PARAMETER log_statement TO owner',
        'BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE',
        'ROLLBACK; ALTER ROLE ALL SET work_mem = 64',
        'ALTER DATABASE template1 SET work_mem = 64',
        'SELECT pg_promote()',
        "SELECT pg_create_restore_point('evil')",
        'SELECT pg_reload_conf()',
        'SELECT pg_rotate_logfile()',
        'SELECT pg_switch_wal()',
        "SELECT pg_backup_start('evil')",
        'SELECT pg_stat_reset()',
        'CHECKPOINT',
        'SELECT * FROM pg_authid',
        'SELECT * FROM pg_shadow',
        "UPDATE pg_class SET relname = 'evil' WHERE relname = 'samples'",
        'ALTER DATABASE template1 OWNER TO owner',
        'CREATE FUNCTION pg_catalog.evil() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
      ],
    ],
    [
      'refused the ownership of the main database',
      [
        'ALTER DATABASE postgres RENAME TO old',
        'DROP DATABASE postgres',
        'DROP DATABASE postgres WITH (FORCE)',
        'ALTER DATABASE postgres OWNER TO owner',
        "COMMENT ON DATABASE postgres IS 'evil'",
        "ALTER DATABASE postgres SET search_path = 'evil'",
        'ALTER DATABASE postgres RESET ALL',
        'ALTER ROLE ALL IN DATABASE postgres SET work_mem = 64',
        'ALTER DATABASE postgres CONNECTION LIMIT 0',
        'ALTER DATABASE postgres ALLOW_CONNECTIONS false',
        'ALTER DATABASE postgres IS_TEMPLATE true',
        'ALTER DATABASE postgres SET TABLESPACE pg_default',
        'ALTER DATABASE postgres REFRESH COLLATION VERSION',
        "SECURITY LABEL ON DATABASE postgres IS 'evil'",
        'CREATE DATABASE evil TEMPLATE postgres',
        'ALTER DATABASE template1 RENAME TO old',
        "REVOKE CONNECT ON DATABASE postgres FROM dormouse_replication CASCADE; SELECT 1/(SELECT count(*) FROM pg_database WHERE datname = current_database() AND datacl::text NOT LIKE '%dormouse_replication=c%')",
      ],
    ],
    [
      'refused control of the roles and replication slots that capture its changes, and creates none of its own',
      [
        'ALTER ROLE dormouse_replication SUPERUSER',
        'ALTER ROLE dormouse_maintenance NOLOGIN',
        'ALTER ROLE dormouse_replication SET search_path = evil',
        'ALTER ROLE dormouse_maintenance IN DATABASE postgres SET role = owner',
        'GRANT dormouse_maintenance TO owner',
        'GRANT owner TO dormouse_maintenance',
        'SET ROLE dormouse_maintenance',
        'SET SESSION AUTHORIZATION dormouse_replication',
        'DROP ROLE dormouse_replication',
        'CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION no_function()',
        'CREATE EVENT TRIGGER evil ON login EXECUTE FUNCTION no_function()',
        'CREATE PUBLICATION evil FOR ALL TABLES',
        "CREATE SUBSCRIPTION evil CONNECTION 'host=/tmp' PUBLICATION evil",
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots',
        'SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots',
        'SELECT pg_logical_slot_get_changes(slot_name, NULL, 1) FROM pg_replication_slots',
        "SELECT pg_create_logical_replication_slot('evil', 'pgoutput')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'dormouse%'",
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'dormouse%'",
        "SELECT pg_create_physical_replication_slot('evil')",
        "SELECT pg_copy_logical_replication_slot(slot_name, 'evil') FROM pg_replication_slots",
        'SELECT pg_logical_slot_peek_changes(slot_name, NULL, 1) FROM pg_replication_slots',
        "SELECT pg_replication_origin_create('evil')",
        'CREATE PUBLICATION evil FOR TABLES IN SCHEMA public',
        'UPDATE pg_authid SET rolsuper = true',
        'DELETE FROM pg_proc',
      ],
    ],
  ])('the owner is %s', async (_, attempts) => {
    // LOAD and similar statements have codes of their own, and so has a setting that needs a restart. The security
    // label has no provider: 22023. After a REVOKE that revoked nothing, its SELECT divides by zero: 22012.
    const refusals = [DENIED, '55P02', '0LP01', '42809', '22023', '22012'];
    await connected('owner', async (client) => {
      const succeeded: string[] = [];
      for (const sql of attempts) if (!refusals.includes(await outcome(client, sql))) succeeded.push(sql);
      expect(succeeded).toEqual([]);
    });
    await stillCaptured();
  });

  it('the owner can create the extensions that Postgres calls trusted, and no others', async () => {
    await connected('owner', async (client) => {
      const { rows } = await client.query<{ name: string; trusted: boolean }>(
        'SELECT name, bool_or(trusted) AS trusted FROM pg_available_extension_versions GROUP BY name',
      );
      expect(rows.length).toBeGreaterThan(30);
      const allowed: string[] = [];
      for (const { name } of rows) {
        await client.query('BEGIN');
        if ((await outcome(client, `CREATE EXTENSION IF NOT EXISTS "${name}" CASCADE`)) === 'done') allowed.push(name);
        await client.query('ROLLBACK');
      }
      const trusted = rows.filter((row) => row.trusted).map((row) => row.name);
      expect(allowed.filter((name) => !trusted.includes(name))).toEqual([]);
      expect(allowed).toContain('pgcrypto');
    });
  });

  it('the owner cannot open a session as another role by any startup parameter', async () => {
    const refused = async (more: pg.ClientConfig): Promise<string> =>
      connected(
        'owner',
        (client) => client.query('SELECT current_user, session_user').then(({ rows }) => JSON.stringify(rows)),
        more,
      ).catch((error: { code?: string }) => error.code ?? String(error));
    for (const options of [
      '-c role=dormouse',
      '--role=dormouse',
      '-c session_authorization=dormouse',
      '-c\\ role=dormouse',
      '-crole=dormouse',
    ]) {
      expect(await refused({ options })).toMatch(/42501|22023|0A000|42704|08P01/);
    }
    const as = new URL(database.postgresUrl);
    as.username = 'dormouse';
    const client = new pg.Client({ connectionString: as.href });
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
  });

  it('code of the owner never runs as Dormouse’s superuser, whatever names the owner makes resolve first', async () => {
    await connected('owner', async (client) => {
      await client.query(`
        CREATE SCHEMA evil;
        CREATE TABLE evil.booty (who text);
        GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.booty TO PUBLIC;
        CREATE FUNCTION evil.spy() RETURNS void LANGUAGE plpgsql AS $$
          BEGIN IF current_user = 'dormouse' THEN INSERT INTO evil.booty VALUES (current_user); END IF; END $$;
        CREATE FUNCTION evil.eq(name, text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN PERFORM evil.spy(); RETURN true; END$$;
        CREATE FUNCTION evil.eq(text, text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN PERFORM evil.spy(); RETURN true; END$$;
        CREATE FUNCTION evil.eq(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$BEGIN PERFORM evil.spy(); RETURN true; END$$;
        CREATE OPERATOR evil.= (leftarg = name, rightarg = text, function = evil.eq);
        CREATE OPERATOR evil.= (leftarg = text, rightarg = text, function = evil.eq);
        CREATE OPERATOR evil.= (leftarg = oid, rightarg = oid, function = evil.eq);
        CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM evil.spy(); RETURN ''; END$$;
        CREATE FUNCTION evil.count(anyelement) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN PERFORM evil.spy(); RETURN 1; END$$;
        ALTER ROLE owner SET search_path = evil, pg_catalog, public;
      `);
      // Earlier versions made the owner own the main database. Settings that an owner made then are kept, so this test
      // sets one.
      await asSuperuser('ALTER DATABASE postgres SET search_path = evil, pg_catalog, public');
      // These names would run as code if a statement contained them unquoted.
      await client.query(`CREATE TABLE public."t""; INSERT INTO evil.booty VALUES ('pasted'); --" (a int)`);
      await client.query(
        `CREATE SCHEMA "s'); SELECT evil.spy(); --"; CREATE TABLE "s'); SELECT evil.spy(); --".t (a int)`,
      );
    });
    for (const _ of [1, 2]) {
      await platform.cli('db', 'stop', 'hostile');
      await stillCapturedIn('public');
    }
    await connected('owner', async (client) => {
      expect((await client.query('SELECT * FROM evil.booty')).rows).toEqual([]);
      await asSuperuser('ALTER DATABASE postgres RESET search_path');
      await client.query('ALTER ROLE owner RESET search_path');
      await client.query('SET search_path = public');
      await client.query(
        `DROP SCHEMA evil CASCADE; DROP TABLE public."t""; INSERT INTO evil.booty VALUES ('pasted'); --"`,
      );
    });
    await stillCaptured();
  });

  /** Does the same as `stillCaptured`, but names the schema of the table. */
  async function stillCapturedIn(schema: string): Promise<void> {
    const text = `mark-${++mark}`;
    await connected('owner', (client) => client.query(`INSERT INTO ${schema}.samples (text) VALUES ($1)`, [text]));
    await until(async () => (await readWholeLog(source)).some((event) => event.text === text), { what: 'its event' });
  }

  it('the owner gains no rights by an attempt to give the main database’s name to another database, at any moment', async () => {
    // The trap holds the objects that capture of earlier versions read in the database that it took for the main one.
    const [trap, aside] = ['trap', 'aside'].map((name) => {
      const url = new URL(database.postgresUrl);
      url.pathname = `/${name}`;
      return { connectionString: url.href };
    }) as [pg.ClientConfig, pg.ClientConfig];
    await connected('owner', (client) => client.query('CREATE DATABASE trap'));
    await connected('owner', (client) => client.query('CREATE DATABASE aside'));
    await connected(
      'owner',
      (client) =>
        client.query(`
          CREATE SCHEMA dormouse; CREATE TABLE dormouse.full_identity (relation oid PRIMARY KEY); CREATE TABLE booty (who name);
          CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.booty VALUES (current_user); EXECUTE 'ALTER ROLE owner SUPERUSER'; RETURN NULL; END $$;
          CREATE TRIGGER spring BEFORE INSERT OR UPDATE OR DELETE ON dormouse.full_identity
            FOR EACH STATEMENT EXECUTE FUNCTION spring();
          CREATE FUNCTION index_spring(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
            IF session_user <> 'owner' THEN INSERT INTO public.booty VALUES (current_user); END IF; RETURN $1; END $$;
          CREATE TABLE rows (n int); CREATE INDEX ON rows (index_spring(n)); INSERT INTO rows SELECT generate_series(1, 3000);
          CREATE PUBLICATION dormouse`),
      trap,
    );
    await connected(
      'owner',
      async (client) => {
        const swap = 'BEGIN; ALTER DATABASE postgres RENAME TO old; ALTER DATABASE trap RENAME TO postgres; COMMIT';
        for (const rests of [true, true, false]) {
          if (rests) await platform.cli('db', 'suspend', 'hostile');
          // The first statement after a rest runs before capture opens its stream again.
          expect(await outcome(client, swap)).toBe(DENIED);
          await outcome(client, 'ROLLBACK');
        }
      },
      aside,
    );
    await platform.cli('db', 'stop', 'hostile');
    await stillCaptured();
    const { rows } = await connected('owner', (client) =>
      client.query(
        "SELECT rolsuper, (SELECT oid::int FROM pg_database WHERE datname = 'postgres') AS main FROM pg_roles WHERE rolname = 'owner'",
      ),
    );
    expect(rows).toEqual([{ rolsuper: false, main: 5 }]);
    await connected('owner', (client) => client.query('DROP DATABASE trap WITH (FORCE)'));
    await connected('owner', (client) => client.query('DROP DATABASE aside WITH (FORCE)'));
  });

  it('the database stays reachable and captured, whatever settings the owner gives it', async () => {
    await connected('owner', async (client) => {
      for (const setting of [
        "local_preload_libraries = 'nothing'",
        "TimeZone = 'Asia/Kolkata'",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "client_encoding = 'LATIN1'",
        'default_transaction_read_only = on',
        "default_transaction_isolation = 'serializable'",
        'standard_conforming_strings = off',
        'extra_float_digits = -5',
        'lock_timeout = 1',
        'idle_session_timeout = 200',
        'row_security = off',
      ]) {
        await client.query(`ALTER ROLE owner IN DATABASE postgres SET ${setting}`);
        await asSuperuser(`ALTER DATABASE postgres SET ${setting}`);
      }
    });
    await platform.cli('db', 'stop', 'hostile');
    const at = '2026-03-01T12:30:00.123Z';
    const plain = '2026-12-25T08:00:00.5Z';
    const module = await loadClient(7);
    const client = new module.PrismaClient({ accelerateUrl: database.prismaUrl });
    // A read-only default is a setting that the platform honours; the owner who made it can take it back.
    await connected('owner', async (session) => {
      await session.query('SET default_transaction_read_only = off');
      await session.query('ALTER ROLE owner IN DATABASE postgres RESET default_transaction_read_only');
    });
    await asSuperuser(
      'SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only',
    );
    await platform.cli('db', 'stop', 'hostile');
    const values = {
      timestamptz: new Date(at),
      timestamp: new Date(plain),
      bytes: new Uint8Array([0, 255, 92]),
      float: 0.1 + 0.2,
      text: 'naïve ☂',
    };
    const made = await client.sample.create({ data: values });
    expect(made).toMatchObject(values);
    expect(await client.sample.findUnique({ where: { id: made.id } })).toMatchObject(values);
    await client.$disconnect();
    const reply = await until(
      async () => {
        const text = await (
          await fetch(`${platform.http}/streams/all?offset=-1`, {
            headers: { authorization: `Bearer ${database.apiKey}` },
          })
        ).text();
        return text.includes('naïve') && text;
      },
      { what: 'its event' },
    );
    const event = JSON.parse(reply).find((each: { value?: { id?: string } | null }) => each.value?.id === made.id);
    expect(event.value).toMatchObject({ bytes: 'AP9c', float: 0.1 + 0.2, text: 'naïve ☂' });
    expect(new Date(event.value.timestamptz).toISOString()).toBe(at);
    expect(event.value.timestamp).toBe('2026-12-25T08:00:00.5');
    await connected('owner', (session) => session.query('ALTER ROLE owner IN DATABASE postgres RESET ALL'));
    await asSuperuser('ALTER DATABASE postgres RESET ALL');
    await stillCaptured();
  });

  it('the owner can end backends of its own role only, and queries over HTTP go on', async () => {
    const plan = await recordPlan(await loadClient(7), (client) => client.category.findMany());
    const ask = async (): Promise<number> =>
      (
        await fetch(`${platform.http}/query`, {
          method: 'POST',
          headers: { authorization: `Bearer ${database.apiKey}` },
          body: plan,
        })
      ).status;
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([200, 200, 200]);
    for (let round = 0; round < 5; round++) {
      const ended = await connected('owner', (client) =>
        client.query(
          "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'owner' AND pid <> pg_backend_pid()",
        ),
      );
      expect(ended.rowCount).toBeGreaterThan(0);
      expect(await ask()).toBe(200);
    }
    await stillCaptured();
  });

  it('an owner that fills every TCP connection of the database leaves the connections of HTTP and of capture free', async () => {
    const plan = await recordPlan(await loadClient(7), (client) => client.category.findMany());
    const clients: pg.Client[] = [];
    let refusal: { code?: string; message?: string } | undefined;
    try {
      while (refusal === undefined && clients.length < 100) {
        const client = new pg.Client({ connectionString: database.postgresUrl });
        client.on('error', () => {});
        await client.connect().then(
          () => clients.push(client),
          (error) => {
            refusal = error;
          },
        );
      }
      expect(clients.length).toBe(20);
      expect(refusal).toMatchObject({ code: '53300', message: expect.stringMatching(/--tcp-connections/) });
      await Promise.all(clients.map((client) => client.query('BEGIN; SELECT 1')));
      const replies = await Promise.all(
        ['owner', 'writer', 'reader'].flatMap((role) =>
          Array.from({ length: 15 }, () =>
            fetch(`${platform.http}/query`, {
              method: 'POST',
              headers: { authorization: `Bearer ${keys.get(role)?.apiKey}` },
              body: plan,
            }).then((reply) => reply.status),
          ),
        ),
      );
      expect(new Set(replies)).toEqual(new Set([200]));
      await clients[0]?.query("INSERT INTO samples (text) VALUES ('crowded'); COMMIT");
      await until(async () => (await readWholeLog(source)).some((event) => event.text === 'crowded'), {
        what: 'its event',
      });
    } finally {
      await Promise.all(clients.map((client) => client.end().catch(() => {})));
    }
  });

  it('an owner that takes names that Dormouse has used does not stop capture', async () => {
    await connected('owner', async (client) => {
      // Earlier versions of Dormouse read publications of these names; now the names have no meaning.
      await client.query('CREATE PUBLICATION dormouse_listed FOR TABLE samples (id); CREATE PUBLICATION dormouse');
      await client.query('CREATE SCHEMA dormouse; CREATE TABLE dormouse.full_identity (relation oid)');
      await client.query('CREATE TABLE squat (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)');
      await client.query('INSERT INTO squat VALUES (1)');
      await client.query('UPDATE squat SET a = 2').catch(() => {});
      await client.query('CREATE PUBLICATION evil FOR TABLE samples (id)');
      await client.query("INSERT INTO samples (text) VALUES ('published twice')");
      await client.query('DROP PUBLICATION evil; DROP TABLE squat');
    });
    await stillCaptured();
    await platform.cli('db', 'stop', 'hostile');
    await stillCaptured();
    await connected('owner', async (client) => {
      const { rows } = await client.query('SELECT pubname FROM pg_publication ORDER BY 1');
      expect(rows).toEqual([{ pubname: 'dormouse' }, { pubname: 'dormouse_listed' }]);
      await client.query('DROP PUBLICATION dormouse, dormouse_listed; DROP SCHEMA dormouse CASCADE');
    });
  });
});

describe('every role', () => {
  const ROLES = ['owner', 'writer', 'reader'] as const;

  it.each(ROLES)('the role %s has no role to return to and can become no other role', async (role) => {
    await connected(role, async (client) => {
      const who = async (): Promise<unknown> =>
        (
          await client.query(
            'SELECT session_user AS s, current_user AS c, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super',
          )
        ).rows[0];
      for (const sql of [
        'RESET ROLE',
        'RESET ALL',
        'RESET SESSION AUTHORIZATION',
        'SET SESSION AUTHORIZATION DEFAULT',
        'SET ROLE NONE',
        'DISCARD ALL',
        'DISCARD PLANS',
        `SELECT set_config('role', 'none', false)`,
        `SET ROLE ${role}`,
      ]) {
        expect([sql, await outcome(client, sql)]).toEqual([sql, 'done']);
        expect([sql, await who()]).toEqual([sql, { s: role, c: role, super: false }]);
      }
      for (const other of ['dormouse', ...ROLES.filter((one) => one !== role)]) {
        for (const sql of [
          `SET ROLE ${other}`,
          `SET SESSION AUTHORIZATION ${other}`,
          `SELECT set_config('role', '${other}', false)`,
          `SELECT set_config('session_authorization', '${other}', false)`,
          `SET LOCAL ROLE ${other}`,
          `DO $$ BEGIN SET LOCAL ROLE ${other}; END $$`,
          `GRANT ${other} TO ${role}`,
          `ALTER ROLE ${other} SET work_mem = 64`,
        ]) {
          expect([sql, await outcome(client, sql)]).toEqual([sql, DENIED]);
        }
      }
      expect(await outcome(client, "SELECT set_config('is_superuser', 'on', false)")).toBe('55P02');
      for (const group of ['pg_signal_backend', 'pg_read_server_files', 'pg_execute_server_program', 'pg_maintain']) {
        expect(await outcome(client, `GRANT ${group} TO ${role}`)).toBe(DENIED);
      }
    });
  });

  it('raw SQL of a Prisma client runs as the role of its key, also after statements that try to change the role', async () => {
    const module = await loadClient(7);
    for (const role of ROLES) {
      const client = new module.PrismaClient({ accelerateUrl: keys.get(role)?.prismaUrl });
      const who = (): Promise<unknown> =>
        client.$queryRawUnsafe('SELECT session_user::text AS s, current_user::text AS c');
      for (const sql of ['RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE NONE', 'RESET ALL']) {
        await client.$executeRawUnsafe(sql).catch(() => {});
        expect(await who()).toEqual([{ s: role, c: role }]);
      }
      for (const sql of [
        'SET ROLE dormouse',
        'SET SESSION AUTHORIZATION dormouse',
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT lo_import('/etc/passwd')",
        'ALTER SYSTEM SET fsync = off',
        "LOAD '/tmp/evil'",
        'CREATE EXTENSION dblink',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'dormouse%'",
      ]) {
        await expect(client.$executeRawUnsafe(sql), `${role}: ${sql}`).rejects.toThrow(
          /42501|permission denied|must be|is not available/,
        );
        expect(await who()).toEqual([{ s: role, c: role }]);
      }
      await client.$disconnect();
    }
    await stillCaptured();
  });

  it.each(ROLES)('messages that the role %s raises go to its client and do not fill the server log', async (role) => {
    const log = join(platform.data, 'databases', database.id, 'postgres.log');
    // A session from before the set-up of capture would have other settings.
    await stillCaptured();
    const before = readFileSync(log, 'utf8').length;
    await connected(role, (client) =>
      client.query("DO $$ BEGIN FOR i IN 1..50 LOOP RAISE LOG 'flood %', repeat('x', 10000); END LOOP; END $$"),
    );
    const after = readFileSync(log, 'utf8');
    expect(after).not.toContain('flood');
    expect(after.length - before).toBeLessThan(50 * 10000);
  });

  it('every role can log in, whatever the owner does from a second database', async () => {
    const second = new URL(database.postgresUrl);
    second.pathname = '/second';
    await connected('owner', (client) => client.query('CREATE DATABASE second'));
    for (const sql of [
      'ALTER DATABASE postgres CONNECTION LIMIT 0',
      'ALTER DATABASE postgres ALLOW_CONNECTIONS false',
      'ALTER DATABASE postgres RENAME TO elsewhere',
      'ALTER DATABASE second RENAME TO postgres',
      'DROP DATABASE postgres WITH (FORCE)',
      'ALTER DATABASE template1 ALLOW_CONNECTIONS false',
    ]) {
      const refused = connected('owner', (client) => outcome(client, sql), { connectionString: second.href });
      // 0A000: a session cannot rename the database that it is connected to.
      expect([sql, await refused]).toEqual([sql, expect.stringMatching(/42501|42P04|0A000/)]);
    }
    // The owner may close a database that it created, to Dormouse too; everything else goes on.
    await connected('owner', (client) => client.query('ALTER DATABASE second ALLOW_CONNECTIONS false'));
    await platform.cli('db', 'stop', 'hostile');
    await until(() => connected('reader', () => Promise.resolve(true)).catch(() => undefined), { what: 'a way in' });
    await stillCaptured();
    await connected('owner', (client) => client.query('DROP DATABASE second'));
  });

  it('the end of a connection ends its statement, even one that catches every cancellation', async () => {
    const running = () =>
      membersOf(join(platform.data, 'databases', database.id)).filter(({ title }) => /reader .* DO\s*$/.test(title));
    const client = new pg.Client({ connectionString: keys.get('reader')?.postgresUrl });
    client.on('error', () => {});
    await client.connect();
    // With this setting the server itself no longer checks whether its client is connected.
    await client.query('SET client_connection_check_interval = 0');
    const work = client
      .query(
        'DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$',
      )
      .catch(() => {});
    await until(() => running().length === 1, { what: 'the loop' });
    (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
    await work;
    await until(() => running().length === 0, { what: 'its end' });
    expect(await connected('reader', async (other) => (await other.query('SELECT 1 AS one')).rows)).toEqual([
      { one: 1 },
    ]);
  });

  it.each(ROLES)('the role %s cannot stop events by a lock on its own settings', async (role) => {
    const streams = () =>
      membersOf(join(platform.data, 'databases', database.id)).filter(({ title }) => title.includes('walsender'));
    await stillCaptured();
    await connected(role, async (client) => {
      await client.query(`ALTER ROLE ${role} SET work_mem = '1MB'`);
      await client.query(`BEGIN; ALTER ROLE ${role} SET work_mem = '2MB'`);
      // When the next stream opens, Dormouse checks its own objects and the role settings that it must reset.
      const before = streams();
      expect(before.length).toBe(1);
      for (const { pid } of before) process.kill(pid, 'SIGTERM');
      await until(() => streams().some(({ pid }) => pid !== before[0]?.pid), { what: 'another stream' });
      await stillCaptured();
      await client.query(`ROLLBACK; ALTER ROLE ${role} RESET work_mem`);
    });
  });
});

describe('a session over HTTP', () => {
  it('a request over HTTP leaves no session state for the next request, whatever its plan contains', async () => {
    const recorded = await recordPlan(await loadClient(7), (client) => client.category.findMany());
    const withSql = (sql: string): string => {
      const plan = JSON.parse(recorded);
      const { args } = plan.plan.args.expr;
      args.fragments = [{ type: 'stringChunk', chunk: sql }];
      return JSON.stringify(plan);
    };
    const send = async (sql: string): Promise<string> =>
      (
        await fetch(`${platform.http}/query`, {
          method: 'POST',
          headers: { authorization: `Bearer ${database.apiKey}` },
          body: withSql(sql),
        })
      ).text();
    const look = `SELECT 1 AS id, concat_ws(' ', current_setting('statement_timeout'), current_setting('search_path'),
      current_setting('client_encoding'), current_setting('default_transaction_read_only'), current_user, pg_is_in_recovery(),
      (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), to_regclass('pg_temp.left_behind')) AS name`;
    const normal = await send(look);
    expect(normal).toContain('UTF8');
    for (const sql of [
      "SELECT 1 AS id, set_config('statement_timeout', '4321', false) AS name",
      `SELECT 1 AS id, "set_config"('statement_timeout', '4321', false) AS name`,
      String.raw`SELECT 1 AS id, U&"set\005fconfig"('statement_timeout', '4321', false) AS name`,
      `SELECT 1 AS id, query_to_xml('SELECT set' || '_config(''statement_timeout'', ''4321'', false)', true, true, '')::text AS name`,
      "SELECT 1 AS id, 'x' AS name INTO TEMP left_behind",
      'SET search_path = nowhere',
      "SET client_encoding = 'LATIN1'",
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
      "DO $$ BEGIN PERFORM set_config('default_transaction_read_only', 'on', false); END $$",
      "SELECT 1 AS id, 'x' || pg_advisory_lock(42)::text AS name",
      'CREATE TEMP TABLE left_behind (v int)',
      'BEGIN',
      'COMMIT',
      'DISCARD ALL',
      'DEALLOCATE ALL',
      'COPY "Category" FROM STDIN',
      'COPY "Category" TO STDOUT',
      'SELECT 1; SELECT 2',
      '',
    ]) {
      await send(sql);
      // A session that was changed is reset after the reply; until then the next request gets another connection.
      await until(async () => (await send(look)) === normal, { what: `nothing left by ${sql}` });
      // When no other request runs, the next request gets the connection that was used last.
      for (let i = 0; i < 3; i++) expect([sql, await send(look)]).toEqual([sql, normal]);
    }
    await stillCaptured();
  });
});

describe('the reader', () => {
  it('the reader cannot write by any means', async () => {
    const state = (client: pg.Client): Promise<unknown> =>
      client
        .query(
          `SELECT (SELECT count(*) FROM samples) AS samples, (SELECT count(*) FROM pg_class) AS relations,
             (SELECT count(*) FROM pg_largeobject_metadata) AS objects, (SELECT count(*) FROM pg_proc) AS functions`,
        )
        .then(({ rows }) => rows);
    const before = await connected('owner', state);
    await connected('reader', async (client) => {
      const succeeded: string[] = [];
      for (const sql of [
        "INSERT INTO samples (text) VALUES ('x')",
        "UPDATE samples SET text = 'x'",
        'DELETE FROM samples',
        'TRUNCATE samples',
        'SELECT * FROM samples FOR UPDATE',
        'DO $$ BEGIN LOCK TABLE samples IN ROW EXCLUSIVE MODE; END $$',
        'COPY samples (text) FROM STDIN',
        'CREATE TABLE evil (v int)',
        'CREATE TEMP TABLE evil (v int)',
        'CREATE SCHEMA evil',
        'CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
        'CREATE PUBLICATION evil',
        'CREATE EXTENSION pgcrypto',
        'CREATE DATABASE evil',
        "SELECT nextval('users_id_seq')",
        "SELECT setval('users_id_seq', 1)",
        'ALTER TABLE samples ADD COLUMN evil int',
        'DROP TABLE samples',
        'SELECT lo_create(0)',
        'SELECT lo_creat(-1)',
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_logical_emit_message(true, 'x', 'x')",
        "SELECT pg_logical_emit_message(false, 'x', 'x'::bytea)",
        "DO $$ BEGIN INSERT INTO samples (text) VALUES ('x'); END $$",
        "WITH made AS (INSERT INTO samples (text) VALUES ('x') RETURNING 1) SELECT * FROM made",
        'ALTER DATABASE postgres SET work_mem = 64',
        'SET ROLE owner',
        'SET SESSION AUTHORIZATION owner',
      ]) {
        if ((await outcome(client, sql)) !== DENIED) succeeded.push(sql);
      }
      expect(succeeded.sort()).toEqual([]);
    });
    const module = await loadClient(7);
    const client = new module.PrismaClient({ accelerateUrl: keys.get('reader')?.prismaUrl });
    await expect(client.sample.create({ data: { text: 'x' } })).rejects.toThrow();
    await expect(client.$executeRawUnsafe("INSERT INTO samples (text) VALUES ('x')")).rejects.toThrow(
      /permission denied/,
    );
    await expect(client.$queryRawUnsafe("SELECT lo_from_bytea(0, 'x')")).rejects.toThrow(/permission denied/);
    expect(await client.sample.count()).toBeGreaterThan(0);
    await client.$disconnect();
    expect(await connected('owner', state)).toEqual(before);
  });

  it('a reader cannot break the role for other readers by settings of the role', async () => {
    await connected('reader', async (client) => {
      await outcome(client, "ALTER ROLE reader SET local_preload_libraries = 'nothing'");
    });
    expect((await connected('reader', (client) => client.query('SELECT count(*) FROM samples'))).rowCount).toBe(1);
    // The other settings are reset whenever the database starts.
    await connected('reader', (client) => client.query("ALTER ROLE reader SET search_path = 'nowhere'"));
    await platform.cli('db', 'stop', 'hostile');
    await until(
      () =>
        connected(
          'reader',
          async (client) => (await client.query('SHOW search_path')).rows[0].search_path !== 'nowhere',
        ),
      { what: 'the reader as he was' },
    );
    const left = await connected('owner', (client) =>
      client.query('SELECT DISTINCT setconfig FROM pg_db_role_setting'),
    );
    expect(left.rows).toEqual([{ setconfig: ['log_min_messages=fatal'] }]);
  });

  it('the rights of the reader are none that a dump would carry to another server', async () => {
    // pg_dump writes the rights that differ from those of a new server.
    const { rows } = await connected('owner', (client) =>
      client.query(
        `SELECT p.proname FROM pg_proc p LEFT JOIN pg_init_privs i ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass
         WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proacl IS DISTINCT FROM i.initprivs`,
      ),
    );
    expect(rows).toEqual([]);
  });
});

describe('the writer', () => {
  it('the writer can change rows, but no tables and no objects of Dormouse', async () => {
    await connected('writer', async (client) => {
      expect(await outcome(client, "INSERT INTO samples (text) VALUES ('by the writer')")).toBe('done');
      const succeeded: string[] = [];
      for (const sql of [
        'CREATE TABLE evil (v int)',
        'CREATE SCHEMA evil',
        'ALTER TABLE samples ADD COLUMN evil int',
        'DROP TABLE samples',
        'CREATE DATABASE evil',
        'CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
        "UPDATE pg_class SET relname = 'evil' WHERE relname = 'samples'",
        'SET ROLE owner',
        'ALTER DATABASE postgres SET work_mem = 64',
      ]) {
        if ((await outcome(client, sql)) !== DENIED) succeeded.push(sql);
      }
      expect(succeeded).toEqual([]);
      // In Postgres, to grant a right that one does not have is a warning, and nothing is granted.
      await client.query('GRANT INSERT ON samples TO reader');
      // A role that may read everything may read this too. It holds no passwords, because keys are never stored in
      // Postgres.
      expect((await client.query('SELECT * FROM pg_authid WHERE rolpassword IS NOT NULL')).rows).toEqual([]);
    });
    expect(await connected('reader', (client) => outcome(client, "INSERT INTO samples (text) VALUES ('x')"))).toBe(
      DENIED,
    );
    await stillCaptured();
  });
});

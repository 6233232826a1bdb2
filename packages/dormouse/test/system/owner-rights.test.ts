import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadClient } from '../support/clients.ts';
import { queryRows, withSession } from '../support/pg-session.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema } from '../support/push-schema.ts';
import { readWholeLog } from '../support/stream-reader.ts';
import { until } from '../support/until.ts';

// What an owner may do in a database beside tables: make roles, extensions and further databases. None of these gives
// the owner further rights.

const DENIED = '42501';
const DOCS = fileURLToPath(new URL('../../../../docs/EXTENSIONS.md', import.meta.url));

let platform: Platform;
const keys = new Map<string, DatabaseUrls>();

beforeAll(async () => {
  platform = await startPlatform({ flags: ['--suspend-after', '60s'] });
  keys.set('owner', await platform.createDatabase('rights'));
  for (const role of ['writer', 'reader']) {
    keys.set(role, await platform.json<DatabaseUrls>('key', 'create', 'rights', '--role', role));
  }
  await pushSchema(url('owner'), 7);
});
afterAll(async () => {
  await platform?.stop();
});

function pgdata(): string {
  return join(platform.data, 'databases', keys.get('owner')?.id as string, 'pgdata');
}

function url(role: string, database = 'postgres'): string {
  const to = new URL(keys.get(role)?.postgresUrl as string);
  to.pathname = `/${database}`;
  return to.href;
}

/** The SQLSTATE that a statement ends with, or `done`. */
function outcome(client: pg.Client, sql: string): Promise<string> {
  return client.query(sql).then(
    () => 'done',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
}

/** The statements that did not end with one of the expected outcomes. */
async function unlike(client: pg.Client, wanted: readonly string[], statements: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const sql of statements) {
    const code = await outcome(client, sql);
    if (!wanted.includes(code)) found.push(`${code}: ${sql}`);
  }
  return found;
}

const as = <T>(role: string, work: (client: pg.Client) => Promise<T>): Promise<T> => withSession(url(role), work);

describe('roles', () => {
  it('roles are made by the owner for grants and policies, and can be assumed by the roles that they are granted to', async () => {
    await as('owner', async (client) => {
      for (const sql of [
        'CREATE ROLE app',
        'CREATE TABLE notes (id int PRIMARY KEY, author text, text text)',
        'ALTER TABLE notes ENABLE ROW LEVEL SECURITY',
        "CREATE POLICY own ON notes TO app USING (author = current_setting('app.author', true))",
        'GRANT SELECT, INSERT ON notes TO app',
        "INSERT INTO notes VALUES (1, 'ada', 'hers'), (2, 'bob', 'his')",
        'GRANT app TO writer, reader',
        'COMMENT ON ROLE app IS $$application$$',
        'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app',
        "ALTER ROLE app SET statement_timeout = '5s'",
      ]) {
        expect([sql, await outcome(client, sql)]).toEqual([sql, 'done']);
      }
      // The session assumes the role, also for one transaction, and returns to its own role.
      await client.query("BEGIN; SET LOCAL ROLE app; SET LOCAL app.author = 'ada'");
      expect((await client.query('SELECT current_user AS who, text FROM notes')).rows).toEqual([
        { who: 'app', text: 'hers' },
      ]);
      await client.query('COMMIT');
      expect((await client.query('SELECT current_user AS who, count(*)::int FROM notes')).rows).toEqual([
        { who: 'owner', count: 2 },
      ]);
    });
    for (const role of ['writer', 'reader']) {
      await as(role, async (client) => {
        // The policies of a role hold for each of its members; once the role is assumed, only its own rights count.
        expect((await client.query('SELECT FROM notes')).rowCount).toBe(0);
        await client.query("SET app.author = 'bob'; SET ROLE app");
        expect((await client.query('SELECT current_user AS who, text FROM notes')).rows).toEqual([
          { who: 'app', text: 'his' },
        ]);
        expect(await outcome(client, 'SELECT * FROM samples')).toBe(DENIED);
        await client.query('RESET ROLE');
        expect((await client.query('SELECT current_user AS who')).rows).toEqual([{ who: role }]);
      });
    }
  });

  it('roles can be assumed in a transaction of a Prisma client over HTTP, until the transaction ends', async () => {
    const module = await loadClient(7);
    for (const role of ['owner', 'writer', 'reader']) {
      const client = new module.PrismaClient({ accelerateUrl: keys.get(role)?.prismaUrl });
      const [, , rows] = await client.$transaction([
        client.$executeRawUnsafe('SET LOCAL ROLE app'),
        client.$executeRawUnsafe("SELECT set_config('app.author', 'ada', true)"),
        client.$queryRawUnsafe('SELECT current_user::text AS who, text FROM notes'),
      ]);
      expect(rows).toEqual([{ who: 'app', text: 'hers' }]);
      expect(await client.$queryRawUnsafe('SELECT current_user::text AS who')).toEqual([{ who: role }]);
      await client.$disconnect();
    }
  });

  it('roles give no access to anything that the owner does not own', async () => {
    const OTHERS = ['owner', 'writer', 'reader', 'dormouse', 'dormouse_maintenance', 'dormouse_replication'];
    const PREDEFINED = await queryRows(url('owner'), "SELECT rolname FROM pg_roles WHERE rolname ^@ 'pg_'");
    expect(PREDEFINED.length).toBeGreaterThan(14);
    await as('owner', async (client) => {
      await client.query('CREATE ROLE rung CREATEROLE CREATEDB LOGIN');
      for (const who of ['NONE', 'rung']) {
        await client.query(`SET ROLE ${who}`);
        expect(
          await unlike(
            client,
            // Reserved names, roles in use, and roles that may have no members are refused with codes of their own.
            [DENIED, '42939', '0A000', '55006', '0LP01', '2BP01'],
            [
              ...['SUPERUSER', 'REPLICATION', 'BYPASSRLS'].flatMap((attribute) => [
                `CREATE ROLE evil ${attribute}`,
                `ALTER ROLE rung ${attribute}`,
                `ALTER ROLE app ${attribute}`,
                `ALTER ROLE owner ${attribute}`,
              ]),
              ...PREDEFINED.map(([group]) => `GRANT ${group} TO app`),
              ...PREDEFINED.map(([group]) => `CREATE ROLE evil IN ROLE ${group}`),
              ...PREDEFINED.map(([group]) => `ALTER GROUP ${group} ADD USER app`),
              ...OTHERS.flatMap((other) => [
                `GRANT ${other} TO app`,
                `GRANT ${other} TO app WITH ADMIN OPTION`,
                `CREATE ROLE evil IN ROLE ${other}`,
                `ALTER GROUP ${other} ADD USER app`,
                `ALTER ROLE ${other} NOLOGIN`,
                `ALTER ROLE ${other} CREATEROLE`,
                `ALTER ROLE ${other} CONNECTION LIMIT 0`,
                `ALTER ROLE ${other} VALID UNTIL '2001-01-01'`,
                `ALTER ROLE ${other} RENAME TO evil`,
                `DROP ROLE ${other}`,
                `COMMENT ON ROLE ${other} IS 'evil'`,
              ]),
              ...OTHERS.filter((other) => other !== 'owner').flatMap((other) => [
                `SET ROLE ${other}`,
                `ALTER ROLE ${other} PASSWORD 'evil'`,
                `ALTER ROLE ${other} SET work_mem = 64`,
                `ALTER ROLE ${other} IN DATABASE postgres SET work_mem = 64`,
                `DROP OWNED BY ${other}`,
                `REASSIGN OWNED BY ${other} TO app`,
                `REASSIGN OWNED BY app TO ${other}`,
                `ALTER TABLE notes OWNER TO ${other}`,
                `CREATE DATABASE evil OWNER ${other}`,
                `CREATE SCHEMA evil AUTHORIZATION ${other}`,
                `ALTER DEFAULT PRIVILEGES FOR ROLE ${other} GRANT ALL ON TABLES TO app`,
              ]),
              'REVOKE pg_read_all_data FROM reader',
              'REVOKE pg_write_all_data FROM writer',
              'ALTER ROLE ALL SET work_mem = 64',
              'SET SESSION AUTHORIZATION app',
              'SET SESSION AUTHORIZATION dormouse',
              "ALTER ROLE app SET session_preload_libraries = 'evil'",
              "ALTER ROLE app SET log_min_messages = 'debug5'",
              'GRANT SET ON PARAMETER log_min_messages TO app',
              'GRANT ALTER SYSTEM ON PARAMETER work_mem TO app',
              'ALTER DATABASE postgres OWNER TO app',
              'ALTER DATABASE template1 OWNER TO app',
              'CREATE ROLE pg_evil',
            ],
          ),
        ).toEqual([]);
      }
      await client.query('RESET ROLE');
      const { rows } = await client.query(
        `SELECT rolname, rolsuper OR rolreplication OR rolbypassrls AS above FROM pg_roles ORDER BY 1`,
      );
      expect(rows.filter(({ above }) => above).map(({ rolname }) => rolname)).toEqual([
        'dormouse',
        'dormouse_replication',
      ]);
      // The roles of the platform have no members.
      const members = await client.query(
        `SELECT member::regrole::text FROM pg_auth_members WHERE roleid = ANY ('{dormouse,owner,writer,reader,dormouse_maintenance,dormouse_replication}'::regrole[])`,
      );
      expect(members.rows).toEqual([]);
      await client.query('DROP ROLE rung');
    });
  });

  it('roles of an owner cannot log in at any door, whatever their names are', async () => {
    const owner = new URL(url('owner'));
    const names = ['dormouse_evil', 'evil', decodeURIComponent(owner.username).replace(/.$/, 'x'), 'postgres'];
    await as('owner', async (client) => {
      for (const name of names) await client.query(`CREATE ROLE "${name}" LOGIN PASSWORD 'known' CREATEDB CREATEROLE`);
    });
    for (const name of names) {
      const evil = new URL(owner);
      evil.username = name;
      evil.password = 'known';
      const client = new pg.Client({ connectionString: evil.href });
      client.on('error', () => {});
      await expect(client.connect()).rejects.toMatchObject({ code: '28P01' });
    }
    await as('owner', async (client) => {
      for (const name of names) await client.query(`DROP ROLE "${name}"`);
    });
  });

  it('roles that the owner grants to and from others do not disturb the platform’s own work', async () => {
    await as('owner', async (client) => {
      expect(
        await unlike(
          client,
          ['done'],
          [
            'GRANT app TO dormouse, dormouse_maintenance, dormouse_replication',
            'CREATE ROLE lots',
            'GRANT lots TO app',
            'GRANT ALL ON samples TO lots',
            // This setting takes no rights from the platform: its sessions do not keep the setting.
            "ALTER ROLE owner SET role = 'app'",
          ],
        ),
      ).toEqual([]);
    });
    await platform.cli('db', 'stop', 'rights');
    await as('owner', async (client) => {
      expect((await client.query('SELECT current_user AS who')).rows).toEqual([{ who: 'app' }]);
      await client.query('RESET ROLE; SET ROLE NONE; ALTER ROLE owner RESET role');
      await client.query("INSERT INTO samples (text) VALUES ('after the stop')");
    });
    const source = {
      base: () => platform.http,
      apiKey: keys.get('owner')?.apiKey as string,
      table: 'public.samples',
    };
    await until(async () => (await readWholeLog(source)).some((event) => event.text === 'after the stop'), {
      what: 'its event',
    });
    await as('owner', async (client) => {
      await client.query('DROP OWNED BY lots; DROP ROLE lots');
      await client.query('REVOKE app FROM dormouse, dormouse_maintenance, dormouse_replication');
    });
  });

  it('roles are copied with a branch', async () => {
    const branch = await platform.json<DatabaseUrls>('db', 'branch', 'rights', 'rights-branch');
    expect(
      await queryRows(
        branch.postgresUrl,
        `SELECT pg_has_role('reader', 'app', 'SET'), (SELECT rolcreaterole FROM pg_roles WHERE rolname = 'owner'),
           (SELECT roles::text FROM pg_policies WHERE policyname = 'own')`,
      ),
    ).toEqual([[true, true, '{app}']]);
    await platform.cli('db', 'delete', 'rights-branch', '--yes');
  });

  it('roles of one owner may be many', async () => {
    await as('owner', async (client) => {
      await client.query("DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE ROLE many%s', i); END LOOP; END $$");
    });
    expect(await queryRows(url('reader'), "SELECT count(*)::int FROM pg_roles WHERE rolname ^@ 'many'")).toEqual([
      [300],
    ]);
    await as('owner', async (client) => {
      expect((await client.query('SELECT count(*)::int FROM samples')).rowCount).toBe(1);
      await client.query("DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('DROP ROLE many%s', i); END LOOP; END $$");
    });
  });
});

describe('further databases', () => {
  /** The databases that could not be made, each with its SQLSTATE. */
  async function refused(statements: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const sql of statements) {
      const code = await as('owner', (client) => outcome(client, sql));
      if (code !== 'done') found.push(`${code}: ${sql}`);
      else await as('owner', (client) => client.query('DROP DATABASE made'));
    }
    return found;
  }

  it('further databases are made by the statements of common tools, also from template0, which is created on first use', async () => {
    const there = "SELECT datconnlimit FROM pg_database WHERE datname = 'template0'";
    const files = (): number => readdirSync(join(pgdata(), 'base')).length;
    const before = files();
    expect(await queryRows(url('owner'), there)).toEqual([[-2]]);
    expect(
      await refused([
        // The forms of Prisma, Django, Laravel, Rails and psql.
        'CREATE DATABASE "made"',
        `CREATE DATABASE "made" ENCODING 'UTF8'`,
        'create database "made" encoding "utf8"',
        `CREATE DATABASE "made" ENCODING = 'unicode'`,
        "CREATE DATABASE made LOCALE 'C.UTF-8'",
        "CREATE DATABASE made ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",
        "CREATE DATABASE made LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
      ]),
    ).toEqual([]);
    // No statement has used template0, so it takes no room.
    expect(await queryRows(url('owner'), there)).toEqual([[-2]]);
    expect(files()).toBe(before);
    expect(
      await refused([
        // The forms of createdb -T, Odoo, Synapse, and pg_dump --create of this server and of others.
        "CREATE DATABASE made ENCODING 'UTF8' TEMPLATE template0",
        `CREATE DATABASE "made" ENCODING 'unicode' LC_COLLATE 'C' TEMPLATE "template0"`,
        "CREATE DATABASE made WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C'",
        "CREATE DATABASE made WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = builtin LOCALE = 'C' BUILTIN_LOCALE = 'C.UTF-8';",
        "CREATE DATABASE made WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8'",
        "CREATE DATABASE made TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'",
        "CREATE DATABASE made TEMPLATE TEMPLATE0 ENCODING 'SQL_ASCII' LOCALE 'C'",
        "create database made template template0 encoding 'LATIN1' locale 'C'",
      ]),
    ).toEqual([]);
    expect(await queryRows(url('owner'), there)).toEqual([[-1]]);
    expect(files()).toBe(before + 1);
    expect(
      await queryRows(url('owner'), "SELECT datname FROM pg_database WHERE datname ~ 'template' ORDER BY 1"),
    ).toEqual([['template0'], ['template1']]);
  });

  it('further databases order texts by the locale that they were created with', async () => {
    await as('owner', async (client) => {
      await client.query("CREATE DATABASE made TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'");
    });
    const sorted = "SELECT string_agg(t, '' ORDER BY t), upper('ä') FROM unnest('{b,B,ä,a}'::text[]) t";
    expect(await queryRows(url('owner', 'made'), sorted)).toEqual([['aäbB', 'Ä']]);
    expect(await queryRows(url('owner'), sorted)).toEqual([['Babä', 'Ä']]);
    await as('owner', (client) => client.query('DROP DATABASE made'));
  });

  it('a database with a locale that the machine does not have is refused with the message of Postgres', async () => {
    const error = await as('owner', (client) =>
      client.query("CREATE DATABASE made TEMPLATE template0 LOCALE 'xx_YY.UTF-8'").catch((thrown) => thrown),
    );
    expect(error).toMatchObject({ code: '42809', message: 'invalid LC_COLLATE locale name: "xx_YY.UTF-8"' });
  });

  it('a tenant’s database cannot take the name template0, however the statement is written', async () => {
    const fresh = await platform.createDatabase('fresh');
    await withSession(fresh.postgresUrl, async (client) => {
      expect(await outcome(client, 'CREATE/**/DATABASE TemplatE0')).toBe('42P04');
      expect(await outcome(client, 'CREATE DATABASE made TEMPLATE template0')).toBe('done');
    });
    await platform.cli('db', 'delete', 'fresh', '--yes');
  });

  it('the templates of databases cannot be changed or taken over by a tenant', async () => {
    await as('owner', async (client) => {
      expect(
        await unlike(
          client,
          [DENIED, '42P04'],
          ['template0', 'template1'].flatMap((name) => [
            `DROP DATABASE ${name}`,
            `ALTER DATABASE ${name} RENAME TO mine`,
            `ALTER DATABASE ${name} OWNER TO owner`,
            `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`,
            `CREATE DATABASE ${name}`,
          ]),
        ),
      ).toEqual([]);
    });
    await withSession(url('owner', 'template1'), async (client) => {
      expect(
        await unlike(
          client,
          [DENIED],
          [
            'CREATE TABLE mine (a int)',
            'CREATE SCHEMA mine',
            'CREATE TEMP TABLE mine (a int)',
            'CREATE EXTENSION hstore',
          ],
        ),
      ).toEqual([]);
    });
    await expect(withSession(url('owner', 'template0'), async () => {})).rejects.toMatchObject({ code: '55000' });
  });
});

describe('extensions', () => {
  it('the extensions are exactly those of docs/EXTENSIONS.md, and the owner may create each', async () => {
    const documented = [
      ...(readFileSync(DOCS, 'utf8').split('## Why')[0] as string).matchAll(/^\| `(?<name>[a-z0-9_-]+)` \|/gm),
    ].map((match) => match.groups?.name);
    expect(documented.length).toBeGreaterThan(20);
    await as('owner', async (client) => {
      const { rows } = await client.query<{ name: string; trusted: boolean }>(
        'SELECT name, bool_and(trusted) AS trusted FROM pg_available_extension_versions GROUP BY name',
      );
      expect(rows.map(({ name }) => name).sort()).toEqual([...documented].sort());
      expect(rows.filter(({ trusted }) => !trusted)).toEqual([]);
      for (const { name } of rows) {
        await client.query('BEGIN');
        const made = await outcome(client, `CREATE EXTENSION IF NOT EXISTS "${name}" CASCADE`);
        expect([name, made]).toEqual([name, 'done']);
        await client.query('ROLLBACK');
      }
    });
  });

  it('extensions can be created by the owner only, in any of the owner’s schemas and databases', async () => {
    await as('owner', async (client) => {
      await client.query('CREATE SCHEMA tools; CREATE EXTENSION moddatetime SCHEMA tools');
      await client.query('CREATE TABLE touched (id int PRIMARY KEY, at timestamp)');
      await client.query(
        'CREATE TRIGGER touch BEFORE UPDATE ON touched FOR EACH ROW EXECUTE FUNCTION tools.moddatetime(at)',
      );
      await client.query('INSERT INTO touched VALUES (1, NULL); UPDATE touched SET id = 2');
      expect((await client.query('SELECT at IS NOT NULL AS set FROM touched')).rows).toEqual([{ set: true }]);
      await client.query('CREATE EXTENSION earthdistance CASCADE');
      const { rows } = await client.query(
        'SELECT round(earth_distance(ll_to_earth(52.5, 13.4), ll_to_earth(48.9, 2.35)) / 1000) AS km',
      );
      expect(rows).toEqual([{ km: 875 }]);
      await client.query('CREATE DATABASE beside');
    });
    await withSession(url('owner', 'beside'), async (client) => {
      await client.query('CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pgstattuple');
      expect((await client.query("SELECT (pgstattuple('pg_class')).table_len > 0 AS there")).rows).toEqual([
        { there: true },
      ]);
    });
    await as('owner', (client) => client.query('DROP DATABASE beside'));
    for (const role of ['writer', 'reader']) {
      expect(await as(role, (client) => outcome(client, 'CREATE EXTENSION hstore'))).toBe(DENIED);
    }
  });

  it('pg_stat_statements counts the statements of every key for the owner, and keeps the counts through a stop', async () => {
    await as('owner', (client) => client.query('CREATE EXTENSION pg_stat_statements'));
    await as('writer', (client) => client.query('SELECT count(*) AS of_the_writer FROM samples'));
    const seen = () =>
      queryRows(
        url('owner'),
        "SELECT r.rolname FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE query ~ 'AS of_the_writer' AND query !~ 'pg_stat'",
      );
    expect(await seen()).toEqual([['writer']]);
    await platform.cli('db', 'stop', 'rights');
    expect(await seen()).toEqual([['writer']]);
    // Another key sees that there are statements of other roles, but not their texts.
    const others = await queryRows(
      url('reader'),
      'SELECT DISTINCT query FROM pg_stat_statements WHERE userid <> current_user::regrole',
    );
    expect(others).toEqual([['<insufficient privilege>']]);
    await as('owner', (client) => client.query('DROP EXTENSION pg_stat_statements'));
  });

  it('extensions that reach files, networks, pages or programs are not available', async () => {
    await as('owner', async (client) => {
      expect(
        await unlike(
          client,
          ['0A000', DENIED, '58P01'],
          [
            ...['dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'pageinspect', 'pg_surgery', 'pg_walinspect'],
            ...[
              'pg_prewarm',
              'pg_logicalinspect',
              'amcheck',
              'pg_visibility',
              'pg_buffercache',
              'pg_freespacemap',
              'xml2',
              'refint',
            ],
            ...['plperl', 'plperlu', 'plpython3u', 'pltcl', 'pltclu', 'hstore_plperl', 'jsonb_plpython3u', 'intagg'],
            'dblink.control',
          ].map((name) => `CREATE EXTENSION "${name}" CASCADE`),
        ),
      ).toEqual([]);
      expect(await outcome(client, 'CREATE EXTENSION "../dblink"')).toBe('22023');
      expect(await outcome(client, 'CREATE LANGUAGE plperl')).toBe('0A000');
    });
  });

  it('no version of an extension runs code of the owner as the superuser, whatever objects the owner has made first', async () => {
    await as('owner', async (client) => {
      // A sequence keeps its value when a statement fails and is rolled back.
      await client.query(`
        CREATE SEQUENCE booty; GRANT ALL ON SEQUENCE booty TO PUBLIC;
        CREATE FUNCTION spy() RETURNS bool LANGUAGE plpgsql AS $$
          BEGIN IF current_user <> session_user THEN PERFORM nextval('public.booty'); END IF; RETURN true; END $$;
        CREATE SCHEMA trap; SET search_path = trap, public`);
      const caught = async (): Promise<boolean> =>
        (await client.query('SELECT is_called AS caught FROM public.booty')).rows[0].caught;
      await client.query('SET ROLE app; SELECT public.spy(); RESET ROLE');
      expect(await caught()).toBe(true);
      await client.query("SELECT setval('public.booty', 1, false)");
      // Everything that scripts of extensions could call without a schema: operators and functions of exactly these
      // types.
      for (const type of ['oid', 'text', 'name', 'int4', 'float8', 'bool', 'regproc', 'oidvector', '"char"']) {
        await client.query(
          `CREATE FUNCTION trap.eq(${type}, ${type}) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN public.spy(); END $$`,
        );
        for (const operator of ['=', '<>', '<', '>', '||', '~', '/', '*'])
          await client.query(
            `CREATE OPERATOR trap.${operator} (leftarg = ${type}, rightarg = ${type}, function = trap.eq)`,
          );
      }
      for (const name of ['cube_is_point', 'cube_dim', 'cube_distance', 'earth', 'abs', 'pi', 'format', 'array_agg']) {
        for (const argument of ['', 'anyelement', 'text', 'float8']) {
          await client.query(
            `CREATE FUNCTION trap.${name}(${argument}) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy(); RETURN 1; END $$`,
          );
        }
      }
      const { rows } = await client.query<{ name: string; version: string }>(
        "SELECT name, version FROM pg_available_extension_versions WHERE name <> 'plpgsql' ORDER BY name, version",
      );
      let made = 0;
      for (const { name, version } of rows) {
        for (const schema of ['trap', 'public']) {
          await client.query('BEGIN');
          // A name that is taken makes the statement fail: no existing object is replaced.
          const create = `CREATE EXTENSION "${name}" SCHEMA ${schema} VERSION '${version}' CASCADE`;
          const code = await outcome(client, create);
          expect([create, code]).toEqual([create, expect.stringMatching(/^(done|42710|42723|42P13|55000)$/)]);
          if (code === 'done') {
            made++;
            await outcome(client, `ALTER EXTENSION "${name}" UPDATE`);
          }
          await client.query('ROLLBACK');
        }
      }
      expect(made).toBeGreaterThan(100);
      expect(await caught()).toBe(false);
      await client.query('RESET search_path; DROP SCHEMA trap CASCADE; DROP FUNCTION spy; DROP SEQUENCE booty');
    });
  });
});

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, loadClient, schemaText } from '../support/clients.ts';
import { type PlainPostgres, startPlainPostgres } from '../support/plain-postgres.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { type MigrationList, NO_FILTERS, pushSchema, runSql, withSchemaEngine } from '../support/push-schema.ts';
import { scratch } from '../support/scratch.ts';
import { clientOptions } from '../support/target.ts';

const run = promisify(execFile);
const DUMP = [
  fileURLToPath(new URL('../../../../.cache/postgres-client/bin/pg_dump', import.meta.url)),
  '/usr/lib/postgresql/18/bin/pg_dump',
].find(existsSync);

async function rows(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const list = (migrations: readonly { name: string; sql: string }[]): MigrationList => ({
  baseDir: '/migrations',
  lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"' },
  shadowDbInitScript: '',
  migrationDirectories: migrations.map(({ name, sql }) => ({
    path: name,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
  })),
});

/** Runs the commands of docs/MOVING.md that copy a database, word for word. */
async function copyAsDocumented(oldUrl: string, directUrl: string): Promise<void> {
  const page = readFileSync(fileURLToPath(new URL('../../../../docs/MOVING.md', import.meta.url)), 'utf8');
  const commands = /```sh\n(.*?)```/s.exec(page)?.[1] ?? '';
  expect(commands).toContain('pg_restore');
  const home = scratch('moving');
  try {
    const PATH = `${path.dirname(DUMP as string)}:${process.env.PATH}`;
    const env = { ...process.env, PATH, OLD_URL: oldUrl, DIRECT_URL: directUrl };
    await run('bash', ['-euc', commands], { cwd: home.path, env });
  } finally {
    home.remove();
  }
}

/** The tables of a database are created by migrations, and a dump takes them elsewhere. */
describe('moving in and out', () => {
  let platform: Platform;
  let plain: PlainPostgres;

  beforeAll(async () => {
    platform = await startPlatform();
    plain = await startPlainPostgres();
  });
  afterAll(async () => {
    await plain?.stop();
    await platform?.stop();
  });

  it('a database is migrated as by `prisma migrate dev`, with a shadow database', async () => {
    const { postgresUrl } = await platform.createDatabase('migrated');
    await withSchemaEngine(postgresUrl, schemaText(7), async (engine, files) => {
      expect((await engine.devDiagnostic({ migrationsList: list([]), filters: NO_FILTERS })).action.tag).toBe(
        'createMigration',
      );
      const created = await engine.createMigration({
        draft: false,
        migrationName: 'init',
        migrationsList: list([]),
        schema: { files },
        filters: NO_FILTERS,
      });
      const migrations = list([{ name: created.generatedMigrationName, sql: created.migrationScript ?? '' }]);
      const applied = await engine.applyMigrations({ migrationsList: migrations, filters: NO_FILTERS });
      expect(applied.appliedMigrationNames).toEqual([created.generatedMigrationName]);
      // The migrations replayed in a shadow database equal the database itself: no object of Dormouse counts as drift.
      const after = await engine.devDiagnostic({ migrationsList: migrations, filters: NO_FILTERS });
      expect(after.action).toMatchObject({ tag: 'createMigration' });
    });
    const [table] = await rows(postgresUrl, "select count(*)::int as n from pg_tables where tablename = 'posts'");
    expect(table).toEqual({ n: 1 });
    const shadows = await rows(postgresUrl, "select datname from pg_database where datname like 'prisma_migrate%'");
    expect(shadows).toEqual([]);
  });

  it.skipIf(DUMP === undefined)(
    'the commands of docs/MOVING.md copy a database from a plain Postgres and from Dormouse',
    async () => {
      const plain = await startPlainPostgres();
      try {
        const old = await plain.createDatabase('old');
        await pushSchema(old, 7);
        await runSql(
          old,
          "insert into users (email, name, updated_at) select 'u' || i || '@example.com', 'U' || i, now() from generate_series(1, 50) i; create publication theirs for all tables; grant all on users to public",
        );
        const moved = await platform.createDatabase('moved');
        await copyAsDocumented(old, moved.postgresUrl);
        const again = await platform.createDatabase('moved-again');
        await copyAsDocumented(moved.postgresUrl, again.postgresUrl);
        for (const { prismaUrl } of [moved, again]) {
          for (const version of CLIENT_VERSIONS) {
            const { PrismaClient } = await loadClient(version);
            const prisma = new PrismaClient(clientOptions(version, prismaUrl));
            const { id } = await prisma.user.create({ data: { email: `new-${version}@example.com` } });
            // The new id follows the last copied row: the sequences were copied too.
            expect(id).toBe(51 + CLIENT_VERSIONS.indexOf(version));
            await prisma.user.delete({ where: { id } });
            expect(await prisma.user.count()).toBe(50);
            await prisma.$disconnect();
          }
        }
      } finally {
        await plain.stop();
      }
    },
  );

  if (DUMP === undefined) console.warn('skipped: no pg_dump 18; run .ci/postgres-client');
  it.skipIf(DUMP === undefined)(
    'a dump of a database is complete and restores into a plain Postgres, where the tables accept writes',
    async () => {
      const { postgresUrl } = await platform.createDatabase('leaving');
      await pushSchema(postgresUrl, 7);
      await runSql(
        postgresUrl,
        "insert into users (email, name, updated_at) select 'u' || i || '@example.com', 'U' || i, now() from generate_series(1, 50) i; create table keyless (n int); insert into keyless values (1)",
      );
      const { stdout } = await run(DUMP as string, [postgresUrl, '--no-owner', '--no-privileges'], {
        maxBuffer: 64 * 1024 * 1024,
      });
      // The dump with owners is checked as well: it does not mention any object of Dormouse.
      const whole = await run(DUMP as string, [postgresUrl], { maxBuffer: 64 * 1024 * 1024 });
      for (const dump of [stdout, whole.stdout])
        expect(dump).not.toMatch(/dormouse|REPLICA IDENTITY|PUBLICATION|EVENT TRIGGER/);
      const restored = await plain.createDatabase('restored');
      const psql = run('psql', [restored, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', '-']);
      psql.child.stdin?.end(stdout);
      await psql;
      expect(await rows(restored, 'select count(*)::int as n from users')).toEqual([{ n: 50 }]);
      await runSql(
        restored,
        'update keyless set n = 2; create table more (n int); insert into more values (1); update more set n = 2',
      );
      expect(await rows(restored, 'select n from keyless union all select n from more')).toEqual([{ n: 2 }, { n: 2 }]);
    },
  );
});

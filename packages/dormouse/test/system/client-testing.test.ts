import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  createTestDatabase,
  createTestTemplate,
  type TestDatabase,
  type TestTemplateOptions,
} from '@dormouse/client/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CLIENT_VERSIONS, generateClient, loadClient, schemaText } from '../support/clients.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { NO_FILTERS, withSchemaEngine } from '../support/push-schema.ts';
import { clientOptions } from '../support/target.ts';
import { until } from '../support/until.ts';

// The functions of @dormouse/client/testing, called as the test runners of its users call them.

const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url));

let platform: Platform;
let where: { readonly url: string; readonly adminToken: string };
let home: string;
/** The migration that `prisma migrate dev` writes for the suites' schema. */
let migration: string;

beforeAll(async () => {
  platform = await startPlatform();
  where = { url: platform.http, adminToken: platform.adminToken };
  const [main] = platform.databases as [DatabaseUrls];
  migration = await withSchemaEngine(main.postgresUrl, schemaText(7), async (engine, files) => {
    const lockfile = { path: 'migration_lock.toml', content: 'provider = "postgresql"' };
    const none = { baseDir: '/migrations', lockfile, shadowDbInitScript: '', migrationDirectories: [] };
    // This call opens the shadow database that `createMigration` goes on with.
    await engine.devDiagnostic({ migrationsList: none, filters: NO_FILTERS });
    const rest = { migrationsList: none, schema: { files }, filters: NO_FILTERS };
    return (await engine.createMigration({ draft: true, migrationName: 'users', ...rest })).migrationScript ?? '';
  });
  // The directory is below the checkout, so that the suites find vitest and the client as in an app.
  mkdirSync(join(REPOSITORY, '.cache'), { recursive: true });
  home = mkdtempSync(join(REPOSITORY, '.cache', 'testing-'));
});
afterAll(async () => {
  if (home !== undefined) rmSync(home, { recursive: true, force: true });
  await platform?.stop();
});

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}
const names = async (): Promise<string[]> =>
  (await platform.json<{ name: string }[]>('db', 'list')).map(({ name }) => name);

/**
 * A template that counts how often it is made. The count is in a file, because several processes may make the template.
 */
function counted(
  name: string,
  more: Partial<TestTemplateOptions> = {},
): { options: TestTemplateOptions; count: () => number } {
  const log = join(home, `${name}.log`);
  return {
    options: {
      ...where,
      name,
      migrate: async ({ postgresUrl }) => {
        appendFileSync(log, 'x');
        await query(
          postgresUrl,
          'CREATE TABLE notes (id serial PRIMARY KEY, text text); INSERT INTO notes (text) VALUES (1)',
        );
      },
      ...more,
    },
    count: () => (existsSync(log) ? readFileSync(log, 'utf8').length : 0),
  };
}

it('a template is made once, and its copies are independent of each other', async () => {
  const { options, count } = counted('apart');
  const templates = await Promise.all([1, 2, 3].map(() => createTestTemplate(options)));
  expect(new Set(templates.map(({ name }) => name)).size).toBe(1);
  expect(count()).toBe(1);
  const template = templates[0] as { name: string };
  const databases = await Promise.all([1, 2, 3].map(() => createTestDatabase({ template, ...where })));
  for (const [at, { postgresUrl, name }] of databases.entries()) {
    expect(name.length).toBeLessThanOrEqual(63);
    await query(postgresUrl, `INSERT INTO notes (text) VALUES ('mine ${at}')`);
  }
  for (const [at, { postgresUrl }] of databases.entries()) {
    expect(await query(postgresUrl, 'SELECT text FROM notes ORDER BY id')).toEqual([
      { text: '1' },
      { text: `mine ${at}` },
    ]);
  }
  // The template was copied from its files, so it was never started for the copies.
  expect(await platform.json('db', 'show', template.name)).toMatchObject({ state: 'stopped' });
  for (const database of databases) await database.drop();
  await databases[0]?.drop();
  expect(await names()).toEqual(['main', template.name]);
});

it('a test database is dropped at the end of its `await using` block', async () => {
  const { options } = counted('block');
  const template = await createTestTemplate(options);
  let name: string;
  {
    await using database: TestDatabase = await createTestDatabase({ template, ...where });
    ({ name } = database);
    expect(await names()).toContain(name);
  }
  expect(await names()).not.toContain(name);
});

it('another template is made when the source files change, and a failed migration leaves no template', async () => {
  const migrations = join(home, 'migrations');
  mkdirSync(migrations);
  writeFileSync(join(migrations, '1.sql'), 'one');
  const { options, count } = counted('files', { from: migrations });
  const first = await createTestTemplate(options);
  expect(await createTestTemplate(options)).toEqual(first);
  writeFileSync(join(migrations, '2.sql'), 'two');
  const second = await createTestTemplate(options);
  expect(second).not.toEqual(first);
  expect(count()).toBe(2);
  const failing = createTestTemplate({ ...where, name: 'fails', migrate: 'echo "no such migration"; exit 3' });
  await expect(failing).rejects.toMatchObject({
    code: 'migration',
    message: expect.stringContaining('no such migration'),
  });
  expect((await names()).filter((name) => name.startsWith('fails'))).toEqual([]);
});

it('a call with wrong arguments, or without a platform, is refused with a code that names the reason', async () => {
  await expect(createTestDatabase({ template: 'nowhere', ...where })).rejects.toMatchObject({
    code: 'database_unknown',
  });
  await expect(createTestTemplate({ ...where, name: 'Not a name', migrate: 'true' })).rejects.toMatchObject({
    code: 'usage',
  });
  const nobody = { url: 'http://127.0.0.1:9', adminToken: 'x' };
  await expect(createTestDatabase({ template: 'main', ...nobody })).rejects.toMatchObject({ code: 'unreachable' });
  await expect(createTestDatabase({ template: 'main', dataDirectory: home })).rejects.toMatchObject({
    code: 'unreachable',
  });
});

it('a platform is found by its data directory alone', async () => {
  const database = await createTestDatabase({ template: 'main', dataDirectory: platform.data });
  expect(await query(database.postgresUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await database.drop();
});

it('databases and unfinished templates of killed suites are deleted', async () => {
  const { options, count } = counted('killed');
  const suite = join(home, 'suite.mjs');
  writeFileSync(
    suite,
    `import { createTestDatabase, createTestTemplate } from '@dormouse/client/testing';
     const where = ${JSON.stringify(where)};
     if (process.argv[2] === 'database') console.log((await createTestDatabase({ template: 'main', ...where })).name);
     else await createTestTemplate({ ...where, name: 'killed', migrate: () => { console.log('migrating'); return new Promise(() => setInterval(() => {}, 1000)); } });
     setInterval(() => {}, 1000);`,
  );
  const run = async (what: string): Promise<{ child: ChildProcess; line: string }> => {
    const child = spawn(process.execPath, [suite, what], { cwd: home, stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', () => reject(new Error(`the suite ended before it said a word`)));
    });
    return { child, line };
  };
  const suites = await Promise.all([run('database'), run('template')]);
  const left = suites[0]?.line as string;
  expect(await names()).toContain(left);
  // While the suites live, their databases are not deleted.
  const other = await createTestDatabase({ template: 'main', ...where });
  await other.drop();
  expect(await names()).toContain(left);
  const waiting = createTestTemplate(options);
  for (const { child } of suites) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
  await waiting;
  expect(count()).toBe(1);
  await (await createTestDatabase({ template: 'main', ...where })).drop();
  await until(async () => !(await names()).includes(left), { what: 'the end of what was left' });
});

it.each(CLIENT_VERSIONS)('a test database works with Prisma Client %i', async (version) => {
  const template = await createTestTemplate({
    ...where,
    name: `prisma${version}`,
    migrate: ({ postgresUrl }) => query(postgresUrl, migration),
  });
  const database = await createTestDatabase({ template, ...where });
  const { PrismaClient } = await loadClient(version);
  const prisma = new PrismaClient(clientOptions(version, database.prismaUrl));
  try {
    await prisma.user.create({ data: { email: 'ada@example.com' } });
    expect(await prisma.user.count()).toBe(1);
  } finally {
    await prisma.$disconnect();
    await database.drop();
  }
});

it('the code in the readme runs as it stands, under a test runner of its own', async () => {
  const readme = readFileSync(join(REPOSITORY, 'packages/client/README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```ts\n\/\/ (test\/\S+)\n(.*?)```/gs)];
  expect(blocks.map(([, file]) => file)).toEqual(['test/global-setup.ts', 'test/users.test.ts']);
  const app = join(home, 'app');
  mkdirSync(join(app, 'test'), { recursive: true });
  mkdirSync(join(app, 'prisma/migrations/1_users'), { recursive: true });
  mkdirSync(join(app, 'node_modules/.bin'), { recursive: true });
  // Only the path of the generated client differs from the readme.
  const client = join(await generateClient(7), 'client/index.js');
  for (const [, file, code] of blocks) {
    writeFileSync(join(app, file as string), (code as string).replace("'@prisma/client'", JSON.stringify(client)));
  }
  writeFileSync(join(app, 'prisma/migrations/1_users/migration.sql'), migration);
  writeFileSync(join(app, 'package.json'), '{"type":"module"}');
  writeFileSync(
    join(app, 'vitest.config.ts'),
    `export default { test: { globalSetup: 'test/global-setup.ts', testTimeout: 120000, hookTimeout: 120000 } };`,
  );
  // This script stands in for the vendor's command line, whose engine is a download. It does to a new database the same
  // as `migrate deploy`.
  const command = join(app, 'node_modules/.bin/prisma');
  writeFileSync(
    command,
    `#!/usr/bin/env node
     const { readFileSync } = require('node:fs');
     const pg = require(${JSON.stringify(join(REPOSITORY, 'node_modules/pg'))});
     const client = new pg.Client(process.env.DATABASE_URL);
     client.connect()
       .then(() => client.query(readFileSync('prisma/migrations/1_users/migration.sql', 'utf8')))
       .then(() => client.end());`,
  );
  chmodSync(command, 0o755);
  writeFileSync(join(app, 'node_modules/.bin/package.json'), '{"type":"commonjs"}');
  const vitest = join(REPOSITORY, 'node_modules/vitest/vitest.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [vitest, 'run', '--root', app], {
    cwd: app,
    env: { ...process.env, DORMOUSE_URL: where.url, DORMOUSE_TOKEN: where.adminToken, NO_COLOR: '1', VITEST: '' },
  });
  expect(stdout).toMatch(/Tests +1 passed/);
  // The suite has dropped its database; the template stays for the next run.
  const left = (await names()).filter((name) => name.startsWith('blog-'));
  expect(left).toEqual([expect.stringMatching(/^blog-[0-9a-f]{12}$/)]);
});

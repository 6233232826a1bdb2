import { execFile, execFileSync } from 'node:child_process';
import { chownSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase } from '@dormouse/client/testing';
import pg from 'pg';
import { type PlainPostgres, postgresBinaries, startPlainPostgres } from '../test/support/plain-postgres.ts';
import { type Platform, startPlatform } from '../test/support/platform.ts';
import { runSql } from '../test/support/push-schema.ts';
import { scratch } from '../test/support/scratch.ts';
import { until } from '../test/support/until.ts';
import { each } from './each.ts';
import type { BenchFlags } from './flags.ts';
import { percentile } from './load.ts';
import { call } from './requests.ts';
import { compare, type Peer, show, table } from './rounds.ts';

const ROUNDS = 5;
/** As many spares as the platform keeps by default. */
const SPARES = 3;
/** Files of a suite, and workers of its runner. */
const IN_A_ROW = 20;
const WORKERS = 4;

/**
 * A new database and its first query over TCP; a test suite's copy of a migrated one; beside the ways to do
 * the same without Dormouse.
 */
export async function create(flags: BenchFlags): Promise<string> {
  const rounds = flags('rounds', ROUNDS);
  const spared = await startPlatform({ flags: ['--spares', String(SPARES)] });
  const bare = await startPlatform();
  const plain = await startPlainPostgres({ settings: { fsync: 'on' } });
  const home = scratch('initdb');
  try {
    for (const platform of [bare, spared]) {
      const template = await platform.createDatabase('template');
      await runSql(template.postgresUrl, TABLES);
      await call(platform, 'POST', '/databases/template/stop');
    }
    // The first of a suite: after it others lie ready.
    await testDatabase(spared);
    await runSql(await plain.createDatabase('template'), TABLES);
    const figures = await compare(
      [
        {
          name: 'Dormouse, a spare lies ready',
          async run() {
            await until(() => waiting(spared, '.spare-') === SPARES, { what: 'spares' });
            return newDatabase(spared);
          },
        },
        { name: 'Dormouse, from the template (--spares 0)', run: () => newDatabase(bare) },
        {
          name: 'createTestDatabase, of 20 tables, a copy lies ready',
          async run() {
            await until(() => waiting(spared, '.copy-') === SPARES, { what: 'copies' });
            return testDatabase(spared);
          },
        },
        { name: 'createTestDatabase, in a row', run: () => inARow(spared, 1) },
        { name: 'createTestDatabase, in four rows at the same time', run: () => inARow(spared, WORKERS) },
        { name: 'createTestDatabase, no copies (--spares 0)', run: () => testDatabase(bare) },
        plainCopy(plain),
        await initdb(home.path),
      ],
      rounds,
    );
    const rows = [...figures].map(([name, value]) => {
      const queried = name.startsWith('initdb') ? '–' : show(value('queried'), 0);
      return [name, show(value('created'), 0), queried];
    });
    return table(['', 'created, ms', 'first query answered, ms'], rows);
  } finally {
    home.remove();
    await plain.stop();
    await bare.stop();
    await spared.stop();
  }
}

/** Tables as the migrations of a small app create them. */
const TABLES = Array.from(
  { length: 20 },
  (_, at) => `CREATE TABLE t${at} (id serial PRIMARY KEY, name text UNIQUE, at timestamptz DEFAULT now());`,
).join('\n');

let count = 0;

async function firstQuery(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('SELECT 1');
  return client;
}

async function newDatabase(platform: Platform): Promise<Record<string, number>> {
  count += 1;
  const startedMs = performance.now();
  const { id, postgresUrl } = await call<{ id: string; postgresUrl: string }>(platform, 'POST', '/databases', {
    name: `bench-${count}`,
  });
  const created = performance.now() - startedMs;
  const client = await firstQuery(postgresUrl);
  const queried = performance.now() - startedMs;
  await client.end();
  await call(platform, 'DELETE', `/databases/${id}`);
  return { created, queried };
}

const waiting = (platform: Platform, prefix: string): number =>
  readdirSync(join(platform.data, 'databases')).filter((name) => name.startsWith(prefix)).length;

async function testDatabase(platform: Platform): Promise<{ created: number; queried: number }> {
  const startedMs = performance.now();
  const database = await createTestDatabase({
    template: 'template',
    url: platform.http,
    adminToken: platform.adminToken,
  });
  const created = performance.now() - startedMs;
  const client = await firstQuery(database.postgresUrl);
  const queried = performance.now() - startedMs;
  await client.end();
  await database.drop();
  return { created, queried };
}

/** What a suite does, or its workers: one database after the other, each dropped before the next. Medians. */
async function inARow(platform: Platform, workers: number): Promise<Record<string, number>> {
  const made: { created: number; queried: number }[] = [];
  await each(IN_A_ROW, workers, async () => {
    made.push(await testDatabase(platform));
  });
  const median = (of: 'created' | 'queried'): number =>
    percentile(
      made.map((one) => one[of]).sort((a, b) => a - b),
      0.5,
    );
  return { created: median('created'), queried: median('queried') };
}

/** What suites do on one server: a database copied from another, while nobody uses that. */
function plainCopy(plain: PlainPostgres): Peer {
  return {
    name: 'CREATE DATABASE … TEMPLATE, of the same tables, on a running Postgres',
    async run() {
      count += 1;
      const admin = new pg.Client({ connectionString: plain.url });
      await admin.connect();
      const startedMs = performance.now();
      await admin.query(`CREATE DATABASE "copy-${count}" TEMPLATE template`);
      const created = performance.now() - startedMs;
      const client = await firstQuery(plain.url.replace(/\/postgres$/, `/copy-${count}`));
      const queried = performance.now() - startedMs;
      await client.end();
      await admin.query(`DROP DATABASE "copy-${count}"`);
      await admin.end();
      return { created, queried };
    },
  };
}

async function initdb(home: string): Promise<Peer> {
  const bin = await postgresBinaries();
  const user = account();
  if (user !== undefined) chownSync(home, user.uid, user.gid);
  return {
    name: 'initdb (no start)',
    async run() {
      count += 1;
      const data = join(home, String(count));
      const startedMs = performance.now();
      await promisify(execFile)(
        join(bin, 'initdb'),
        ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
        { ...user, cwd: home },
      );
      const created = performance.now() - startedMs;
      rmSync(data, { recursive: true });
      return { created };
    },
  };
}

function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { until } from '../support/until.ts';

// Ready copies of a stopped database, made in advance for throw-away branches: for example of a test suite's template.

const READY = 2;

let home: Scratch;
let owner: Owner;
let next = 0;
const newId = (): string => testId(++next);

const databases = (): string => join(home.path, 'data', 'databases');
const copies = (source: string): string[] =>
  readdirSync(databases()).filter((name) => name.startsWith(`.copy-${source}-`));
const filled = (source: string): Promise<true> =>
  until(() => (copies(source).length === READY ? true : undefined), { what: 'ready copies', withinMs: 120_000 });
const gone = (source: string): Promise<true> =>
  until(() => (copies(source).length === 0 ? true : undefined), { what: 'the end of the copies', withinMs: 120_000 });
const inode = (directory: string): number => statSync(join(directory, 'pgdata')).ino;
const inodes = (source: string): number[] => copies(source).map((name) => inode(join(databases(), name)));

async function open(ids: readonly string[] = [], sparesMax = READY): Promise<void> {
  owner = await startOwner({ dataDirectory: join(home.path, 'data'), rest: { suspendAfterMs: 1e9 }, sparesMax });
  await owner.prepare();
  await owner.recover(ids);
}
const run = async (id: string, sql: string): Promise<Record<string, unknown>[]> => {
  const { socket } = await owner.hold(id);
  try {
    return await queryOnce(socket, sql);
  } finally {
    await owner.release(id);
  }
};
const throwAway = (source: string, id: string): ReturnType<Owner['branch']> => owner.branch(source, id, false, true);

beforeAll(async () => {
  home = scratch('copies');
  await prepareDataDirectory(join(home.path, 'data'));
  await open();
});
afterAll(async () => {
  await owner?.close().catch(() => {});
  home?.remove();
});

it('a ready copy makes the second throw-away branch a rename, until the source changes', async () => {
  const source = newId();
  await owner.create(source);
  await run(source, 'CREATE TABLE notes (text text); INSERT INTO notes VALUES (1)');
  await owner.stop(source);
  // A branch that is not throw-away causes no ready copies.
  const kept = newId();
  await owner.branch(source, kept);
  const first = newId();
  await throwAway(source, first);
  await filled(source);
  const ready = inodes(source);
  const second = newId();
  const { directory } = await throwAway(source, second);
  expect(ready).toContain(inode(directory));
  await run(second, 'INSERT INTO notes VALUES (2)');
  const third = newId();
  await throwAway(source, third);
  expect(await run(second, 'SELECT text FROM notes ORDER BY text')).toEqual([{ text: '1' }, { text: '2' }]);
  expect(await run(third, 'SELECT text FROM notes')).toEqual([{ text: '1' }]);
  expect(await run(first, 'SHOW fsync')).toEqual([{ fsync: 'off' }]);
  expect(await run(third, 'SHOW fsync')).toEqual([{ fsync: 'off' }]);
  expect(await run(kept, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
  const systems = await Promise.all(
    [source, kept, first, second, third].map(async (id) => {
      const { socket } = await owner.hold(id);
      return queryOnce(socket, 'SELECT system_identifier::text AS id FROM pg_control_system()', 'dormouse');
    }),
  );
  expect(new Set(systems.map(([row]) => row?.id)).size).toBe(systems.length);
  // The source has started, so its ready copies are removed.
  await gone(source);
  await owner.release(source);
  await run(source, "INSERT INTO notes VALUES ('new')");
  await owner.stop(source);
  const fourth = newId();
  await throwAway(source, fourth);
  await filled(source);
  const fifth = newId();
  await throwAway(source, fifth);
  for (const id of [fourth, fifth])
    expect(await run(id, 'SELECT text FROM notes ORDER BY text')).toEqual([{ text: '1' }, { text: 'new' }]);
  await owner.destroy(source);
  await gone(source);
});

it('ready copies do not outlive a killed platform, and throw-away databases are kept unchanged', async () => {
  const source = newId();
  await owner.create(source);
  const id = newId();
  await throwAway(source, id);
  await run(id, 'CREATE TABLE acknowledged AS SELECT 1 AS one');
  await until(() => (copies(source).length > 0 ? true : undefined), { what: 'a ready copy', withinMs: 120_000 });
  await owner.kill();
  await open([source, id], 0);
  expect(readdirSync(databases()).filter((name) => /^\.(copy|new)-/.test(name))).toEqual([]);
  expect(await run(id, 'SELECT * FROM acknowledged')).toEqual([{ one: 1 }]);
  // This platform is configured to make no ready copies.
  const other = newId();
  await throwAway(source, other);
  expect(await run(other, 'SHOW fsync')).toEqual([{ fsync: 'off' }]);
  expect(copies(source)).toEqual([]);
});

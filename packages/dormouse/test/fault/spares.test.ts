import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readControlFile } from '../../src/instance/postgres/control-file.ts';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { memoryDisk, NoMount, type SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

// Spares are copies of the template that are made in advance. These tests show how they are used and what happens to
// them after faults.

const SPARES = 2;
const BULK = 'CREATE TABLE bulk AS SELECT md5(i::text) AS v FROM generate_series(1, 20000) i';

let home: Scratch;
let data: string;
let owner: Owner | undefined;
let next = 0;
const newId = (): string => testId(++next);

beforeEach(async () => {
  home = scratch('spares');
  data = join(home.path, 'data');
  await prepareDataDirectory(data);
});
afterEach(async () => {
  await owner?.close().catch(() => {});
  owner = undefined;
  home.remove();
});

async function open(ids: readonly string[] = []): Promise<Owner> {
  owner = await startOwner({ dataDirectory: data, rest: { suspendAfterMs: 1e9 }, sparesMax: SPARES });
  await owner.prepare();
  await owner.recover(ids);
  return owner;
}
const stored = (): string[] => readdirSync(join(data, 'databases')).sort();
const spares = (): string[] => stored().filter((name) => name.startsWith('.spare-'));
const filled = (): Promise<true> =>
  until(() => (spares().length === SPARES ? true : undefined), { what: 'spares', withinMs: 60_000 });

describe('spares', () => {
  it('spares become databases by a rename, each with a system identifier of its own, and are replaced by new spares', async () => {
    const running = await open();
    await filled();
    const ready = spares().map((name) => statSync(join(data, 'databases', name, 'pgdata')).ino);
    const ids = [newId(), newId()];
    const directories = [];
    for (const id of ids) directories.push((await running.create(id)).directory);
    expect(directories.map((directory) => statSync(join(directory, 'pgdata')).ino).sort()).toEqual(ready.sort());
    const systems = await Promise.all(
      directories.map(async (directory) => (await readControlFile(join(directory, 'pgdata'))).systemId),
    );
    for (const [at, id] of ids.entries()) {
      const { socket } = await running.hold(id);
      const [row] = await queryOnce(
        socket,
        'SELECT system_identifier::text AS id FROM pg_control_system()',
        'dormouse',
      );
      expect(row?.id).toBe(String(systems[at]));
    }
    await filled();
    const template = await readControlFile(join(data, 'template', '18', 'pgdata'));
    expect(new Set([...systems, template.systemId]).size).toBe(3);
    // Existing spares outlive the platform.
    const kept = spares();
    await running.close();
    await open(ids);
    expect(spares()).toEqual(kept);
  });

  it('spares of another template are dropped', async () => {
    await open();
    await filled();
    const before = spares();
    await owner?.close();
    const file = join(data, 'template', '18', 'template.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), made: 'at another time' }));
    await open();
    for (const name of before) expect(stored()).not.toContain(name);
    await filled();
  });

  it('a spare is complete or does not exist, whenever the platform is killed', async () => {
    const ids: string[] = [];
    let drafts = 0;
    for (let round = 0; round < 4; round++) {
      const running = await open(ids);
      expect(stored().filter((name) => name.startsWith('.new-'))).toEqual([]);
      // The platform is killed while a spare is being made: after its first byte and before its rename.
      await until(() => (stored().some((name) => name.startsWith('.new-')) ? true : undefined), {
        what: 'a spare in the making',
        withinMs: 60_000,
      });
      await new Promise((resolve) => setTimeout(resolve, round * 15));
      await running.kill();
      drafts += stored().filter((name) => name.startsWith('.new-')).length;
      if (spares().length === 0) continue;
      const again = await open(ids);
      const id = newId();
      ids.push(id);
      await again.create(id);
      expect(await queryOnce((await again.hold(id)).socket, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await again.stop(id);
      await again.close();
    }
    expect(drafts).toBeGreaterThan(0);
  });
});

describe('a full disk', () => {
  let disk: SmallDisk | undefined;
  beforeEach(() => {
    try {
      disk = memoryDisk(500);
      data = join(disk.path, 'data');
    } catch (error) {
      if (!(error instanceof NoMount)) throw error;
      console.log(`skipped: a disk of its own cannot be mounted here (${error.message})`);
    }
  });
  afterEach(async () => {
    disk?.drain();
    await owner?.close().catch(() => {});
    owner = undefined;
    disk?.remove();
    disk = undefined;
  });

  it('create and branch fail with disk_full on a full disk and leave no files, and a spare can still become a database', async ({
    skip,
  }) => {
    if (disk === undefined) return skip();
    const running = await open();
    await filled();
    const source = newId();
    await running.create(source);
    const { socket } = await running.hold(source);
    await queryOnce(socket, BULK);
    await filled();
    disk.fill();
    await running.create(newId());
    await running.create(newId());
    const before = stored();
    await expect(running.create(newId())).rejects.toMatchObject({ code: 'disk_full' });
    await expect(running.branch(source, newId())).rejects.toMatchObject({ code: 'disk_full' });
    expect(stored().filter((name) => !name.startsWith('.new-.spare-'))).toEqual(before);
    disk.drain();
    await running.release(source);
    await running.stop(source);
    disk.fill();
    await expect(running.branch(source, newId())).rejects.toMatchObject({ code: 'disk_full' });
    disk.drain();
    const id = newId();
    await running.branch(source, id);
    expect(await queryOnce((await running.hold(id)).socket, 'SELECT count(*)::int AS n FROM bulk')).toEqual([
      { n: 20_000 },
    ]);
  });
});

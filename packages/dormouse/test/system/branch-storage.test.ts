import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { postmasterPid } from '../support/server-processes.ts';
import { checkTransfers, identities, startTransfers, TRANSFERS_SQL } from '../support/transfers.ts';
import { until } from '../support/until.ts';

// Copies of databases, made without a platform: the files that a copy holds, and the files that it does not hold.

let home: Scratch;
let owner: Owner;
let next = 0;
const newId = (): string => testId(++next);

beforeAll(async () => {
  home = scratch('branch');
  await prepareDataDirectory(join(home.path, 'data'));
  owner = await startOwner({ dataDirectory: join(home.path, 'data'), rest: { suspendAfterMs: 1e9 } });
  await owner.prepare();
});
afterAll(async () => {
  await owner?.close().catch(() => {});
  home?.remove();
});

it('a copy of a database under writes holds every acknowledged row and right checksums, and the source never stops', async () => {
  const source = newId();
  const { directory } = await owner.create(source);
  const { socket } = await owner.hold(source);
  await queryOnce(socket, TRANSFERS_SQL);
  await queryOnce(
    socket,
    "SELECT pg_create_logical_replication_slot('dormouse_0123456789abcdef', 'pgoutput')",
    'dormouse',
  );
  const writers = [0, 1].map((writer) => startTransfers(socket, writer));
  try {
    await until(() => writers.every((writer) => writer.acknowledged() > 20), { what: 'some writes' });
    const before = writers.map((writer) => writer.acknowledged());
    const id = newId();
    const branch = await owner.branch(source, id);
    expect(branch.way).toBe('stream');
    const files = readdirSync(join(branch.directory, 'pgdata'));
    expect(files).not.toContain('postmaster.pid');
    expect(readdirSync(join(branch.directory, 'pgdata', 'pg_replslot'))).toEqual([]);
    expect(readdirSync(branch.directory).sort()).toEqual(['lifeline', 'pgdata', 'run']);
    await owner.hold(id);
    await checkTransfers(branch.socket, before);
    expect(await queryOnce(branch.socket, 'SELECT * FROM scratchpad')).toEqual([]);
    expect(await queryOnce(branch.socket, 'SELECT slot_name FROM pg_replication_slots')).toEqual([]);
    const [own, shown] = await identities(branch.directory, branch.socket);
    expect(own).toBe(shown);
    expect(own).not.toBe((await identities(directory, socket))[0]);
    // The copy is a database like any other: it writes, crashes, recovers, and is copied again.
    const copied = (await queryOnce(branch.socket, 'SELECT count(*)::int AS count FROM entries'))[0]?.count as number;
    await queryOnce(branch.socket, 'INSERT INTO entries (writer, sequence) VALUES (9, 1)');
    const again = newId();
    const second = await owner.branch(id, again);
    await owner.hold(again);
    expect(await queryOnce(second.socket, 'SELECT count(*)::int AS count FROM entries')).toEqual([
      { count: copied + 1 },
    ]);
    // The source went on, holds no trace of the copy, and keeps no replication slot for it.
    await until(() => writers.every((writer, at) => writer.acknowledged() > (before[at] ?? 0) + 5), {
      what: 'more writes',
    });
    expect(await queryOnce(socket, 'SELECT count(*)::int AS count FROM entries WHERE writer = 9')).toEqual([
      { count: 0 },
    ]);
    expect(await queryOnce(socket, 'SELECT slot_name FROM pg_replication_slots')).toEqual([
      { slot_name: 'dormouse_0123456789abcdef' },
    ]);
  } finally {
    await Promise.all(writers.map((writer) => writer.end()));
  }
  await checkTransfers(
    socket,
    writers.map((writer) => writer.acknowledged()),
  );
  await owner.destroy(source);
});

it('a stopped database is copied without a start, whether it has to recover or not', async () => {
  const source = newId();
  await owner.create(source);
  const { socket } = await owner.hold(source);
  await queryOnce(socket, TRANSFERS_SQL);
  await owner.release(source);
  await owner.stop(source);
  const { generation } = await owner.state(source);
  const clean = await owner.branch(source, newId());
  expect(clean.way).toBe('files');
  expect(await owner.state(source)).toMatchObject({ state: 'stopped', generation });
  // Of the WAL, the copy holds only the part that its first start reads.
  const wal = readdirSync(join(clean.directory, 'pgdata', 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name));
  expect(wal.length).toBeLessThanOrEqual(2);
  await owner.hold(testId(next));
  await checkTransfers(clean.socket, [0]);
  expect(await queryOnce(clean.socket, 'SELECT * FROM scratchpad')).toEqual([{ v: 1 }]);
  const [own, shown] = await identities(clean.directory, clean.socket);
  expect(own).toBe(shown);

  // After a crash, many segments of WAL wait to be replayed, under the new identity.
  await owner.hold(source);
  await queryOnce(socket, 'CREATE TABLE bulk AS SELECT i, md5(i::text) AS v FROM generate_series(1, 50000) i');
  process.kill(postmasterPid((await owner.state(source)).directory) as number, 'SIGKILL');
  await until(async () => (await owner.state(source)).state === 'stopped', { what: 'the end of a killed server' });
  const crashed = await owner.branch(source, newId());
  expect(crashed.way).toBe('files');
  await owner.hold(testId(next));
  expect(await queryOnce(crashed.socket, 'SELECT count(*)::int AS count FROM bulk')).toEqual([{ count: 50_000 }]);
  expect(await queryOnce(crashed.socket, 'SELECT * FROM scratchpad')).toEqual([]);
  const ids = await Promise.all([clean, crashed].map((branch) => identities(branch.directory, branch.socket)));
  expect(new Set(ids.flat()).size).toBe(2);
});

it('a copy at rest stops a running source, and clients of the source wait', async () => {
  const source = newId();
  await owner.create(source);
  const { socket } = await owner.hold(source);
  await queryOnce(socket, TRANSFERS_SQL);
  const branching = owner.branch(source, newId(), true);
  await until(async () => (await owner.state(source)).state !== 'running', { what: 'the stop of the source' });
  const [branch] = await Promise.all([branching, owner.hold(source)]);
  expect(branch.way).toBe('files');
  await checkTransfers(socket, [0]);
});

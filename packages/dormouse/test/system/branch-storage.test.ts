import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readControlFile } from '../../src/instance/control-file.ts';
import { connectTo, type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { until } from '../support/until.ts';

// Copies of databases below the platform: what goes along, and what does not.

let home: Scratch;
let owner: Owner;
let next = 0;
const newId = (): string => testId(++next);

beforeAll(async () => {
  home = scratch('branch');
  owner = await startOwner({ dataDirectory: join(home.path, 'data'), rest: { suspendAfterMs: 1e9 } });
  await owner.prepare();
});
afterAll(async () => {
  await owner?.close().catch(() => {});
  home?.remove();
});

/** The identity as the files say and as the server says. */
async function identities(directory: string, socket: string): Promise<[bigint, bigint]> {
  const [row] = await queryOnce(socket, 'SELECT system_identifier::text AS id FROM pg_control_system()', 'dormouse');
  return [(await readControlFile(join(directory, 'pgdata'))).systemId, BigInt(row?.id as string)];
}

const SHOP = `
  CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
  INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 100) i;
  CREATE TABLE entries (id bigserial PRIMARY KEY, writer int NOT NULL, sequence int NOT NULL, UNIQUE (writer, sequence));
  CREATE UNLOGGED TABLE scratchpad (v int);
  INSERT INTO scratchpad VALUES (1);
`;

/** Moves money between accounts and writes an entry, in one transaction each, until told to end. Counts what was acknowledged. */
function startWriter(socket: string, writer: number): { readonly acknowledged: () => number; end(): Promise<void> } {
  let over = false;
  let sequence = 0;
  let acknowledged = 0;
  const work = (async () => {
    const client: pg.Client = await connectTo(socket);
    try {
      while (!over) {
        sequence++;
        const from = 1 + ((sequence * 7 + writer) % 100);
        const to = 1 + ((sequence * 13 + writer * 31) % 100);
        const [low, high] = from < to ? [from, to] : [to, from];
        await client.query(`BEGIN;
          SELECT FROM accounts WHERE id IN (${low}, ${high}) ORDER BY id FOR UPDATE;
          UPDATE accounts SET balance = balance - 1 WHERE id = ${from};
          UPDATE accounts SET balance = balance + 1 WHERE id = ${to};
          INSERT INTO entries (writer, sequence) VALUES (${writer}, ${sequence}); COMMIT`);
        acknowledged = sequence;
      }
    } finally {
      await client.end().catch(() => {});
    }
  })();
  return {
    acknowledged: () => acknowledged,
    async end() {
      over = true;
      await work;
    },
  };
}

async function checkShop(socket: string, atLeast: readonly number[]): Promise<void> {
  expect(await queryOnce(socket, 'SELECT sum(balance)::int AS sum FROM accounts')).toEqual([{ sum: 100_000 }]);
  for (const [writer, least] of atLeast.entries()) {
    const [row] = await queryOnce(
      socket,
      `SELECT coalesce(max(sequence), 0)::int AS last, count(*)::int AS count FROM entries WHERE writer = ${writer}`,
    );
    // Its entries without a hole, and every one that was acknowledged before the call.
    expect(row?.count).toBe(row?.last);
    expect(row?.last).toBeGreaterThanOrEqual(least);
  }
}

it('copies a database under writes: nothing acknowledged is missing, sums hold, the source never stops', async () => {
  const source = newId();
  const { directory } = await owner.create(source);
  const { socket } = await owner.hold(source);
  await queryOnce(socket, SHOP);
  await queryOnce(
    socket,
    "SELECT pg_create_logical_replication_slot('dormouse_0123456789abcdef', 'pgoutput')",
    'dormouse',
  );
  const writers = [0, 1].map((writer) => startWriter(socket, writer));
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
    await checkShop(branch.socket, before);
    expect(await queryOnce(branch.socket, 'SELECT * FROM scratchpad')).toEqual([]);
    expect(await queryOnce(branch.socket, 'SELECT slot_name FROM pg_replication_slots')).toEqual([]);
    const [own, shown] = await identities(branch.directory, branch.socket);
    expect(own).toBe(shown);
    expect(own).not.toBe((await identities(directory, socket))[0]);
    // It is a database like any other: it writes, crashes, recovers, and is copied again.
    const copied = (await queryOnce(branch.socket, 'SELECT count(*)::int AS count FROM entries'))[0]?.count as number;
    await queryOnce(branch.socket, 'INSERT INTO entries (writer, sequence) VALUES (9, 1)');
    const again = newId();
    const second = await owner.branch(id, again);
    await owner.hold(again);
    expect(await queryOnce(second.socket, 'SELECT count(*)::int AS count FROM entries')).toEqual([
      { count: copied + 1 },
    ]);
    // The source went on, knows nothing of it, and keeps no slot of the copy.
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
  await checkShop(
    socket,
    writers.map((writer) => writer.acknowledged()),
  );
  await owner.destroy(source);
});

it('copies a stopped database without starting it, with or without recovery to do', async () => {
  const source = newId();
  await owner.create(source);
  const { socket } = await owner.hold(source);
  await queryOnce(socket, SHOP);
  await owner.release(source);
  await owner.stop(source);
  const { generation } = await owner.state(source);
  const clean = await owner.branch(source, newId());
  expect(clean.way).toBe('files');
  expect(await owner.state(source)).toMatchObject({ state: 'stopped', generation });
  await owner.hold(testId(next));
  await checkShop(clean.socket, [0]);
  expect(await queryOnce(clean.socket, 'SELECT * FROM scratchpad')).toEqual([{ v: 1 }]);
  const [own, shown] = await identities(clean.directory, clean.socket);
  expect(own).toBe(shown);

  // Crashed: many segments of WAL wait to be replayed, under the new identity.
  await owner.hold(source);
  await queryOnce(socket, 'CREATE TABLE bulk AS SELECT i, md5(i::text) AS v FROM generate_series(1, 50000) i');
  const [{ pid } = {}] = await queryOnce(
    socket,
    "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid",
    'dormouse',
  );
  process.kill(pid as number, 'SIGKILL');
  await until(async () => (await owner.state(source)).state === 'stopped', { what: 'the end of a killed server' });
  const crashed = await owner.branch(source, newId());
  expect(crashed.way).toBe('files');
  await owner.hold(testId(next));
  expect(await queryOnce(crashed.socket, 'SELECT count(*)::int AS count FROM bulk')).toEqual([{ count: 50_000 }]);
  expect(await queryOnce(crashed.socket, 'SELECT * FROM scratchpad')).toEqual([]);
  const ids = await Promise.all([clean, crashed].map((branch) => identities(branch.directory, branch.socket)));
  expect(new Set(ids.flat()).size).toBe(2);
});

it('stops a running source for a copy at rest, and lets who needs it wait', async () => {
  const source = newId();
  await owner.create(source);
  const { socket } = await owner.hold(source);
  await queryOnce(socket, SHOP);
  const branching = owner.branch(source, newId(), true);
  await until(async () => (await owner.state(source)).state !== 'running', { what: 'the stop of the source' });
  const [branch] = await Promise.all([branching, owner.hold(source)]);
  expect(branch.way).toBe('files');
  await checkShop(socket, [0]);
});

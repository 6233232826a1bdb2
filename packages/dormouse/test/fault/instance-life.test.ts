import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTo, type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { processesOf } from '../support/reaper.mjs';
import { type Scratch, scratch } from '../support/scratch.ts';
import { until } from '../support/until.ts';

let home: Scratch;
let owner: Owner;

beforeAll(async () => {
  home = scratch('instance');
  owner = await startOwner({ dataDirectory: join(home.path, 'data'), rest: { suspendAfterMs: 1e9 } });
  await owner.prepare();
});
afterAll(async () => {
  await owner?.close().catch(() => {});
  home?.remove();
});

describe('a new database', () => {
  it('a new database is a small copy that starts, is suspended, wakes and stops, and keeps its rows', async () => {
    const id = testId(1);
    expect((await owner.create(id)).state).toBe('stopped');
    const { socket, state, directory } = await owner.hold(id);
    expect(state).toBe('running');
    const session = await connectTo(socket);
    await session.query('CREATE TABLE t (id serial PRIMARY KEY, v text)');
    await session.query("INSERT INTO t (v) VALUES ('before')");
    await owner.release(id);
    expect((await owner.suspend(id)).state).toBe('suspended');
    // None of its processes runs, and the open session goes on after the thaw where it was.
    const states = processesOf(directory).map(
      (pid) => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1],
    );
    expect(states.length).toBeGreaterThan(5);
    let answered = false;
    const pending = session.query("INSERT INTO t (v) VALUES ('asleep')").then(() => {
      answered = true;
    });
    expect(processesOf(directory).length).toBe(states.length);
    expect(answered).toBe(false);
    expect((await owner.hold(id)).state).toBe('running');
    await pending;
    await owner.release(id);
    expect((await owner.stop(id)).state).toBe('stopped');
    expect(processesOf(directory)).toEqual([]);
    expect(existsSync(join(directory, 'process.json'))).toBe(false);
    await owner.hold(id);
    expect(await queryOnce(socket, 'SELECT v FROM t ORDER BY id')).toEqual([{ v: 'before' }, { v: 'asleep' }]);
    await owner.release(id);
  });

  it('a new database takes 18 MB of disk at most when it is stopped', async () => {
    const id = testId(2);
    const { directory } = await owner.create(id);
    await owner.wake(id);
    await owner.stop(id);
    const kib = Number(execFileSync('du', ['-sk', directory], { encoding: 'utf8' }).split('\t')[0]);
    expect(kib).toBeLessThan(18 * 1024);
  });

  it('a new database gives each role the rights it needs, and no more', async () => {
    const id = testId(3);
    await owner.create(id);
    const { socket } = await owner.hold(id);
    const as = (user: string, sql: string): Promise<unknown> =>
      queryOnce(socket, sql, user).catch((error: { code?: string }) => error.code);
    await as('owner', 'CREATE TABLE t (id serial PRIMARY KEY, v text)');
    await as('owner', 'CREATE SCHEMA later; CREATE TABLE later.u (id bigint GENERATED ALWAYS AS IDENTITY, v text)');
    // The rights also hold for objects that the owner makes later, sequences included.
    expect(await as('writer', "INSERT INTO t (v) VALUES ('w') RETURNING id")).toEqual([{ id: 1 }]);
    expect(await as('writer', "INSERT INTO later.u (v) VALUES ('w') RETURNING id")).toEqual([{ id: '1' }]);
    expect(await as('writer', "SELECT nextval('t_id_seq') AS n")).toEqual([{ n: '2' }]);
    expect(await as('writer', "UPDATE t SET v = 'x' RETURNING v")).toEqual([{ v: 'x' }]);
    expect(await as('writer', 'DELETE FROM later.u RETURNING v')).toEqual([{ v: 'w' }]);
    expect(await as('reader', 'SELECT v FROM t')).toEqual([{ v: 'x' }]);
    const denied = '42501';
    expect(await as('reader', "INSERT INTO t (v) VALUES ('r')")).toBe(denied);
    expect(await as('reader', 'CREATE TEMP TABLE x (i int)')).toBe(denied);
    expect(await as('writer', 'CREATE TABLE x (i int)')).toBe(denied);
    expect(await as('writer', 'DROP TABLE t')).toBe(denied);
    expect(await as('owner', 'CREATE DATABASE shadow')).toEqual([]);
    // The owner may create roles for grants and policies; they give no further rights (owner-rights.test.ts).
    expect(await as('owner', 'CREATE ROLE other')).toEqual([]);
    for (const right of ['SUPERUSER', 'REPLICATION', 'BYPASSRLS']) {
      expect(await as('owner', `CREATE ROLE more ${right}`)).toBe(denied);
    }
    for (const user of ['writer', 'reader']) expect(await as(user, 'CREATE ROLE more')).toBe(denied);
    expect(await as('owner', "ALTER SYSTEM SET fsync = 'off'")).toBe(denied);
    expect(await as('owner', "COPY t TO PROGRAM 'true'")).toBe(denied);
    for (const user of ['owner', 'writer', 'reader']) {
      expect(
        await as(
          user,
          'SELECT rolsuper, rolbypassrls, rolreplication, rolcreaterole FROM pg_roles WHERE rolname = current_user',
        ),
      ).toEqual([{ rolsuper: false, rolbypassrls: false, rolreplication: false, rolcreaterole: user === 'owner' }]);
      expect(await as(user, 'SET ROLE dormouse')).toBe(denied);
    }
    await owner.release(id);
  });

  it('a server runs with durable settings, as an account that is not root, in a process session of its own', async () => {
    const id = testId(4);
    await owner.create(id);
    const { socket, directory } = await owner.hold(id);
    const [row] = await queryOnce(
      socket,
      "SELECT current_setting('fsync') f, current_setting('full_page_writes') p, current_setting('data_checksums') c, current_setting('wal_level') w, current_setting('listen_addresses') l, current_setting('io_method') i",
    );
    expect(row).toEqual({ f: 'on', p: 'on', c: 'on', w: 'logical', l: '', i: 'sync' });
    const { pid } = JSON.parse(readFileSync(join(directory, 'process.json'), 'utf8')) as { pid: number };
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).not.toBe('0');
    // Field 6 is the process session: the server's own, not that of the platform.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    expect(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]).toBe(String(pid));
    // No other account can reach the socket.
    expect(statSync(join(directory, 'run')).mode & 0o777).toBe(0o700);
    await owner.release(id);
  });

  it('a database that is destroyed leaves nothing behind, whatever its state was', async () => {
    for (const [n, prepare] of [
      [10, async () => {}],
      [11, async (id: string) => void (await owner.wake(id))],
      [12, async (id: string) => void (await owner.wake(id).then(() => owner.suspend(id)))],
    ] as const) {
      const id = testId(n);
      const { directory } = await owner.create(id);
      await prepare(id);
      await owner.destroy(id);
      expect(processesOf(directory)).toEqual([]);
      expect(readdirSync(join(home.path, 'data', 'databases')).filter((name) => name.includes(id))).toEqual([]);
      await expect(owner.hold(id)).rejects.toMatchObject({
        code: expect.stringMatching(/start_failed|database_deleted/),
      });
    }
  });

  it('the log of a server stays bounded', async () => {
    const id = testId(13);
    const { directory } = await owner.create(id);
    const log = join(directory, 'postgres.log');
    writeFileSync(log, 'x'.repeat(3 * 1024 * 1024));
    await owner.wake(id);
    expect(statSync(log).size).toBeLessThan(1024 * 1024);
    const { socket } = await owner.hold(id);
    // A freeze truncates the log of the running server. Messages that a tenant raises are never in the log.
    const raise = "DO $$ BEGIN FOR i IN 1..1100 LOOP RAISE LOG '%', repeat('y', 1000); END LOOP; END $$";
    await queryOnce(socket, raise);
    expect(statSync(log).size).toBeLessThan(1024 * 1024);
    await queryOnce(socket, raise, 'dormouse');
    expect(statSync(log).size).toBeGreaterThan(1024 * 1024);
    await owner.release(id);
    await owner.suspend(id);
    expect(statSync(log).size).toBeLessThan(1024 * 1024);
    await owner.wake(id);
    await owner.stop(id);
    expect(readFileSync(log, 'utf8')).toContain('database system is shut down');
    expect(readFileSync(log, 'latin1')).not.toContain('\0');
  });
});

describe('the set-up', () => {
  it('the set-up restores lost symlinks and makes an incomplete template anew', async () => {
    const place = scratch('setup');
    try {
      const dataDirectory = join(place.path, 'data');
      const first = await startOwner({ dataDirectory });
      await first.prepare();
      await first.close();
      const [build] = readdirSync(join(dataDirectory, 'postgres'));
      const libraries = join(dataDirectory, 'postgres', build ?? '', 'lib');
      rmSync(join(libraries, 'libpq.so.5'));
      writeFileSync(join(libraries, 'libecpg.so.6'), 'a package manager was here');
      rmSync(join(dataDirectory, 'template', '18', 'template.json'));
      mkdirSync(join(dataDirectory, 'template', '.new-18', 'pgdata'), { recursive: true });
      const second = await startOwner({ dataDirectory });
      await second.prepare();
      expect(existsSync(join(libraries, 'libpq.so.5'))).toBe(true);
      expect(readdirSync(join(dataDirectory, 'template'))).toEqual(['18']);
      await second.create(testId(1));
      expect((await second.wake(testId(1))).state).toBe('running');
      await second.close();
    } finally {
      place.remove();
    }
  });

  it('a second platform on the same data is refused, and is accepted once the first is killed', async () => {
    const place = scratch('two');
    try {
      const dataDirectory = join(place.path, 'data');
      const first = await startOwner({ dataDirectory });
      await expect(startOwner({ dataDirectory })).rejects.toMatchObject({ code: 'data_locked' });
      await first.kill();
      const second = await startOwner({ dataDirectory });
      await second.close();
    } finally {
      place.remove();
    }
  });

  it('databases work below a path that is too long for a socket address', async () => {
    const place = scratch('deep');
    try {
      const deep = join(place.path, ...Array.from({ length: 6 }, (_, n) => `directory-${n}-${'x'.repeat(40)}`));
      const one = await startOwner({ dataDirectory: deep });
      await one.prepare();
      await one.create(testId(1));
      const { socket } = await one.hold(testId(1));
      expect(await queryOnce(socket, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await one.close();
    } finally {
      place.remove();
    }
  });

  it.skipIf(process.getuid?.() !== 0)(
    'a platform that does not run as root runs servers as its own account',
    async () => {
      const place = scratch('plain');
      try {
        const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
        const identity = { uid: id('-u'), gid: id('-g') };
        const dataDirectory = join(place.path, 'data');
        mkdirSync(dataDirectory);
        execFileSync('chown', [`${identity.uid}:${identity.gid}`, dataDirectory]);
        const one = await startOwner({ dataDirectory }, identity);
        await one.prepare();
        await one.create(testId(1));
        const { socket, directory } = await one.hold(testId(1));
        expect(await queryOnce(socket, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
        await one.release(testId(1));
        await one.suspend(testId(1));
        await one.kill();
        const two = await startOwner({ dataDirectory }, identity);
        await two.prepare();
        expect(await two.recover([testId(1)])).toEqual({ adopted: [testId(1)], unknown: [] });
        await expect(startOwner({ dataDirectory, pgUser: 'postgres' }, identity)).rejects.toMatchObject({
          code: 'account_unusable',
        });
        await two.close();
        expect(processesOf(directory)).toEqual([]);
      } finally {
        place.remove();
      }
    },
  );

  it.skipIf(process.getuid?.() !== 0)(
    'a directory that the account may not enter is named before anything starts',
    async () => {
      const place = scratch('closed');
      try {
        const closed = join(place.path, 'closed');
        mkdirSync(closed);
        chmodSync(closed, 0o700);
        const failure = startOwner({ dataDirectory: join(closed, 'data') });
        await expect(failure).rejects.toMatchObject({
          code: 'account_unusable',
          message: expect.stringContaining(`cannot enter ${closed} `),
        });
        await expect(
          startOwner({ dataDirectory: join(place.path, 'd'), pgUser: 'nobody-of-this-name' }),
        ).rejects.toMatchObject({
          code: 'account_unusable',
        });
        await expect(startOwner({ dataDirectory: join(place.path, 'd'), pgUser: 'root' })).rejects.toMatchObject({
          code: 'account_unusable',
        });
      } finally {
        place.remove();
      }
    },
  );

  it('missing binaries are reported as such', async () => {
    const place = scratch('nobin');
    try {
      const one = await startOwner({ dataDirectory: join(place.path, 'data'), pgBins: [place.path] });
      await expect(one.prepare()).rejects.toMatchObject({ code: 'binaries_missing' });
      await one.close();
    } finally {
      place.remove();
    }
  });
});

describe('a server that does not start', () => {
  it('a server that does not start fails with the end of its log, and works again once the cause is gone', async () => {
    const id = testId(20);
    const { directory } = await owner.create(id);
    const control = join(directory, 'pgdata', 'global', 'pg_control');
    const good = readFileSync(control);
    writeFileSync(control, 'not this');
    await expect(owner.hold(id)).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('pg_control'),
    });
    expect((await owner.state(id)).state).toBe('failed');
    expect(processesOf(directory)).toEqual([]);
    writeFileSync(control, good);
    expect((await owner.wake(id)).state).toBe('running');
  });

  it('the settings of the platform are restored before every start of a server', async () => {
    const id = testId(21);
    const { directory } = await owner.create(id);
    writeFileSync(join(directory, 'pgdata', 'postgresql.conf'), 'this is no setting');
    expect((await owner.wake(id)).state).toBe('running');
  });

  it('a server is not started when its lifeline is not a pipe that the platform made', async () => {
    const id = testId(22);
    const { directory } = await owner.create(id);
    rmSync(join(directory, 'lifeline'));
    writeFileSync(join(directory, 'lifeline'), '');
    await expect(owner.hold(id)).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('lifeline'),
    });
    rmSync(join(directory, 'lifeline'));
    expect((await owner.wake(id)).state).toBe('running');
  });

  it('a database whose directory is gone is reported as such', async () => {
    await expect(owner.hold(testId(23))).rejects.toMatchObject({ code: 'start_failed' });
  });
});

describe('a full disk', () => {
  let place: Scratch;
  let mounted = false;
  beforeAll(() => {
    place = scratch('full');
    mkdirSync(join(place.path, 'data'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=150m', 'tmpfs', join(place.path, 'data')], { stdio: 'pipe' });
      mounted = true;
    } catch (error) {
      console.warn(
        `skipped: a full disk needs a small file system, and mount is not permitted here (${String(error)})`,
      );
    }
  });
  afterAll(() => {
    if (mounted) execFileSync('umount', ['-l', join(place.path, 'data')]);
    place.remove();
  });

  it('a full disk is named as the cause, and every acknowledged row is there once there is room again', async ({
    skip,
  }) => {
    if (!mounted) skip();
    const dataDirectory = join(place.path, 'data');
    const one = await startOwner({ dataDirectory });
    try {
      await one.prepare();
      const id = testId(1);
      await one.create(id);
      const { socket } = await one.hold(id);
      await queryOnce(socket, 'CREATE TABLE t (i int)');
      await queryOnce(socket, 'INSERT INTO t SELECT generate_series(1, 1000)');
      await one.release(id);
      await one.stop(id);
      const ballast = join(dataDirectory, 'ballast');
      try {
        execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096'], { stdio: 'pipe' });
      } catch {
        // The statement fails when the disk is full.
      }
      await expect(one.hold(id)).rejects.toMatchObject({ code: 'disk_full' });
      await expect(one.create(testId(2))).rejects.toMatchObject({ code: 'disk_full' });
      expect(readdirSync(join(dataDirectory, 'databases'))).toEqual([id]);
      rmSync(ballast);
      await until(async () => (await one.wake(id)).state === 'running', { what: 'room again' });
      expect(await queryOnce(socket, 'SELECT count(*)::int AS n FROM t')).toEqual([{ n: 1000 }]);
    } finally {
      await one.close();
    }
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { postmastersOf as postmasters } from '../support/instance-faults.ts';
import { connectTo, type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { processesOf } from '../support/reaper.mjs';
import { type Scratch, scratch } from '../support/scratch.ts';
import { until } from '../support/until.ts';

interface ProcessFile {
  pid: number;
  startTime: string;
  bootId: string;
}

const recordOf = (directory: string): ProcessFile =>
  JSON.parse(readFileSync(join(directory, 'process.json'), 'utf8')) as ProcessFile;

/** The directory of a process's cgroup of version 2. */
function groupOf(pid: number): string | undefined {
  const mount = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[2] === 'cgroup2')?.[1];
  const path = /^0::(?<path>.+)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.groups?.path;
  return mount === undefined || path === undefined || path === '/' ? undefined : join(mount, path);
}

const cgroups =
  process.platform === 'linux' &&
  readFileSync('/proc/self/mounts', 'utf8').includes(' cgroup2 ') &&
  process.getuid?.() === 0;

describe.each(cgroups ? (['cgroup', 'signal'] as const) : (['signal'] as const))(
  'kill -9, servers frozen by %s',
  (freezer) => {
    let home: Scratch;
    let owner: Owner;
    let next = 0;
    let ids: string[] = [];
    const options = (): Parameters<typeof startOwner>[0] => ({
      dataDirectory: join(home.path, 'data'),
      freezer,
      rest: { suspendAfterMs: 1e9 },
      // These platforms cover both ways to freeze a server and both kinds of isolation.
      ...(freezer === 'signal' ? { isolation: 'process' as const } : {}),
    });
    let isolation = '';

    /** Starts a new platform on the existing data. */
    const platform = async (): Promise<Owner> => {
      const one = await startOwner(options());
      ({ isolation } = await one.prepare());
      return one;
    };
    const database = async (): Promise<{ id: string; socket: string; directory: string }> => {
      const id = testId(next++);
      await owner.create(id);
      ids.push(id);
      const { socket, directory } = await owner.hold(id);
      await queryOnce(socket, 'CREATE TABLE t (i int PRIMARY KEY)');
      await queryOnce(socket, 'INSERT INTO t VALUES (1)');
      await owner.release(id);
      return { id, socket, directory };
    };
    const rows = (socket: string): Promise<unknown> => queryOnce(socket, 'SELECT i FROM t ORDER BY i');

    beforeAll(async () => {
      home = scratch('kill');
      await prepareDataDirectory(join(home.path, 'data'));
      owner = await platform();
    });
    beforeEach(async () => {
      for (const id of ids) await owner.destroy(id);
      ids = [];
    });
    afterAll(async () => {
      await owner?.close().catch(() => {});
      home?.remove();
    });

    it.each(['running', 'suspended'] as const)(
      'kill -9 of a %s postmaster is noticed at once, and the next hold finds every row',
      async (state) => {
        const { id, socket, directory } = await database();
        if (state === 'suspended') await owner.suspend(id);
        const { generation } = await owner.state(id);
        process.kill(recordOf(directory).pid, 'SIGKILL');
        await until(async () => (await owner.state(id)).state === 'stopped', { what: 'the crash to be seen' });
        expect(processesOf(directory)).toEqual([]);
        const held = await owner.hold(id);
        expect(held.generation).toBeGreaterThan(generation);
        expect(await rows(socket)).toEqual([{ i: 1 }]);
        await owner.release(id);
      },
    );

    it('after kill -9 of a postmaster that a caller waits for, the late report of its end does not end the postmaster that replaced it', async () => {
      const { id, socket, directory } = await database();
      await owner.hold(id);
      for (let round = 0; round < 8; round++) {
        const { generation } = await owner.crash(id);
        await owner.release(id);
        // This runs after whatever the report made the runtime do, because operations on a server run one after the
        // other.
        expect(await owner.suspend(id)).toMatchObject({ state: 'suspended', generation });
        expect(postmasters(directory)).toHaveLength(1);
        await owner.hold(id);
        expect(await rows(socket)).toEqual([{ i: 1 }]);
      }
    });

    it('kill -9 of a backend or of the checkpointer ends the whole server, and the next hold finds every row', async () => {
      const { id, socket, directory } = await database();
      for (const name of ['checkpointer', 'owner postgres']) {
        await owner.hold(id);
        const session = await connectTo(socket);
        const victim = processesOf(directory).find((pid) =>
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(name),
        );
        process.kill(victim as number, 'SIGKILL');
        await until(async () => (await owner.state(id)).state === 'stopped', {
          what: `the end of the ${name} to be seen`,
        });
        expect(processesOf(directory)).toEqual([]);
        await session.end().catch(() => {});
      }
      await owner.hold(id);
      expect(await rows(socket)).toEqual([{ i: 1 }]);
    });

    it('after kill -9 of the platform the next platform adopts running and frozen servers, and starts stopped databases', async () => {
      const [running, suspended, stopped] = [await database(), await database(), await database()];
      await owner.suspend(suspended.id);
      await owner.stop(stopped.id);
      const session = await connectTo(running.socket);
      const pids = [running, suspended].map(({ directory }) => recordOf(directory).pid);
      await owner.kill();
      // Open sessions go on, because the server is not affected.
      await session.query('INSERT INTO t VALUES (2)');
      owner = await platform();
      const found = await owner.recover(ids);
      expect(new Set(found.adopted)).toEqual(new Set([running.id, suspended.id]));
      expect([running, suspended].map(({ directory }) => recordOf(directory).pid)).toEqual(pids);
      expect((await session.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 2 }]);
      await session.end();
      for (const { id, socket } of [running, suspended, stopped]) {
        await owner.hold(id);
        expect(await rows(socket)).toEqual(id === running.id ? [{ i: 1 }, { i: 2 }] : [{ i: 1 }]);
        await owner.release(id);
        // An adopted server can be suspended, woken, stopped and started like any other.
        expect((await owner.suspend(id)).state).toBe('suspended');
        expect((await owner.wake(id)).state).toBe('running');
        expect((await owner.stop(id)).state).toBe('stopped');
        await owner.hold(id);
        await owner.release(id);
      }
    });

    it.each(['running', 'suspended'] as const)(
      'kill -9 of an adopted postmaster that is %s is noticed',
      async (state) => {
        const { id, socket, directory } = await database();
        await owner.kill();
        owner = await platform();
        expect((await owner.recover(ids)).adopted).toEqual([id]);
        if (state === 'suspended') await owner.suspend(id);
        process.kill(recordOf(directory).pid, 'SIGKILL');
        await until(async () => (await owner.state(id)).state === 'stopped', { what: 'the crash to be seen' });
        expect(processesOf(directory)).toEqual([]);
        await owner.hold(id);
        expect(await rows(socket)).toEqual([{ i: 1 }]);
      },
    );

    it.each(['running', 'suspended'] as const)(
      'after kill -9 of the platform and of a %s postmaster, orphaned processes are ended before a server starts',
      async (state) => {
        const { id, socket, directory } = await database();
        if (state === 'suspended') await owner.suspend(id);
        const { pid } = recordOf(directory);
        await owner.kill();
        process.kill(pid, 'SIGKILL');
        owner = await platform();
        expect((await owner.recover(ids)).adopted).toEqual([]);
        expect(processesOf(directory)).toEqual([]);
        await owner.hold(id);
        expect(await rows(socket)).toEqual([{ i: 1 }]);
      },
    );

    it.each(['lost', 'of an unrelated process', 'garbage'] as const)(
      'after kill -9 of the platform its server is found although the process record is %s, and no other process is harmed',
      async (kind) => {
        const { id, socket, directory } = await database();
        await owner.suspend(id);
        const file = join(directory, 'process.json');
        const { pid, ...record } = recordOf(directory);
        await owner.kill();
        let stranger: ChildProcess | undefined;
        try {
          if (kind === 'lost') rmSync(file);
          else if (kind === 'garbage') writeFileSync(file, '{"pid": ');
          else {
            stranger = spawn('sleep', ['1000'], { stdio: 'ignore' });
            writeFileSync(file, JSON.stringify({ ...record, pid: stranger.pid }));
          }
          owner = await platform();
          expect((await owner.recover(ids)).adopted).toEqual([id]);
          expect(recordOf(directory).pid).toBe(pid);
          expect(postmasters(directory)).toEqual([pid]);
          await owner.hold(id);
          expect(await rows(socket)).toEqual([{ i: 1 }]);
          expect(stranger?.exitCode ?? null).toBe(null);
        } finally {
          stranger?.kill('SIGKILL');
        }
      },
    );

    it('after kill -9 of the platform and without a recovery, a start ends the old server first', async () => {
      const { id, socket, directory } = await database();
      await owner.suspend(id);
      const { pid } = recordOf(directory);
      await owner.kill();
      owner = await platform();
      await owner.hold(id);
      expect(postmasters(directory)).toEqual([recordOf(directory).pid]);
      expect(recordOf(directory).pid).not.toBe(pid);
      expect(await rows(socket)).toEqual([{ i: 1 }]);
    });

    it('after kill -9 of the platform, a server that has lost its socket is ended, and the next hold starts a new server', async () => {
      const { id, socket, directory } = await database();
      await owner.kill();
      for (const name of readdirSync(join(directory, 'run'))) rmSync(join(directory, 'run', name));
      owner = await platform();
      expect((await owner.recover(ids)).adopted).toEqual([]);
      expect(processesOf(directory)).toEqual([]);
      await owner.hold(id);
      expect(await rows(socket)).toEqual([{ i: 1 }]);
    });

    it('after kill -9 of platform and server, a postmaster.pid that names a living process does not prevent a start', async () => {
      const { id, socket, directory } = await database();
      const { pid } = recordOf(directory);
      const lines = readFileSync(join(directory, 'pgdata', 'postmaster.pid'), 'latin1').split('\n');
      await owner.kill();
      process.kill(pid, 'SIGKILL');
      owner = await platform();
      await owner.recover(ids);
      lines[0] = String(owner.pid);
      writeFileSync(join(directory, 'pgdata', 'postmaster.pid'), lines.join('\n'));
      await owner.hold(id);
      expect(await rows(socket)).toEqual([{ i: 1 }]);
    });

    it('kill -9 of the platform while it creates or destroys a database leaves no half of a database', async () => {
      for (let round = 0; round < 6; round++) {
        const id = testId(next++);
        const doing = (round % 2 === 0 ? owner.create(id) : owner.create(id).then(() => owner.destroy(id))).catch(
          () => {},
        );
        const databases = join(home.path, 'data', 'databases');
        // The platform is killed as soon as a file of the database appears, or a little later.
        await until(() => readdirSync(databases).some((name) => name.includes(id)), { what: 'a trace of it' });
        if (round >= 2) await Promise.race([doing, new Promise((resolve) => setTimeout(resolve, round * 15))]);
        await owner.kill();
        await doing;
        owner = await platform();
        const there = readdirSync(databases).includes(id);
        const { unknown } = await owner.recover(there ? [id] : []);
        expect(unknown).toEqual([]);
        expect(readdirSync(databases)).toEqual(there ? [id] : []);
        if (!there) continue;
        expect((await owner.wake(id)).state).toBe('running');
        await owner.destroy(id);
      }
    });

    it('kill -9 of the platform at any moment of a transition leaves one server at most, no orphan, and every acknowledged row', async () => {
      const { id, socket, directory } = await database();
      let acknowledged = 1;
      for (let round = 0; round < 25; round++) {
        // Each round kills the platform during another transition, or at another moment of it.
        const transitions = [
          async () => void (await owner.stop(id).then(() => owner.wake(id))),
          async () => void (await owner.suspend(id)),
          async () => void (await owner.suspend(id).then(() => owner.wake(id))),
          async () => void (await owner.stop(id)),
          async () => void (await owner.suspend(id).then(() => owner.stop(id))),
        ] as const;
        await owner.hold(id);
        await queryOnce(socket, `INSERT INTO t VALUES (${acknowledged + 1})`);
        acknowledged += 1;
        await owner.release(id);
        const going = transitions[round % transitions.length]?.().catch(() => {});
        const killAfterMs = Math.floor(round / transitions.length) * 7 + (round % 3);
        await new Promise((resolve) => setTimeout(resolve, killAfterMs));
        await owner.kill();
        await going;
        expect(postmasters(directory).length).toBeLessThanOrEqual(1);
        owner = await platform();
        const { adopted } = await owner.recover(ids);
        expect(postmasters(directory).length).toBe(adopted.length);
        await owner.hold(id);
        expect(postmasters(directory)).toEqual([recordOf(directory).pid]);
        expect(await queryOnce(socket, 'SELECT count(*)::int AS n FROM t')).toEqual([{ n: acknowledged }]);
        await owner.release(id);
      }
    });

    it('kill -9 of a server whose database is then deleted leaves no shared memory', async () => {
      const memory = (): string[] => [
        ...readdirSync('/dev/shm').filter((name) => name.startsWith('PostgreSQL.')),
        ...readFileSync('/proc/sysvipc/shm', 'utf8')
          .split('\n')
          .slice(1)
          .map((line) => `System V ${line.trim().split(/\s+/)[1]}`),
      ];
      const { id, directory } = await database();
      const { pid } = recordOf(directory);
      const mapped = readFileSync(`/proc/${pid}/maps`, 'utf8');
      // The seventh line of postmaster.pid holds the key and the id of the segment, as pg_ctl reads it.
      const segment = readFileSync(join(directory, 'pgdata', 'postmaster.pid'), 'latin1')
        .split('\n')[6]
        ?.trim();
      const systemV = `System V ${segment?.split(/\s+/)[1]}`;
      const own = memory().filter((name) =>
        name.startsWith('System V ')
          ? mapped.includes('/SYSV') && name === systemV
          : mapped.includes(`/dev/shm/${name}`),
      );
      // In a sandbox all shared memory belongs to the sandbox and ends with it.
      expect(own.length).toBe(isolation === 'sandbox' ? 0 : 2);
      process.kill(pid, 'SIGKILL');
      await until(async () => (await owner.state(id)).state === 'stopped', { what: 'the crash to be seen' });
      expect(memory()).toEqual(expect.arrayContaining(own));
      await owner.destroy(id);
      expect(memory().filter((name) => own.includes(name))).toEqual([]);
    });

    it('a closed platform leaves no process and no group', async () => {
      await database();
      const { id } = await database();
      const freezes = groupOf(recordOf((await owner.suspend(id)).directory).pid);
      await owner.close();
      expect(processesOf(home.path)).toEqual([]);
      if (freezer === 'cgroup') {
        expect(freezes).toContain(id);
        expect(existsSync(join(freezes as string, '..'))).toBe(false);
      }
      owner = await platform();
    });
  },
);

describe.runIf(cgroups)('servers frozen in another way than the platform’s', () => {
  it.each([
    ['cgroup', 'signal'],
    ['signal', 'cgroup'],
  ] as const)('a server frozen by %s is adopted by a platform that freezes by %s', async (before, after) => {
    const home = scratch('other');
    try {
      const dataDirectory = join(home.path, 'data');
      const id = testId(1);
      const first = await startOwner({ dataDirectory, freezer: before });
      await first.prepare();
      const { directory } = await first.create(id);
      await first.wake(id);
      await first.suspend(id);
      await first.kill();
      const second = await startOwner({ dataDirectory, freezer: after });
      await second.prepare();
      expect((await second.recover([id])).adopted).toEqual([id]);
      const { socket } = await second.hold(id);
      expect(await queryOnce(socket, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await second.release(id);
      expect((await second.suspend(id)).state).toBe('suspended');
      await second.close();
      expect(processesOf(directory)).toEqual([]);
    } finally {
      home.remove();
    }
  });
});

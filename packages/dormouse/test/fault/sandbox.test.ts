import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { connectTo, type Owner, OwnerError, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { processesOf } from '../support/reaper.mjs';
import { type Scratch, scratch } from '../support/scratch.ts';
import { until } from '../support/until.ts';

// What a server in a sandbox can reach, and that two servers never run on one data directory: inside a sandbox
// Postgres's own checks cannot see another server.

let home: Scratch;
let owner: Owner;
let works = false;
let next = 0;

const dataDirectory = (): string => join(home.path, 'data');

async function platform(): Promise<Owner> {
  const one = await startOwner({
    dataDirectory: dataDirectory(),
    freezer: 'signal',
    isolation: 'sandbox',
    rest: { suspendAfterMs: 1e9 },
  });
  await one.prepare();
  return one;
}

interface Place {
  readonly id: string;
  readonly socket: string;
  readonly directory: string;
}

async function database(): Promise<Place> {
  const id = testId(next++);
  await owner.create(id);
  const { socket, directory } = await owner.hold(id);
  await queryOnce(socket, 'CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1)');
  await owner.release(id);
  return { id, socket, directory };
}

const rowsOf = (socket: string): Promise<unknown> => queryOnce(socket, 'SELECT i FROM t ORDER BY i');

/** The postmasters on a data directory: in a sandbox they are process 1 of their namespace. */
function postmasters(directory: string): number[] {
  return processesOf(directory).filter((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      return command[0]?.endsWith('/postgres') && command.includes('-D') && /\t1$/m.test(namespacePids(pid));
    } catch {
      return false;
    }
  });
}

function namespacePids(pid: number): string {
  return /^NSpid:.*$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[0] ?? '';
}

function recordedPid(directory: string): number {
  return (JSON.parse(readFileSync(join(directory, 'process.json'), 'utf8')) as { pid: number }).pid;
}

function keeperOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

beforeAll(async () => {
  home = scratch('sandbox');
  await prepareDataDirectory(dataDirectory());
  try {
    owner = await platform();
    works = true;
  } catch (error) {
    if (!(error instanceof OwnerError) || error.code !== 'usage_invalid') throw error;
    console.warn(`skipped: ${error.message}`);
  }
});
afterAll(async () => {
  await owner?.close().catch(() => {});
  home?.remove();
});

describe('a server in a sandbox', () => {
  it('a server in a sandbox reaches its own directory and the binaries and nothing else, even as superuser', async ({
    skip,
  }) => {
    if (!works) skip();
    const other = await database();
    const { socket, directory } = await database();
    /** The result of a statement of the superuser, or its SQLSTATE if it fails. */
    const ask = async (on: string, sql: string): Promise<unknown> => {
      const client = await connectTo(on, 'dormouse');
      try {
        return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
      } catch (error) {
        return (error as { code?: string }).code;
      } finally {
        await client.end();
      }
    };
    const attempts = [
      "SELECT pg_read_file('/etc/passwd')",
      `SELECT pg_read_file('${other.directory}/pgdata/PG_VERSION')`,
      `SELECT pg_ls_dir('${dataDirectory()}/template')`,
      `SELECT pg_ls_dir('${home.path}/../..')`,
      `SELECT pg_read_file('../process.json')`,
      `SELECT pg_read_file('/proc/${owner.pid}/cmdline')`,
    ];
    const outside = await startOwner({ dataDirectory: join(home.path, 'plain'), isolation: 'process' });
    try {
      await outside.prepare();
      const id = testId(900);
      await outside.create(id);
      const plain = await outside.hold(id);
      // The attempts are real: outside a sandbox they succeed at whatever the account may do.
      expect(await ask(plain.socket, attempts[0] as string)).toHaveLength(1);
      expect(await ask(plain.socket, attempts[1] as string)).toEqual(['18\n']);
      expect(await ask(plain.socket, "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")).toEqual([]);
    } finally {
      await outside.close();
    }
    await owner.wake(other.id);
    for (const sql of attempts.filter((_, index) => index !== 3)) expect(await ask(socket, sql), sql).toBe('58P01');
    expect(await ask(socket, `SELECT pg_ls_dir('${dataDirectory()}/databases')`)).toEqual([
      directory.split('/').at(-1),
    ]);
    expect(new Set((await ask(socket, `SELECT pg_ls_dir('${directory}')`)) as string[])).toEqual(
      new Set(['pgdata', 'run']),
    );
    // There is no shell, no writable place but its own directory, no network but its own loopback, and no process but
    // its own.
    expect(await ask(socket, "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")).not.toEqual([]);
    for (const path of ['/x', '/usr/lib/x', '/dev/x', '/proc/x']) {
      expect(await ask(socket, `COPY (SELECT 1) TO '${path}'`), path).toMatch(/25006|58P01|42501|58030|42809/);
    }
    const [network] = (await ask(socket, "SELECT pg_read_file('/proc/net/dev')")) as string[];
    expect(network?.match(/^\s*\S+:/gm)?.map((name) => name.trim())).toEqual(['lo:']);
    const processes = ((await ask(socket, "SELECT pg_ls_dir('/proc')")) as string[]).filter((name) =>
      /^\d+$/.test(name),
    );
    expect(processes).toContain('1');
    expect(processes.length).toBeLessThan(20);
  });

  it('a server in a sandbox has no capability, can gain none, and holds no directory of the machine open', async ({
    skip,
  }) => {
    if (!works) skip();
    const { id, directory } = await database();
    await owner.hold(id);
    const pid = recordedPid(directory);
    expect(namespacePids(pid)).toMatch(/\t1$/);
    const tree = processesOf(directory).filter((each) => each !== keeperOf(pid));
    expect(tree.length).toBeGreaterThan(4);
    for (const each of tree) {
      const status = readFileSync(`/proc/${each}/status`, 'latin1');
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
        expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, 'm'));
      }
      for (const namespace of ['user', 'pid', 'net', 'ipc', 'mnt', 'uts']) {
        expect(readlinkSync(`/proc/${each}/ns/${namespace}`)).not.toBe(readlinkSync(`/proc/self/ns/${namespace}`));
      }
      for (const fd of readdirSync(`/proc/${each}/fd`)) {
        expect(statSync(`/proc/${each}/fd/${fd}`, { throwIfNoEntry: false })?.isDirectory() ?? false).toBe(false);
      }
    }
    await owner.release(id);
  });

  it('a server in a sandbox runs parallel queries, can be suspended, woken and stopped, and leaves no process', async ({
    skip,
  }) => {
    if (!works) skip();
    const { id, socket, directory } = await database();
    await owner.hold(id);
    const session = await connectTo(socket);
    await session.query('SET debug_parallel_query = on; CREATE TABLE many AS SELECT generate_series(1, 20000) AS n');
    expect((await session.query('SELECT sum(n)::int AS sum FROM many')).rows).toEqual([{ sum: 200010000 }]);
    await owner.release(id);
    expect((await owner.suspend(id)).state).toBe('suspended');
    const reply = session.query('SELECT 1 AS one');
    expect((await owner.wake(id)).state).toBe('running');
    expect((await reply).rows).toEqual([{ one: 1 }]);
    expect((await owner.stop(id)).state).toBe('stopped');
    expect(processesOf(directory)).toEqual([]);
    await session.end().catch(() => {});
  });

  it('a server goes on when the supervisor of its sandbox is killed, and the end of the server is still noticed', async ({
    skip,
  }) => {
    if (!works) skip();
    const { id, socket, directory } = await database();
    const pid = recordedPid(directory);
    process.kill(keeperOf(pid), 'SIGKILL');
    await until(() => !readFileSync(`/proc/${keeperOf(pid)}/comm`, 'latin1').startsWith('bwrap'), {
      what: 'another parent',
    });
    await owner.suspend(id);
    await owner.hold(id);
    expect(recordedPid(directory)).toBe(pid);
    expect(await rowsOf(socket)).toEqual([{ i: 1 }]);
    await owner.release(id);
    process.kill(pid, 'SIGKILL');
    await until(async () => (await owner.state(id)).state === 'stopped', { what: 'the end to be seen' });
    await owner.hold(id);
    expect(await rowsOf(socket)).toEqual([{ i: 1 }]);
    await owner.release(id);
  });
});

describe('where no sandbox can be made', () => {
  /**
   * The isolation that is chosen when the account may make no user namespace. The program runs in a namespace in which
   * that is so.
   */
  function chosen(wanted: 'sandbox' | undefined): string {
    const [version] = readdirSync(join(dataDirectory(), 'postgres')).filter((name) => !name.startsWith('.'));
    const binaries = {
      bin: join(dataDirectory(), 'postgres', version as string, 'bin'),
      version: '18',
      major: 18,
      preload: [],
    };
    const account = { name: 'somebody', uid: 0, gid: 0, dropped: false };
    const program = `
      const { chooseIsolation } = await import(${JSON.stringify(new URL('../../dist/instance/confinement/isolation.js', import.meta.url).href)});
      const options = ${JSON.stringify({ account, binaries, ...(wanted ? { wanted } : {}) })};
      const { kind, reason } = await chooseIsolation(options).catch((error) => ({ kind: error.code, reason: error.message }));
      console.log(JSON.stringify([kind, reason]));`;
    const script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" --input-type=module -e "$1"';
    return execFileSync('unshare', ['--user', '--map-root-user', 'sh', '-c', script, process.execPath, program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
    }).trim();
  }

  it('servers run as plain processes where no sandbox can be made, the reason is given, and --isolation sandbox is refused', ({
    skip,
  }) => {
    if (!works) skip();
    const [kind, reason] = JSON.parse(chosen(undefined)) as string[];
    expect(kind).toBe('process');
    expect(reason).toMatch(/^bwrap: .*user namespaces may be switched off for the account "somebody"/);
    const refused = JSON.parse(chosen('sandbox')) as string[];
    expect(refused).toEqual([
      'usage_invalid',
      expect.stringContaining(`--isolation sandbox does not work here: ${reason}`),
    ]);
  });
});

describe('two postmasters on one data directory', () => {
  it.for([
    ['the record', ['process.json']],
    ['postmaster.pid', ['pgdata/postmaster.pid']],
    ['the record, postmaster.pid and the socket', ['process.json', 'pgdata/postmaster.pid', 'run/.s.PGSQL.5432']],
  ] as const)('removing %s does not lead to two postmasters on one data directory', async ([, files], { skip }) => {
    if (!works) skip();
    const { id, socket, directory } = await database();
    const before = recordedPid(directory);
    await owner.kill();
    for (const file of files) rmSync(join(directory, file));
    owner = await platform();
    // There is no recovery here: the start itself ends the server that it finds.
    await owner.hold(id);
    expect(postmasters(directory)).toEqual([recordedPid(directory)]);
    expect(recordedPid(directory)).not.toBe(before);
    expect(await rowsOf(socket)).toEqual([{ i: 1 }]);
  });

  it('a new lifeline does not lead to two postmasters on one data directory, because the lock on the data itself is held', async ({
    skip,
  }) => {
    if (!works) skip();
    const { id, socket, directory } = await database();
    const before = recordedPid(directory);
    await owner.kill();
    for (const file of ['process.json', 'lifeline']) rmSync(join(directory, file));
    execFileSync('mkfifo', ['-m', '600', join(directory, 'lifeline')]);
    owner = await platform();
    expect((await owner.recover([id])).adopted).toEqual([]);
    await expect(owner.hold(id)).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringMatching(/lock on .*PG_VERSION/),
    });
    expect(postmasters(directory)).toEqual([before]);
    process.kill(before, 'SIGINT');
    await until(() => owner.hold(id).catch(() => undefined), { what: 'its end, and another start' });
    expect(postmasters(directory)).toEqual([recordedPid(directory)]);
    expect(await rowsOf(socket)).toEqual([{ i: 1 }]);
  });

  it('kill -9 of the platform while it starts a server does not lead to two postmasters on one data directory', async ({
    skip,
  }) => {
    if (!works) skip();
    const { id, socket, directory } = await database();
    let acknowledged = 1;
    for (let round = 0; round < 12; round++) {
      await owner.stop(id);
      const starting = owner.hold(id).catch(() => {});
      // The moments of the kill reach from before the spawn to after the start, however fast this machine is.
      if (round % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
      else if (round % 4 === 1) await until(() => processesOf(directory).length > 0, { what: 'a first process' });
      else if (round % 4 === 2) await until(() => postmasters(directory).length > 0, { what: 'a postmaster' });
      else await starting;
      await owner.kill();
      await starting;
      owner = await platform();
      if (round % 2 === 0) await owner.recover([id]);
      await owner.hold(id);
      expect(postmasters(directory)).toEqual([recordedPid(directory)]);
      acknowledged += 1;
      await queryOnce(socket, `INSERT INTO t VALUES (${acknowledged})`);
      expect(await queryOnce(socket, 'SELECT count(*)::int AS n FROM t')).toEqual([{ n: acknowledged }]);
      await owner.release(id);
    }
  });

  it('two platforms whose data directory has lost its lock file do not run two postmasters on one data directory', async ({
    skip,
  }) => {
    if (!works) skip();
    const { id, socket, directory } = await database();
    rmSync(join(dataDirectory(), 'instances.lock'));
    const second = await platform();
    try {
      let most = 0;
      let acknowledged = 1;
      let done = false;
      const watching = (async () => {
        while (!done) {
          most = Math.max(most, postmasters(directory).length);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      for (let round = 0; round < 4; round++) {
        await Promise.all(
          [owner, second].map(async (one) => {
            // The second platform ends the server of the first. Either hold may fail because of it, with an error.
            const held = await one.hold(id).catch(() => undefined);
            if (held === undefined) return;
            const value = 100 * (one === owner ? 1 : 2) + round;
            const wrote = await queryOnce(socket, `INSERT INTO t VALUES (${value})`).catch(() => undefined);
            if (wrote !== undefined) acknowledged += 1;
            await one.release(id).catch(() => {});
          }),
        );
        // A platform may have failed because of the other; only the data counts here.
        await Promise.all([owner, second].map((one) => one.stop(id).catch(() => {})));
      }
      done = true;
      await watching;
      expect(most).toBe(1);
      await Promise.all([owner.kill(), second.kill()]);
      owner = await platform();
      await owner.hold(id);
      expect(postmasters(directory)).toEqual([recordedPid(directory)]);
      const [row] = await queryOnce(socket, 'SELECT count(*)::int AS n FROM t');
      expect(row?.n).toBeGreaterThanOrEqual(acknowledged);
    } finally {
      await second.kill().catch(() => {});
    }
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { postmasterPid } from '../support/server-processes.ts';
import { until } from '../support/until.ts';

// Real limits of the kernel, against tenants that try to exceed them. The tests need a machine with cgroups of version
// 2 that no other program uses: .ci/in-a-vm.

const ROOT = '/sys/fs/cgroup';
/** Enters the group: as a shell in which a platform ran before, or as a service that starts for the first time. */
const ENTER =
  '[ -d "$1/dormouse-platform" ] && set -- "$1/dormouse-platform" "$@" || set -- "$1" "$@"; echo $$ > "$1/cgroup.procs"; shift 2; exec "$@"';

/** A group as a service manager delegates it: it holds the platform and no other process. */
function delegate(name: string): string {
  const group = join(ROOT, name);
  mkdirSync(group);
  return group;
}
const groupsBelow = (group: string): string[] =>
  readdirSync(group, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

/** The path of a process's group, below the mount. */
function groupOf(pid: number | undefined): string {
  return join(ROOT, readFileSync(`/proc/${pid}/cgroup`, 'latin1').trim().replace(/^0::/, ''));
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  // The limit may end the server of this session.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function ask<T>(url: string, sql: string): Promise<T> {
  const client = await connect(url);
  try {
    const results = [await client.query(sql)].flat();
    return results.at(-1)?.rows[0] as T;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Allocates more than any limit here, one value after the other. */
const HOG = "DO $$ DECLARE kept text[]; BEGIN LOOP kept := kept || repeat('x', 4000000); END LOOP; END $$";
const SPIN = 'DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$';

describe.each(['sandbox', 'process'])('limits of a database (--isolation %s)', (isolation) => {
  let platform: Platform;
  let group: string;
  let hog: DatabaseUrls;
  let quiet: DatabaseUrls;
  const directory = (database: DatabaseUrls): string => join(platform.data, 'databases', database.id);
  const server = (database: DatabaseUrls): string => groupOf(postmasterPid(directory(database)));
  const file = (database: DatabaseUrls, name: string): string =>
    readFileSync(join(server(database), name), 'latin1').trim();

  const limited = ['--memory-limit', '160MiB', '--process-limit', '60'];
  /** This file is read at each start of a server. */
  const flags = ['--isolation', isolation, '--suspend-after', 'never', ...limited];

  beforeAll(async () => {
    group = delegate(`limits-${isolation}`);
    platform = await startPlatform({
      flags,
      through: ['/bin/sh', '-c', ENTER, 'sh', group],
    });
    hog = await platform.createDatabase('hog');
    quiet = await platform.createDatabase('quiet');
  });
  afterAll(() => platform?.stop());

  it('limits are set on the group of a server from its start, and the platform has moved to a group of its own', async () => {
    await ask(hog.postgresUrl, 'SELECT 1');
    expect(server(hog)).toMatch(new RegExp(`^${group}/dormouse-[0-9a-f]{12}/${hog.id}$`));
    expect(file(hog, 'memory.max')).toBe(String(160 * 2 ** 20));
    expect(file(hog, 'memory.oom.group')).toBe('1');
    expect(file(hog, 'pids.max')).toBe('60');
    expect(groupOf(platform.child.pid)).toBe(join(group, 'dormouse-platform'));
    // All memory of the server is charged to this group, shared buffers too.
    expect(Number(file(hog, 'memory.current'))).toBeGreaterThan(2 ** 20);
    expect((await platform.cli('status')).stdout).toContain('enforced by control groups');
  });

  it('a memory limit ends the server that exceeds it, which recovers, and no other server is affected', async () => {
    const neighbour = await connect(quiet.postgresUrl);
    await neighbour.query('CREATE TEMP TABLE mine (n int); INSERT INTO mine VALUES (1)');
    await ask(hog.postgresUrl, 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)');
    const greedy = await connect(hog.postgresUrl);
    await expect(greedy.query(HOG)).rejects.toThrow();
    expect(await ask(hog.postgresUrl, 'SELECT n FROM kept')).toEqual({ n: 7 });
    expect((await neighbour.query('SELECT n FROM mine')).rows).toEqual([{ n: 1 }]);
    await neighbour.end();
    await until(() => platform.log().includes('over its memory limit'), { what: 'the word to the operator' });
    expect(file(quiet, 'memory.events')).toMatch(/^oom_kill 0$/m);
  });

  it('limits of a running server change at once, and can be changed back', async () => {
    const session = await connect(hog.postgresUrl);
    const started = 'SELECT pg_postmaster_start_time()::text AS at';
    const before = (await session.query(started)).rows;
    await platform.json('db', 'set', 'hog', '--memory-limit', '300MiB', '--cpu-limit', '0.5', '--cpu-weight', '20');
    expect(file(hog, 'memory.max')).toBe(String(300 * 2 ** 20));
    expect(file(hog, 'cpu.max')).toBe('50000 100000');
    expect(file(hog, 'cpu.weight')).toBe('20');
    await platform.json('db', 'set', 'hog', '--memory-limit', 'none', '--cpu-limit', 'default');
    expect(file(hog, 'memory.max')).toBe('max');
    expect(file(hog, 'memory.oom.group')).toBe('0');
    expect(file(hog, 'cpu.max')).toBe('max 100000');
    await platform.json('db', 'set', 'hog', '--memory-limit', 'default', '--cpu-weight', 'default');
    expect(file(hog, 'memory.max')).toBe(String(160 * 2 ** 20));
    expect((await session.query(started)).rows).toEqual(before);
    await session.end();
  });

  it('processor weights share a processor that is short', async () => {
    await platform.json('db', 'set', 'quiet', '--cpu-weight', '1000');
    await platform.json('db', 'set', 'hog', '--cpu-weight', '10');
    const spinning = [await connect(hog.postgresUrl), await connect(quiet.postgresUrl)];
    const used = (database: DatabaseUrls): number => Number(/^usage_usec (\d+)/m.exec(file(database, 'cpu.stat'))?.[1]);
    const before = { hog: used(hog), quiet: used(quiet) };
    const ends = spinning.map((client) => client.query(SPIN).catch(() => {}));
    // The weights are a hundred to one; the test asks for a fifth of that ratio, measured once both have begun.
    await until(() => used(quiet) - before.quiet > 1_000_000, { what: 'the work of the favoured' });
    const did = { hog: used(hog) - before.hog, quiet: used(quiet) - before.quiet };
    // The order matters: the server with the small share would take long to stop while the other runs.
    for (const { name } of [quiet, hog]) await platform.cli('db', 'stop', name);
    await Promise.all(ends);
    for (const client of spinning) await client.end().catch(() => {});
    expect(did.quiet / did.hog).toBeGreaterThan(5);
    await platform.json('db', 'set', 'quiet', '--cpu-weight', 'default');
    const held = await connect(hog.postgresUrl);
    await platform.json('db', 'set', 'hog', '--cpu-weight', 'default', '--cpu-limit', '0.1');
    const end = held.query(SPIN).catch(() => {});
    await until(() => !/^nr_throttled 0$/m.test(file(hog, 'cpu.stat')), { what: 'a processor that is held back' });
    await ask(quiet.postgresUrl, 'SELECT 1');
    await platform.json('db', 'set', 'hog', '--cpu-limit', 'default');
    await platform.cli('db', 'stop', 'hog');
    await end;
    await held.end().catch(() => {});
  });

  it('a limit of processes refuses further processes in its own database only', async () => {
    await platform.json('db', 'set', 'hog', '--process-limit', '16');
    const sessions = await Promise.allSettled(Array.from({ length: 20 }, () => connect(hog.postgresUrl)));
    const open = sessions.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(open.length).toBeGreaterThan(0);
    expect(open.length).toBeLessThan(20);
    for (const client of open) expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(await ask(quiet.postgresUrl, 'SELECT 1 AS one')).toEqual({ one: 1 });
    await Promise.all(open.map((client) => client.end()));
    await platform.json('db', 'set', 'hog', '--process-limit', 'default');
    await until(() => ask(hog.postgresUrl, 'SELECT 1').catch(() => undefined), { what: 'room again' });
  });

  it('limits hold through freeze, thaw, stop and start, also when they change meanwhile', async () => {
    await platform.json('db', 'suspend', 'hog');
    expect(file(hog, 'cgroup.events')).toMatch(/^frozen 1$/m);
    await platform.json('db', 'set', 'hog', '--memory-limit', '200MiB');
    expect(file(hog, 'memory.max')).toBe(String(200 * 2 ** 20));
    await ask(hog.postgresUrl, 'SELECT 1');
    expect(file(hog, 'memory.max')).toBe(String(200 * 2 ** 20));
    const was = server(hog);
    await platform.json('db', 'stop', 'hog');
    await until(() => !existsSync(was), { what: 'the end of its group' });
    await platform.json('db', 'set', 'hog', '--memory-limit', '210MiB');
    await ask(hog.postgresUrl, 'SELECT 1');
    expect(file(hog, 'memory.max')).toBe(String(210 * 2 ** 20));
  });

  it('limits hold for a server that a killed platform left, and a branch takes over no limits of its source', async () => {
    await ask(hog.postgresUrl, 'SELECT 1');
    const pid = postmasterPid(directory(hog));
    await platform.kill9();
    await platform.start();
    expect(postmasterPid(directory(hog))).toBe(pid);
    expect(file(hog, 'memory.max')).toBe(String(210 * 2 ** 20));
    expect(groupOf(platform.child.pid)).toBe(join(group, 'dormouse-platform'));
    // An adopted server that exceeds the limit is ended and comes back like any other.
    await expect(ask(hog.postgresUrl, HOG)).rejects.toThrow();
    expect(await ask(hog.postgresUrl, 'SELECT n FROM kept')).toEqual({ n: 7 });
    const branch = await platform.json<DatabaseUrls>('db', 'branch', 'hog', 'twig');
    expect(await ask(branch.postgresUrl, 'SELECT n FROM kept')).toEqual({ n: 7 });
    expect(file(branch, 'memory.max')).toBe(String(160 * 2 ** 20));
    const was = server(branch);
    await platform.json('db', 'delete', 'twig', '--yes');
    await until(() => !existsSync(was), { what: 'the end of its group' });
  });

  it('limits end when their flags are removed, also for a server that a killed platform left', async () => {
    await platform.json('db', 'set', 'hog', '--memory-limit', 'default', '--process-limit', 'default');
    await ask(quiet.postgresUrl, 'SELECT 1');
    expect(file(quiet, 'memory.max')).toBe(String(160 * 2 ** 20));
    const pid = postmasterPid(directory(quiet));
    await platform.kill9();
    flags.length -= limited.length;
    await platform.start();
    expect(postmasterPid(directory(quiet))).toBe(pid);
    expect(file(quiet, 'memory.max')).toBe('max');
    expect(file(quiet, 'pids.max')).toBe('max');
  });

  it('limits leave no group behind', async () => {
    await platform.terminate();
    expect(groupsBelow(group)).toEqual([]);
    expect(readFileSync(join(group, 'cgroup.subtree_control'), 'latin1').trim()).toBe('');
    rmdirSync(group);
  });
});

/**
 * Delegates a group to an account that is not root, as systemd does. The account also gets the working directory of the
 * platform.
 */
const NOBODY = 65534;
const AS_NOBODY = `chown ${NOBODY} . && echo $$ > "$1/cgroup.procs" && shift && exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups "$@"`;

describe('limits that are asked for later, of a platform that is not root’s', () => {
  let platform: Platform;
  let group: string;
  let main: DatabaseUrls;
  let stranger: ChildProcess | undefined;
  const server = (): string => groupOf(postmasterPid(join(platform.data, 'databases', main.id)));

  beforeAll(async () => {
    group = delegate('nobodys');
    for (const file of ['', 'cgroup.procs', 'cgroup.subtree_control']) chownSync(join(group, file), NOBODY, NOBODY);
    platform = await startPlatform({
      flags: ['--suspend-after', 'never'],
      through: ['/bin/sh', '-c', AS_NOBODY, 'sh', group],
    });
    main = platform.databases[0] as DatabaseUrls;
  });
  afterAll(async () => {
    stranger?.kill('SIGKILL');
    await platform?.stop();
  });

  it('limits are refused while a process of another program is in the group, and that process is not moved', async () => {
    await ask(main.postgresUrl, 'CREATE TABLE kept (n int)');
    expect(groupOf(platform.child.pid)).toBe(group);
    expect(server()).toBe(group);
    stranger = spawn('sleep', ['1000']);
    writeFileSync(join(group, 'cgroup.procs'), String(stranger.pid));
    const refused = await platform.cli('db', 'set', 'main', '--memory-limit', '128MiB');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`(sleep, pid ${stranger.pid})`);
    expect(groupOf(stranger.pid)).toBe(group);
    expect(groupOf(platform.child.pid)).toBe(group);
    const ended = new Promise((resolve) => stranger?.once('exit', resolve));
    stranger.kill('SIGKILL');
    await ended;
    stranger = undefined;
  });

  it('limits hold for a server that runs already', async () => {
    const session = await connect(main.postgresUrl);
    await platform.json('db', 'set', 'main', '--memory-limit', '128MiB', '--process-limit', '50');
    expect(groupOf(platform.child.pid)).toBe(join(group, 'dormouse-platform'));
    expect(readFileSync(join(server(), 'memory.max'), 'latin1').trim()).toBe(String(128 * 2 ** 20));
    expect(readFileSync(join(server(), 'pids.max'), 'latin1').trim()).toBe('50');
    await expect(session.query(HOG)).rejects.toThrow();
    await session.end().catch(() => {});
    expect(await ask(main.postgresUrl, 'SELECT count(*)::int AS n FROM kept')).toEqual({ n: 0 });
    // After a restart the server is in its group from the start.
    expect(readFileSync(join(server(), 'memory.max'), 'latin1').trim()).toBe(String(128 * 2 ** 20));
  });

  it('limits are kept, and hold for the next platform', async () => {
    await platform.terminate();
    expect(groupsBelow(group)).toEqual([]);
    await platform.start();
    await ask(main.postgresUrl, 'SELECT 1');
    expect(readFileSync(join(server(), 'memory.max'), 'latin1').trim()).toBe(String(128 * 2 ** 20));
    await platform.terminate();
    expect(groupsBelow(group)).toEqual([]);
    expect(readFileSync(join(group, 'cgroup.subtree_control'), 'latin1').trim()).toBe('');
    rmdirSync(group);
  });
});

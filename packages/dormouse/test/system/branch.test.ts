import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { processesOf } from '../support/reaper.mjs';
import { hostPid } from '../support/server-processes.ts';
import { until } from '../support/until.ts';

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({ flags: ['--suspend-after', 'never', '--stop-after', 'never'] });
});
afterAll(() => platform?.stop());

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

interface Detail extends DatabaseUrls {
  readonly state: string;
  readonly parent: { readonly id: string; readonly name: string } | null;
  readonly branched: { readonly way: string } | null;
}
interface Reply {
  readonly status: number;
  readonly body: Detail & { readonly code?: string; readonly message?: string };
}

async function api(method: string, path: string, body?: unknown): Promise<Reply> {
  const reply = await fetch(`${platform.http}${path}`, {
    method,
    headers: { authorization: `Bearer ${platform.adminToken}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, body: (await reply.json()) as Reply['body'] };
}
const branch = (source: string, name: string, more: object = {}): Promise<Reply> =>
  api('POST', `/api/databases/${source}/branches`, { name, ...more });
const names = async (): Promise<string[]> =>
  (await platform.json<{ name: string }[]>('db', 'list')).map(({ name }) => name);
/** The directories of all databases, those of spares and unfinished databases included. */
const stored = (): string[] => readdirSync(join(platform.data, 'databases')).sort();

/** The events of a table so far, as a reader of the stream sees them. */
async function events({ apiKey }: DatabaseUrls): Promise<unknown[]> {
  const reply = await fetch(`${platform.http}/streams/tables/public/items?offset=-1`, {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  return reply.status === 200 ? ((await reply.json()) as unknown[]) : [];
}

describe('db branch', () => {
  it('a branch is a database of its own, with the rows of its source and with its own keys, events and lifetime', async () => {
    const shop = await platform.createDatabase('shop');
    await query(
      shop.postgresUrl,
      `CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (1), (2);
       CREATE UNLOGGED TABLE scratchpad (v int); INSERT INTO scratchpad VALUES (1)`,
    );
    await until(async () => (await events(shop)).length === 2, { what: 'the events of the source' });
    const made = await platform.json<DatabaseUrls>('db', 'branch', 'shop', 'shop-try');
    // The reply has the fields that `db create --json` prints.
    expect(Object.keys(made)).toEqual(['id', 'name', 'prismaUrl', 'postgresUrl', 'pulseUrl', 'apiKey']);
    expect(new Set([made.id, shop.id]).size).toBe(2);
    expect(made.apiKey).not.toBe(shop.apiKey);
    expect(await query(made.postgresUrl, 'SELECT id FROM items ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }]);
    expect(await query(made.postgresUrl, 'SELECT * FROM scratchpad')).toEqual([]);
    // The history of the branch begins with the branch.
    await query(made.postgresUrl, 'INSERT INTO items VALUES (3)');
    await query(shop.postgresUrl, 'INSERT INTO items VALUES (4)');
    await until(async () => (await events(made)).length === 1, { what: 'the event of the branch' });
    expect(JSON.stringify(await events(made))).toContain('"id":3');
    await until(async () => (await events(shop)).length === 3, { what: 'the event of the source' });
    const { body } = await api('GET', '/api/databases/shop-try');
    expect(body).toMatchObject({ parent: { id: shop.id, name: 'shop' }, branched: { way: 'stream' } });
    expect((await platform.cli('db', 'show', 'shop-try')).stdout).toMatch(/^Branch of +shop$/m);
    // The branch outlives its source, and a branch of the branch works too.
    await platform.json('db', 'delete', 'shop', '--yes');
    await platform.json('db', 'stop', 'shop-try');
    const text = await platform.cli('db', 'branch', 'shop-try', 'shop-again');
    expect(text.stdout).toMatch(
      /^Branched shop-try as shop-again in [\d.]+ s\. The source was stopped during the copy\.\n\n {2}Prisma /,
    );
    const again = await platform.json<DatabaseUrls>('db', 'show', 'shop-again');
    expect(await query(again.postgresUrl, 'SELECT id FROM items ORDER BY id')).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
    await platform.restart();
    expect(await query(again.postgresUrl, 'SELECT count(*)::int AS n FROM items')).toEqual([{ n: 3 }]);
    expect((await api('GET', '/api/databases/shop-again')).body.parent).toEqual({ id: made.id, name: 'shop-try' });
  });

  it('a branch command with a wrong argument says what is wrong and changes nothing', async () => {
    const before = [await names(), stored()];
    for (const [words, message] of [
      [['main', 'main'], 'exists'],
      [['nowhere', 'copy'], 'no database "nowhere"'],
      [['main', 'Copy'], 'not a database name'],
    ] as const) {
      const { code, stdout, stderr } = await platform.cli('db', 'branch', ...words);
      expect(stderr).toContain(message);
      expect([code, stdout]).toEqual([2, '']);
    }
    expect(await branch('main', 'copy', { atRest: 'yes' })).toMatchObject({
      status: 400,
      body: { code: 'request_invalid' },
    });
    expect([await names(), stored()]).toEqual(before);
  });

  it('a branch that copies its source at rest stops the source, and the next query starts the source', async () => {
    const [main] = platform.databases as [DatabaseUrls];
    expect(await query(main.postgresUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect((await branch('main', 'rested', { atRest: true })).body.branched?.way).toBe('files');
    expect(await platform.json('db', 'show', 'main')).toMatchObject({ state: 'stopped' });
    expect(await query(main.postgresUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('an interrupted branch', () => {
  let source: DatabaseUrls;

  beforeAll(async () => {
    source = await platform.createDatabase('long');
    await query(
      source.postgresUrl,
      "CREATE TABLE bulk AS SELECT i, repeat('x', 1000) AS v FROM generate_series(1, 150000) i",
    );
  });

  interface Stalled {
    readonly begun: Detail;
    /** Lets the process go on, if it still exists. */
    goOn(): void;
  }

  function stalledAt(begun: Detail, pid: number): Stalled {
    return {
      begun,
      goOn() {
        try {
          process.kill(pid, 'SIGCONT');
        } catch {
          // The test has ended the process meanwhile.
        }
      },
    };
  }

  /** Begins a branch and stops the process that sends the copy, so that the copy stays unfinished. */
  async function stalled(name: string): Promise<Stalled> {
    await platform.json('db', 'wake', 'long');
    const socket = join(platform.data, 'databases', source.id, 'run');
    const watcher = new pg.Client({ host: socket, user: 'dormouse', database: 'postgres' });
    watcher.on('error', () => {});
    await watcher.connect();
    try {
      for (let round = 1; ; round++) {
        const { body: begun } = await branch('long', name, { wait: false });
        expect(begun.state).toBe('creating');
        const pid = await until(
          async () => {
            const sender = "SELECT pid FROM pg_stat_replication WHERE application_name = 'dormouse-branch'";
            const { rows } = await watcher.query<{ pid: number }>(sender);
            const found = rows[0] && hostPid(join(platform.data, 'databases', source.id), rows[0].pid);
            if (found !== undefined) return found;
            return (await api('GET', `/api/databases/${begun.id}`)).body.state === 'creating' ? undefined : 0;
          },
          { what: 'the sender of the copy' },
        );
        if (pid > 0) process.kill(pid, 'SIGSTOP');
        if (pid > 0 && (await api('GET', `/api/databases/${begun.id}`)).body.state === 'creating') {
          return stalledAt(begun, pid);
        }
        // The copy was complete before its sender could be stopped.
        if (pid > 0) process.kill(pid, 'SIGCONT');
        expect(round).toBeLessThan(10);
        await until(async () => (await api('GET', `/api/databases/${begun.id}`)).body.state !== 'creating', {
          what: 'the end of a branch that was faster',
        });
        await api('DELETE', `/api/databases/${begun.id}`);
      }
    } finally {
      await watcher.end().catch(() => {});
    }
  }

  it('a branch that is deleted while it is copied is given up and leaves nothing', async () => {
    const before = stored();
    const { begun, goOn } = await stalled('given-up');
    expect(await branch('main', 'given-up')).toMatchObject({ status: 409, body: { code: 'name_taken' } });
    expect(await branch('given-up', 'other')).toMatchObject({ status: 409, body: { code: 'database_busy' } });
    expect((await api('DELETE', `/api/databases/${begun.id}`)).status).toBe(200);
    goOn();
    expect(stored()).toEqual(before);
    expect(await names()).not.toContain('given-up');
    expect(await query(source.postgresUrl, 'SELECT count(*)::int AS n FROM bulk')).toEqual([{ n: 150_000 }]);
  });

  it('a branch whose source stops ends with an error that says so, and leaves nothing', async () => {
    const before = stored();
    const { begun } = await stalled('stopped-under');
    // This command also thaws and stops the process that the test has stopped.
    await platform.json('db', 'stop', 'long');
    const ended = await until(
      async () => {
        const reply = await api('GET', `/api/databases/${begun.id}`);
        return reply.status === 200 ? undefined : reply;
      },
      { what: 'the end of the branch' },
    );
    expect(ended.body.code).toBe('branch_failed');
    expect(ended.body.message).toContain('Nothing of the branch is left');
    expect(stored()).toEqual(before);
  });

  it('a branch leaves nothing when the platform is killed while it is copied', async () => {
    const before = stored();
    const { goOn } = await stalled('killed');
    await platform.kill9();
    goOn();
    await platform.start();
    expect(stored()).toEqual(before);
    expect(await names()).not.toContain('killed');
    expect(await query(source.postgresUrl, 'SELECT count(*)::int AS n FROM bulk')).toEqual([{ n: 150_000 }]);
  });

  it('a branch whose source is deleted ends and leaves nothing', async () => {
    const { begun } = await stalled('orphan');
    expect((await api('DELETE', '/api/databases/long')).status).toBe(200);
    const ended = await until(
      async () => {
        const reply = await api('GET', `/api/databases/${begun.id}`);
        return reply.status === 200 ? undefined : reply;
      },
      { what: 'the end of the branch' },
    );
    expect(ended.body).toMatchObject({
      code: 'database_deleted',
      message: 'Database long was deleted while it was copied. Nothing of orphan is left.',
    });
    for (const name of stored()) expect(name).not.toMatch(new RegExp(`${source.id}|${begun.id}`));
  });
});

describe('db delete', () => {
  /** The number of control groups that are named after a database. */
  function cgroupsNamed(id: string): number {
    if (id === '' || !existsSync('/sys/fs/cgroup')) return 0;
    return readdirSync('/sys/fs/cgroup', { recursive: true }).filter((name) => String(name).endsWith(id)).length;
  }

  /**
   * Lists everything on this machine that a database could leave behind. Of other databases, the files in their own
   * directories are not listed, because they write there at any time.
   */
  function everything(others: readonly string[], id: string, postmaster: number): Record<string, unknown> {
    const registry = new Database(join(platform.data, 'registry.db'), { readonly: true });
    try {
      return {
        files: readdirSync(platform.data, { recursive: true })
          .map(String)
          .filter((name) => !name.startsWith('registry.db') && !others.some((other) => name.includes(`${other}/`)))
          .sort(),
        processes: processesOf(join(platform.data, 'databases', id || 'none')).length,
        memory: readFileSync('/proc/sysvipc/shm', 'utf8')
          .split('\n')
          .filter((line) => line.trim().split(/\s+/)[4] === String(postmaster)).length,
        groups: cgroupsNamed(id),
        databases: registry.prepare('SELECT id FROM databases ORDER BY id').all(),
        keys: registry.prepare('SELECT id FROM keys ORDER BY id').all(),
      };
    } finally {
      registry.close();
    }
  }

  it('a deleted database leaves nothing behind but the counts of its usage', async () => {
    const others = stored();
    const before = everything(others, '', 0);
    const made = await platform.createDatabase('gone');
    await query(made.postgresUrl, 'CREATE TABLE t (i int); INSERT INTO t VALUES (1)');
    const pidFile = join(platform.data, 'databases', made.id, 'pgdata', 'postmaster.pid');
    const postmaster = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
    const during = everything(others, made.id, postmaster);
    const { servers } = await platform.json<{ servers: { isolation: string } }>('status');
    // A server in a sandbox has its shared memory in a namespace of its own, where this test does not see it.
    const memory = servers.isolation === 'sandbox' ? [] : ['memory'];
    for (const what of ['files', 'processes', ...memory, 'databases', 'keys']) {
      expect(during[what], what).not.toEqual(before[what]);
    }
    expect(await platform.json('db', 'delete', 'gone', '--yes')).toEqual({ id: made.id, name: 'gone' });
    expect(everything(others, made.id, postmaster)).toEqual(before);
    const registry = new Database(join(platform.data, 'registry.db'), { readonly: true });
    try {
      await until(
        () =>
          registry.prepare('SELECT 1 FROM usage WHERE database_id = ?').all(made.id).length > 0 ? true : undefined,
        { what: 'the usage of the deleted database' },
      );
    } finally {
      registry.close();
    }
  });
});

import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DatabaseId } from '../../src/base/index.ts';
import { Registry } from '../../src/control/index.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';

// These tests show what works without control groups, and what Dormouse reports then. The tests of limits that need
// control groups are in test/vm.

/**
 * Runs the command that follows this prefix without control groups: in a mount namespace of its own, another directory
 * hides them.
 */
const WITHOUT_GROUPS = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', 'sh'];

const root = process.getuid?.() === 0;
if (!root) console.warn('skipped: what is said without control groups needs root, to hide those that are here');

let platform: Platform;
let main: DatabaseUrls;
beforeAll(async () => {
  platform = await startPlatform({
    flags: ['--temp-limit', '64MiB', '--suspend-after', 'never'],
    ...(root ? { through: WITHOUT_GROUPS } : {}),
  });
  main = platform.databases[0] as DatabaseUrls;
});
afterAll(() => platform?.stop());

interface Shown {
  readonly limits: { readonly memoryLimitBytes: number | 'none'; readonly own: readonly string[] };
}

/** Sorts more data than fits into the memory of a session. */
const SORT = 'SELECT count(*) FROM (SELECT repeat(n::text, 20) AS t FROM generate_series(1, 40000) n ORDER BY t) s';

it('the limit of temporary files holds for a session, and a new limit holds at once for an open session too', async () => {
  const client = new pg.Client(main.postgresUrl);
  await client.connect();
  await client.query("SET work_mem = '64kB'");
  expect((await client.query('SHOW temp_file_limit')).rows).toEqual([{ temp_file_limit: '64MB' }]);
  await client.query(SORT);
  const shown = await platform.json<Shown>('db', 'set', 'main', '--temp-limit', '1MiB');
  expect(shown.limits).toMatchObject({ tempLimitBytes: 2 ** 20, own: ['tempLimitBytes'] });
  await expect
    .poll(async () => (await client.query('SHOW temp_file_limit')).rows, { timeout: 30_000 })
    .toEqual([{ temp_file_limit: '1MB' }]);
  await expect(client.query(SORT)).rejects.toMatchObject({ code: '53400' });
  // The tenant cannot change the limit.
  await expect(client.query("SET temp_file_limit = '1GB'")).rejects.toMatchObject({ code: '42501' });
  await client.end();
  await platform.json('db', 'stop', 'main');
  const again = new pg.Client(main.postgresUrl);
  await again.connect();
  expect((await again.query('SHOW temp_file_limit')).rows).toEqual([{ temp_file_limit: '1MB' }]);
  await again.end();
  expect((await platform.cli('db', 'show', 'main')).stdout).toMatch(/Temporary files +1MiB per session\n/);
});

it.runIf(root)(
  'a limit that the kernel cannot enforce is refused with a message that says what to do, and nothing is changed',
  async () => {
    const refused = await platform.cli('db', 'set', 'main', '--memory-limit', '256MiB', '--always-on');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('[limits_unavailable]');
    expect(refused.stderr).toContain('Delegate=yes');
    const shown = await platform.json<Shown & { rest: { alwaysOn: boolean } }>('db', 'show', 'main');
    expect(shown.limits.memoryLimitBytes).toBe('none');
    expect(shown.rest.alwaysOn).toBe(false);
    await expect(startPlatform({ flags: ['--cpu-limit', '2'], through: WITHOUT_GROUPS })).rejects.toThrow(
      /Limits of memory, processor and processes cannot be enforced here/,
    );
  },
);

it.runIf(root)(
  'a database whose limits were set on another machine is served, and `status` says that the limits are not enforced',
  async () => {
    await platform.terminate();
    const registry = new Registry(join(platform.data, 'registry.db'));
    registry.setLimits(main.id as DatabaseId, { memoryLimitBytes: 2 ** 28 });
    registry.close();
    await platform.start();
    const client = new pg.Client(main.postgresUrl);
    await client.connect();
    await client.query('SELECT 1');
    await client.end();
    expect((await platform.cli('status')).stdout).toMatch(/Limits +all are not enforced\. .*Delegate=yes/);
    await platform.json('db', 'set', 'main', '--memory-limit', 'default');
    expect((await platform.cli('status')).stdout).not.toContain('Limits');
  },
);

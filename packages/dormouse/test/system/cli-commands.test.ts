import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { queryRows } from '../support/pg-session.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { LAUNCHER } from '../support/spawned-cli.ts';

let platform: Platform;
beforeAll(async () => {
  // No database rests by itself here: every change of state is one that a command asked for.
  platform = await startPlatform({ flags: ['--suspend-after', 'never', '--stop-after', 'never'] });
});
afterAll(() => platform?.stop());

interface Item {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}
const names = async () => (await platform.json<Item[]>('db', 'list')).map(({ name }) => name);

describe('db', () => {
  it('`db create` creates a database that answers at once, and prints exactly the documented fields', async () => {
    const shop = await platform.json<DatabaseUrls>('db', 'create', 'shop');
    expect(Object.keys(shop)).toEqual(['id', 'name', 'prismaUrl', 'postgresUrl', 'pulseUrl', 'apiKey']);
    expect(shop.prismaUrl).toContain(`api_key=${shop.apiKey}`);
    expect(await queryRows(shop.postgresUrl, 'SELECT 1')).toEqual([[1]]);
    expect(await names()).toEqual(['main', 'shop']);
    expect(await platform.json('db', 'show', 'shop')).toMatchObject({ ...shop, state: 'running' });
    expect(await platform.json('db', 'show', shop.id)).toMatchObject({ id: shop.id, name: 'shop' });
  });

  it('`db wake`, `db suspend` and `db stop` force a state and return when the database has reached it', async () => {
    const nap = await platform.createDatabase('nap');
    for (const [command, state] of [
      ['stop', 'stopped'],
      // A stopped database already uses less than a suspended one would, so it is not started in order to be frozen.
      ['suspend', 'stopped'],
      ['stop', 'stopped'],
      ['wake', 'running'],
      ['suspend', 'suspended'],
      ['suspend', 'suspended'],
      ['wake', 'running'],
      ['wake', 'running'],
      ['suspend', 'suspended'],
      ['stop', 'stopped'],
    ] as const) {
      expect(await platform.json('db', command, 'nap')).toEqual({ id: nap.id, name: 'nap', state });
      expect(await platform.json<Item>('db', 'show', nap.id)).toMatchObject({ state });
    }
    expect(await queryRows(nap.postgresUrl, 'SELECT 1')).toEqual([[1]]);
    expect(await platform.json<Item>('db', 'show', 'nap')).toMatchObject({ state: 'running' });
  });

  it('`db delete` deletes a database only with --yes, and then for good', async () => {
    const gone = await platform.createDatabase('gone');
    const unsure = await platform.cli('db', 'delete', 'gone');
    expect(unsure.code).toBe(2);
    expect(unsure.stderr).toContain('add --yes');
    expect(await queryRows(gone.postgresUrl, 'SELECT 1')).toEqual([[1]]);
    expect(await platform.json('db', 'delete', 'gone', '--yes')).toEqual({ id: gone.id, name: 'gone' });
    expect(await names()).not.toContain('gone');
    await expect(queryRows(gone.postgresUrl, 'SELECT 1')).rejects.toThrow();
    // The name is free again, for another database.
    expect((await platform.createDatabase('gone')).id).not.toBe(gone.id);
  });

  it.skipIf(!existsSync('/usr/bin/script'))(
    '`db delete` asks on a terminal, and accepts only the name of the database as a confirmation',
    async () => {
      await platform.createDatabase('asked');
      const answer = (text: string) =>
        new Promise<{ code: number | null; out: string }>((resolve) => {
          const command = `"${process.execPath}" "${LAUNCHER}" db delete asked`;
          // The program `script` of util-linux gives the command a terminal.
          const child = spawn('/usr/bin/script', ['-qec', command, '/dev/null'], {
            env: { ...process.env, DORMOUSE_URL: platform.http, DORMOUSE_TOKEN: platform.adminToken },
          });
          let out = '';
          child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
            if (!out.includes('Type the name') && (out + chunk).includes('Type the name')) child.stdin.write(text);
            out += chunk;
          });
          child.once('close', (code) => resolve({ code, out }));
        });
      expect(await answer('yes\r')).toMatchObject({ code: 3, out: expect.stringContaining('Nothing was deleted') });
      expect(await answer('\u0003')).toMatchObject({ code: 3 });
      expect(await answer('\u0004')).toMatchObject({ code: 3 });
      expect(await names()).toContain('asked');
      expect(await answer('asked\r')).toMatchObject({ code: 0, out: expect.stringContaining('Deleted asked.') });
      expect(await names()).not.toContain('asked');
    },
  );

  it.each([
    [['db', 'create', 'main'], 'exists'],
    [['db', 'create', 'Main'], 'not a database name'],
    [['db', 'create', 'a'.repeat(64)], 'not a database name'],
    [['db', 'show', 'nowhere'], '`dormouse db list`'],
    [['db', 'wake', 'nowhere'], '`dormouse db list`'],
    [['db', 'stop', 'db_00000000000000000000'], '`dormouse db list`'],
    [['db', 'show', '../status'], '`dormouse db list`'],
    [['db', 'delete', 'nowhere', '--yes'], '`dormouse db list`'],
    [['db', 'list', '--token', 'wrong'], 'token'],
  ])('the command %j is refused in one line that says what to do', async (words, message) => {
    const { code, stdout, stderr } = await platform.cli(...words);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^dormouse: [^\n]+\n$/);
    expect([code, stdout]).toEqual([2, '']);
  });
});

describe('key', () => {
  interface Key extends DatabaseUrls {
    readonly role: string;
    readonly revokedAtMs: number | null;
  }

  it('`dormouse key` creates keys of a role, shows them, and revokes them', async () => {
    await platform.createDatabase('keys');
    const reader = await platform.json<Key>('key', 'create', 'keys', '--role', 'reader', '--label', 'reports');
    expect(reader).toMatchObject({ role: 'reader', label: 'reports', revokedAtMs: null });
    expect(await queryRows(reader.postgresUrl, 'SELECT current_user')).toEqual([['reader']]);
    await expect(queryRows(reader.postgresUrl, 'CREATE TABLE t (i int)')).rejects.toMatchObject({ code: '42501' });
    expect(await platform.json('key', 'show', 'keys', reader.id)).toEqual({ ...reader, operationsToday: 2 });

    expect(await platform.json('key', 'revoke', 'keys', reader.id)).toMatchObject({ id: reader.id });
    await expect(queryRows(reader.postgresUrl, 'SELECT 1')).rejects.toMatchObject({ severity: 'FATAL' });
    const keys = await platform.json<Key[]>('key', 'list', 'keys');
    expect(keys.map(({ role, revokedAtMs }) => [role, revokedAtMs !== null])).toEqual([
      ['owner', false],
      ['reader', true],
    ]);
  });

  it('`dormouse key` refuses an unknown role and an unknown key', async () => {
    for (const words of [
      ['key', 'create', 'main', '--role', 'king'],
      ['key', 'show', 'main', 'key_00000000000000000000'],
      ['key', 'revoke', 'main', 'nonsense'],
    ]) {
      const { code, stderr } = await platform.cli(...words);
      expect(code).toBe(2);
      expect(stderr).toMatch(/^dormouse: [^\n]+\n$/);
    }
  });
});

describe('output without --json', () => {
  it('output without --json is aligned text', async () => {
    const list = await platform.cli('db', 'list');
    expect(list.code).toBe(0);
    const [head = '', ...rows] = list.stdout.trimEnd().split('\n');
    expect(head).toMatch(/^NAME +STATE +RESTS AFTER +MEMORY +KEYS +QUERIES TODAY +AGE +ID$/);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row.indexOf('db_')).toBe(head.indexOf('ID'));
    const show = (await platform.cli('db', 'show', 'main')).stdout;
    for (const label of ['Name', 'State', 'Prisma', 'Postgres', 'Events'])
      expect(show).toMatch(new RegExp(`^${label} +\\S`, 'm'));
    const status = (await platform.cli('status')).stdout;
    expect(status).toContain(`${platform.http}/dashboard/#token=${platform.adminToken}`);
  });

  it('a command whose output is not read does not crash', async () => {
    for (const words of [['help', 'start'], ['version'], ['db', 'frobnicate']]) {
      const child = spawn(process.execPath, [LAUNCHER, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
      // The pipe is closed before the command writes: each write fails with EPIPE.
      child.stdout.destroy();
      if (words[1] === 'frobnicate') child.stderr.destroy();
      let err = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        err += text;
      });
      const code = await new Promise((resolve) => child.once('exit', resolve));
      expect([code, err]).toEqual([words[1] === 'frobnicate' ? 2 : 0, '']);
    }
  });
});

import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadClient } from '../support/clients.ts';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { withSession } from '../support/pg-session.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema } from '../support/push-schema.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { type SpawnedCli, spawnCli } from '../support/spawned-cli.ts';
import { clientOptions } from '../support/target.ts';
import { until } from '../support/until.ts';

// Bad surroundings: directories, ports, accounts, disks and servers that are not as they should be. Each of them ends
// in one message that says what to do. Acknowledged data is still there once the cause is gone.

const ROOT = process.getuid?.() === 0;
/** The number of an account that has no rights. */
const NOBODY = 65534;

describe('a start that fails', () => {
  let home: Scratch;
  let running: SpawnedCli[];
  let busy: Server | undefined;
  beforeEach(() => {
    home = scratch('surroundings');
    running = [];
  });
  afterEach(async () => {
    busy?.close();
    busy = undefined;
    for (const cli of running) await cli.end();
    home.remove();
  });

  function start(...words: string[]): SpawnedCli {
    const cli = spawnCli(['start', '--json', '--port', '0', '--pg-port', '0', ...words], home.path);
    running.push(cli);
    return cli;
  }

  /**
   * Starts Dormouse and expects that it fails: one line that begins with `dormouse:` and ends with the code, exit code
   * 2, and no running process left. Returns the line.
   */
  async function refused(reason: string, ...words: string[]): Promise<string> {
    const cli = start(...words);
    const { code } = await cli.ended;
    const lines = cli
      .err()
      .split('\n')
      .filter((line) => line.startsWith('dormouse: '));
    expect(lines).toHaveLength(1);
    expect(cli.out()).toBe('');
    expect(lines[0]).toMatch(new RegExp(` \\[${reason}\\]$`));
    expect(code).toBe(2);
    return lines[0] ?? '';
  }

  /** Makes a data directory that a platform has used and then left by a clean stop. */
  async function made(name: string): Promise<void> {
    await prepareDataDirectory(join(home.path, name));
    const cli = start('--data', name);
    await cli.said('}\n');
    cli.child.kill('SIGTERM');
    expect(await cli.ended).toEqual({ code: 0, signal: null });
  }

  async function starts(name: string): Promise<void> {
    const cli = start('--data', name);
    await cli.said('}\n');
    const { databases } = JSON.parse(cli.out()) as { databases: DatabaseUrls[] };
    expect(await withSession(databases[0]?.postgresUrl ?? '', (client) => client.query('SELECT 1'))).toMatchObject({
      rowCount: 1,
    });
    cli.child.kill('SIGTERM');
    expect((await cli.ended).code).toBe(0);
  }

  it('a start on a port that is in use names the port and the flag, for the HTTP port and for the TCP port', async () => {
    busy = createServer();
    await new Promise<void>((resolve) => busy?.listen(0, '127.0.0.1', resolve));
    const port = String((busy.address() as { port: number }).port);
    const http = await refused('port_in_use', '--data', 'data', '--port', port);
    expect(http).toContain(port);
    expect(http).toMatch(/in use.*--port/);
    const tcp = await refused('port_in_use', '--data', 'data', '--pg-port', port);
    expect(tcp).toContain(port);
    expect(tcp).toMatch(/--pg-port/);
    // The same directory can be used once the port is right.
    await starts('data');
  });

  it('a start on an address that the machine does not have, or on an invalid port, names the wrong value', async () => {
    expect(await refused('usage_invalid', '--data', 'data', '--host', '192.0.2.1')).toMatch(/192\.0\.2\.1.*--host/);
    expect(await refused('usage_invalid', '--data', 'data', '--port', '70000')).toMatch(/70000|--port/);
  });

  it('a start with an unknown flag or value names it and creates nothing', async () => {
    expect(await refused('usage_invalid', '--data', 'data', '--prot', '1')).toMatch(/--prot.*--port/s);
    expect(await refused('usage_invalid', '--data', 'data', '--body-max', 'much')).toMatch(/--body-max/);
    expect(await refused('usage_invalid', '--data', 'data', '--suspend-after', '-1s')).toMatch(/--suspend-after/);
    expect(await refused('usage_invalid', '--data', 'data', 'extra')).toMatch(/extra/);
    expect(existsSync(join(home.path, 'data'))).toBe(false);
  });

  it('a start on a file, on a directory of other files, or on a data directory of another version is refused and changes nothing', async () => {
    writeFileSync(join(home.path, 'file'), 'mine');
    expect(await refused('data_unusable', '--data', 'file')).toMatch(/not a directory.*--data/);
    expect(await refused('data_unusable', '--data', 'file/below')).toMatch(/not a directory.*--data/);
    mkdirSync(join(home.path, 'photos'));
    writeFileSync(join(home.path, 'photos', 'cat.jpg'), 'mine');
    expect(await refused('data_unusable', '--data', 'photos')).toMatch(/cat\.jpg.*--data/);
    expect(readdirSync(join(home.path, 'photos'))).toEqual(['cat.jpg']);
    expect(readFileSync(join(home.path, 'file'), 'utf8')).toBe('mine');
    await made('later');
    writeFileSync(join(home.path, 'later', 'format'), '2\n');
    expect(await refused('data_version', '--data', 'later')).toMatch(/format 2.*format 1.*--data/);
    writeFileSync(join(home.path, 'later', 'format'), '1\n');
    await starts('later');
  });

  it('a start on a data directory that is in use is refused, and the platform that uses it goes on', async () => {
    const first = start('--data', 'data');
    await first.said('}\n');
    expect(await refused('data_locked', '--data', 'data')).toMatch(/in use by a running Dormouse.*--data/);
    const { databases } = JSON.parse(first.out()) as { databases: DatabaseUrls[] };
    await withSession(databases[0]?.postgresUrl ?? '', (client) => client.query('SELECT 1'));
  });

  it.each<[string, (file: string) => void]>([
    ['cut short', (file) => truncateSync(file, 7)],
    ['longer than it was', (file) => appendFileSync(file, 'x')],
    ['empty', (file) => truncateSync(file, 0)],
  ])('a start with a master key that is %s says that the key is damaged, and makes no new key', async (_, damage) => {
    await made('data');
    const file = join(home.path, 'data', 'master.key');
    const key = readFileSync(file);
    damage(file);
    expect(await refused('data_unusable', '--data', 'data')).toMatch(/master\.key is damaged.*backup/);
    expect(statSync(file).size).not.toBe(key.length);
    writeFileSync(file, key, { mode: 0o600 });
    await starts('data');
  });

  it('a start with a registry that is not a database names the file', async () => {
    await made('data');
    const file = join(home.path, 'data', 'registry.db');
    const nonsense = 'nonsense, and long enough to be looked at '.repeat(200);
    // The journal of the registry may hold newer data than the file, so both are overwritten.
    const files = [file, `${file}-wal`].filter((each) => existsSync(each));
    const kept = files.map((each) => readFileSync(each));
    for (const each of files) writeFileSync(each, nonsense);
    expect(await refused('data_unusable', '--data', 'data')).toMatch(/registry\.db.*backup/);
    for (const [i, each] of files.entries()) writeFileSync(each, kept[i] as Buffer);
    await starts('data');
  });

  it('a start without permission on its data directory is refused, and the message says so', async () => {
    if (!ROOT) {
      console.log('skipped: only root can give a directory away');
      return;
    }
    mkdirSync(join(home.path, 'closed'), { mode: 0o755 });
    const launcher = spawnSync(
      'setpriv',
      [
        `--reuid=${NOBODY}`,
        `--regid=${NOBODY}`,
        '--clear-groups',
        process.execPath,
        join(import.meta.dirname, '../../bin/dormouse.js'),
        'start',
        '--json',
        '--data',
        join(home.path, 'closed'),
      ],
      { encoding: 'utf8', cwd: '/', timeout: 30_000 },
    );
    expect(launcher.stderr).toMatch(/^dormouse: \S+closed\S* .*this account may.*--data.* \[data_unusable\]$/m);
    expect(launcher.status).toBe(2);
  });

  it('a start in a place that the account of Postgres cannot reach names the directory that is closed', async () => {
    if (!ROOT) {
      console.log('skipped: only root drops to another account');
      return;
    }
    mkdirSync(join(home.path, 'private'), { mode: 0o700 });
    expect(await refused('account_unusable', '--data', 'private/data')).toMatch(
      /private and so does not reach.*--data/,
    );
    chmodSync(join(home.path, 'private'), 0o711);
    await starts('private/data');
  });

  it('a platform that runs as an account without rights does everything that a platform does', async () => {
    if (!ROOT) {
      console.log('skipped: this run is such an account already');
      return;
    }
    const data = join(home.path, 'own');
    mkdirSync(data);
    chownSync(data, NOBODY, NOBODY);
    const launcher = join(import.meta.dirname, '../../bin/dormouse.js');
    const words = [launcher, 'start', '--json', '--data', data, '--port', '0', '--pg-port', '0'];
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, words, {
      cwd: '/',
      uid: NOBODY,
      gid: NOBODY,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text;
      });
      await until(() => out.endsWith('}\n'), { what: 'its announcement', withinMs: 60_000 });
      const [database] = (JSON.parse(out) as { databases: DatabaseUrls[] }).databases;
      const { postgresUrl = '', prismaUrl = '' } = database ?? {};
      await pushSchema(postgresUrl, 7);
      const client = new (await loadClient(7)).PrismaClient(clientOptions(7, prismaUrl));
      expect(await client.category.create({ data: { name: 'as nobody' } })).toMatchObject({ id: 1 });
      await client.$disconnect();
      expect((await withSession(postgresUrl, (session) => session.query('SELECT name FROM "Category"'))).rows).toEqual([
        { name: 'as nobody' },
      ]);
      child.kill('SIGTERM');
      expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('a Postgres that does not start', () => {
  let platform: Platform;
  beforeEach(async () => {
    platform = await startPlatform({ flags: ['--wake-timeout', '10s'] });
  });
  afterEach(async () => {
    await platform.stop();
  });

  it.each<[string, (data: string) => () => void, RegExp]>([
    [
      'a damaged control file',
      (data) => {
        const file = join(data, 'global', 'pg_control');
        const kept = readFileSync(file);
        truncateSync(file, 0);
        return () => writeFileSync(file, kept);
      },
      /control file|pg_control/,
    ],
    [
      'a missing WAL',
      (data) => {
        const wal = join(data, 'pg_wal');
        execFileSync('mv', [wal, `${wal}-away`]);
        return () => void execFileSync('mv', [`${wal}-away`, wal]);
      },
      /pg_wal/,
    ],
    [
      'an invalid setting',
      (data) => {
        const file = join(data, 'postgresql.auto.conf');
        const kept = readFileSync(file);
        appendFileSync(file, "shared_buffers = 'nonsense'\n");
        return () => writeFileSync(file, kept);
      },
      /shared_buffers/,
    ],
  ])(
    '%s is reported as a failed start at both doors, its cause to the administrator only, and the database works once it is mended',
    async (_, damage, why) => {
      const database = await platform.createDatabase('broken');
      const other = await platform.createDatabase('fine');
      await withSession(database.postgresUrl, (client) => client.query('CREATE TABLE kept AS SELECT 42 AS answer'));
      expect((await platform.cli('db', 'stop', 'broken')).code).toBe(0);
      const mend = damage(join(platform.data, 'databases', database.id, 'pgdata'));

      const refusal = await withSession(database.postgresUrl, async () => undefined).catch((error) => error);
      expect(refusal).toMatchObject({ code: '57P03', message: expect.stringMatching(/does not start/) });
      // The client's error holds neither paths of the machine nor text of the server log.
      const secrets = [why.source, platform.data, 'postgres.log says', 'FATAL:', 'pgdata'];
      for (const secret of secrets) expect(JSON.stringify([refusal.message, { ...refusal }])).not.toMatch(secret);
      const reply = await fetch(`${platform.http}/query`, {
        method: 'POST',
        headers: { authorization: `Bearer ${database.apiKey}` },
        body: JSON.stringify({
          plan: { type: 'query', args: { type: 'rawSql', sql: 'SELECT 1', args: [], argTypes: [] } },
          params: {},
          operation: 'queryRaw',
        }),
      });
      const { code, message, meta } = (await reply.json()) as {
        code: string;
        message: string;
        meta: { reason: string };
      };
      expect([reply.status, code, meta.reason]).toEqual([503, 'P6008', 'start_failed']);
      expect(message).toBe(refusal.message);
      for (const secret of secrets) expect(JSON.stringify([message, meta])).not.toMatch(secret);
      const command = await platform.cli('db', 'wake', 'broken');
      expect([command.code, command.stderr]).toEqual([2, expect.stringMatching(why)]);
      expect(command.stderr).toContain('[start_failed]');
      expect((await platform.json<{ state: string }>('db', 'show', 'broken')).state).toBe('failed');

      // Other databases are not affected.
      await withSession(other.postgresUrl, (client) => client.query('SELECT 1'));
      mend();
      expect(
        (await withSession(database.postgresUrl, (client) => client.query('SELECT answer FROM kept'))).rows,
      ).toEqual([{ answer: 42 }]);
    },
  );
});

import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { queryRows } from '../support/pg-session.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { LAUNCHER, type SpawnedCli, spawnCli } from '../support/spawned-cli.ts';

let home: Scratch;
let running: SpawnedCli[];
beforeEach(() => {
  home = scratch('cli-start');
  running = [];
});
afterEach(async () => {
  for (const cli of running) await cli.end();
  home.remove();
});

const FREE = ['--port', '0', '--pg-port', '0', '--data', 'data'];

function cli(words: readonly string[], environment: Record<string, string> = {}): SpawnedCli {
  const started = spawnCli(words, home.path, environment);
  running.push(started);
  return started;
}

/**
 * Runs `start --json` on a data directory that already has its programs and template, waits until the platform is
 * ready, and returns its announcement.
 */
async function started(...flags: string[]) {
  await prepareDataDirectory(join(home.path, 'data'));
  return startedOnNothing(...flags);
}

async function startedOnNothing(...flags: string[]) {
  const platform = cli(['start', '--json', ...FREE, ...flags]);
  await platform.said('}\n');
  return { platform, announced: JSON.parse(platform.out()) };
}

describe('dormouse start', () => {
  it('`start --json` announces the platform as one JSON object on stdout, and exits with 0 on SIGTERM', async () => {
    // The data directory does not exist yet, as at the first start on a machine.
    const { platform, announced } = await startedOnNothing();
    expect(Object.keys(announced)).toEqual(['http', 'postgres', 'dashboard', 'adminToken', 'databases']);
    expect(announced.databases).toHaveLength(1);
    const [main] = announced.databases;
    expect(Object.keys(main)).toEqual(['id', 'name', 'prismaUrl', 'postgresUrl', 'pulseUrl']);
    expect(main.name).toBe('main');
    const http = new URL(announced.http);
    expect(http.protocol).toBe('http:');
    expect(http.hostname).toBe('127.0.0.1');
    expect(announced.dashboard).toBe(`${announced.http}/dashboard/#token=${announced.adminToken}`);
    expect(main.prismaUrl).toMatch(
      new RegExp(`^prisma\\+postgres://${http.host}/\\?api_key=[\\w-]+\\.[\\w-]+\\.[\\w-]+$`),
    );
    expect(main.postgresUrl).toMatch(/^postgres:\/\/key_[a-z0-9]{20}:[^@]+@127\.0\.0\.1:\d+\/postgres$/);
    expect(main.pulseUrl).toBe(`ws://${http.host}`);
    expect(await queryRows(main.postgresUrl, 'SELECT 1')).toEqual([[1]]);

    platform.child.kill('SIGTERM');
    expect(await platform.ended).toEqual({ code: 0, signal: null });
    expect(platform.out().split('\n')).toHaveLength(2);
  });

  it('`start` prints where everything is, at the first start and at the next, and keeps every address and row', async () => {
    const ports = ['--data', 'data'];
    const first = cli(['start', '--port', '0', '--pg-port', '0', ...ports]);
    await first.said('Ctrl-C stops it.');
    const postgresUrl = /postgres:\/\/key_\S+\/postgres/.exec(first.out())?.[0] ?? '';
    const prismaUrl = /prisma\+postgres:\/\/\S+api_key=[\w.-]+/.exec(first.out())?.[0] ?? '';
    expect(first.out()).toMatch(/http:\/\/127\.0\.0\.1:\d+\/dashboard\/#token=\S+/);
    expect(first.out()).toContain(`psql "${postgresUrl}"`);
    expect(first.out()).not.toContain('\u001b');
    await queryRows(postgresUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
    first.child.kill('SIGINT');
    expect(await first.ended).toEqual({ code: 0, signal: null });
    expect(first.err()).toBe('');

    const { port: pgPort } = new URL(postgresUrl);
    const { port } = new URL(prismaUrl.replace('prisma+postgres', 'http'));
    const second = cli(['start', '--port', port, '--pg-port', pgPort, ...ports]);
    await second.said('Ctrl-C stops it.');
    expect(second.out()).toContain(prismaUrl);
    expect(second.out()).toContain(`psql "${postgresUrl}"`);
    expect(await queryRows(postgresUrl, 'SELECT answer FROM kept')).toEqual([[42]]);
  });

  it('a platform goes on when its output is no longer read', async () => {
    const platform = cli(['start', ...FREE]);
    await platform.said('starts on');
    platform.child.stdout?.destroy();
    platform.child.stderr?.destroy();
    const status = async () => {
      const asked = cli(['status', '--json', '--data', 'data']);
      return { ...(await asked.ended), out: asked.out() };
    };
    await expect.poll(async () => (await status()).code, { timeout: 60_000 }).toBe(0);
    const { dashboard, databases } = JSON.parse((await status()).out);
    expect(dashboard).toContain('#token=');
    expect(databases.total).toBe(1);
    platform.child.kill('SIGTERM');
    expect(await platform.ended).toEqual({ code: 0, signal: null });
  });

  it('a running platform keeps its address and token in the data directory, readable by its own account only, and removes them when it ends', async () => {
    const { platform, announced } = await started();
    const file = join(home.path, 'data', 'admin.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const found = cli(['db', 'list', '--json', '--data', 'data']);
    expect((await found.ended).code).toBe(0);
    expect(JSON.parse(found.out())).toMatchObject([{ id: announced.databases[0].id, name: 'main' }]);
    platform.child.kill('SIGTERM');
    await platform.ended;
    const gone = cli(['status', '--data', 'data']);
    expect((await gone.ended).code).toBe(2);
    expect(gone.err()).toContain('Start one with `dormouse start`');
  });

  it('a platform builds every URL from --public-url', async () => {
    const { announced } = await started('--public-url', 'https://db.example.com');
    expect(announced.databases[0].prismaUrl).toMatch(/^prisma\+postgres:\/\/db\.example\.com\/\?api_key=/);
    expect(announced.databases[0].postgresUrl).toMatch(/@db\.example\.com:\d+\/postgres$/);
    expect(announced.databases[0].pulseUrl).toBe('wss://db.example.com');
  });

  it('a platform suspends and stops an idle database after the times that its flags set', async () => {
    const { platform } = await started('--suspend-after', '100ms', '--stop-after', '300ms');
    const state = async () => {
      const asked = cli(['db', 'list', '--json', '--data', 'data']);
      await asked.ended;
      return JSON.parse(asked.out())[0].state;
    };
    await expect.poll(state, { timeout: 30_000 }).toBe('stopped');
    expect(platform.err()).not.toContain('error');
  });
});

describe('a start that fails', () => {
  /** Runs a start that must fail, and returns its message. */
  async function refused(words: readonly string[]): Promise<string> {
    const failed = cli(['start', ...words]);
    const { code } = await failed.ended;
    expect(failed.err()).toMatch(/^dormouse: [^\n]+\n$/);
    expect(code).toBe(2);
    return failed.err();
  }

  it('a start that fails names the port that is in use, and a platform that already uses the data directory goes on', async () => {
    const { platform, announced } = await started();
    const { port } = new URL(announced.http);
    const { port: pgPort } = new URL(announced.databases[0].postgresUrl);
    expect(await refused(['--port', port, '--pg-port', '0', '--data', 'other'])).toContain(port);
    expect(await refused(['--port', '0', '--pg-port', pgPort, '--data', 'other'])).toContain(pgPort);
    expect(await refused(FREE)).toContain('in use by a running Dormouse');
    expect(await queryRows(announced.databases[0].postgresUrl, 'SELECT 1')).toEqual([[1]]);
    platform.child.kill('SIGTERM');
    expect((await platform.ended).code).toBe(0);
    // The failed start left nothing behind that keeps the directory from being used.
    const again = cli(['start', '--json', '--port', '0', '--pg-port', '0', '--data', 'other']);
    await again.said('}\n');
  });

  it('a start on a file, on a directory of other files, or on a data directory of another version says so', async () => {
    writeFileSync(join(home.path, 'data'), '');
    expect(await refused(FREE)).toContain('data');
    mkdirSync(join(home.path, 'photos'));
    writeFileSync(join(home.path, 'photos', 'cat.jpg'), '');
    expect(await refused(['--port', '0', '--pg-port', '0', '--data', 'photos'])).toContain('photos');
    const { platform } = await startedOnNothing('--data', 'mine');
    platform.child.kill('SIGTERM');
    await platform.ended;
    writeFileSync(join(home.path, 'mine', 'format'), '999\n');
    expect(await refused(['--port', '0', '--pg-port', '0', '--data', 'mine'])).toContain('version');
  });

  it('a start says that --pg-bin holds no Postgres, or that the account of --pg-user does not exist', async () => {
    expect(await refused([...FREE, '--pg-bin', home.path])).toContain(home.path);
    expect(existsSync(join(home.path, 'data'))).toBe(false);
    if (process.getuid?.() === 0) {
      expect(await refused([...FREE, '--data', 'other', '--pg-user', 'no-such-account'])).toContain('no-such-account');
    }
  });

  it('a start of a checkout that is not built says so, and says how to build it', async () => {
    const bin = join(home.path, 'copy', 'bin');
    mkdirSync(bin, { recursive: true });
    const launcher = join(bin, 'dormouse.js');
    copyFileSync(LAUNCHER, launcher);
    writeFileSync(join(home.path, 'copy', 'package.json'), '{"type":"module"}');
    const { code, err } = await new Promise<{ code: unknown; err: string }>((resolve) => {
      execFile(process.execPath, [launcher, 'start'], (error, _out, err) => resolve({ code: error?.code, err }));
    });
    expect(code).toBe(2);
    expect(err).toContain('npm run build');
  });
});

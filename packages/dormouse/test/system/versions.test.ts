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

// Which programs serve which database, when there are several.

/** Where Debian puts a PostgreSQL of another major version; .ci/run installs it. */
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

/** The program that a database's postmaster is. */
function programOf(directory: string): string {
  return readlinkSync(`/proc/${postmasterPid(directory)}/exe`);
}

/** Copies the installed build and makes it say that it is a later minor version. */
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
  it('serves a database from its next start on, and a running one goes on as it is', async () => {
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
  /** A directory of programs; gives what the start says of it. */
  async function refusal(name: string, fill: (bin: string) => void): Promise<{ code?: string; message?: string }> {
    const bin = join(home.path, name, 'bin');
    mkdirSync(bin, { recursive: true });
    fill(bin);
    const thrown = await checkBuilds([bin], undefined).then(
      () => ({}),
      (error: { code: string; message: string }) => error,
    );
    // One line, which names the directory.
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

  it('no directory, no postgres, no initdb', async () => {
    const missing = { code: 'binaries_missing', message: expect.stringContaining('has no program') };
    expect(await refusal('none', (bin) => rmSync(bin, { recursive: true }))).toMatchObject(missing);
    expect(await refusal('empty', () => {})).toMatchObject(missing);
    const half = await refusal('half', (bin) => writeFileSync(join(bin, 'postgres'), '', { mode: 0o755 }));
    expect(half).toMatchObject({ code: 'binaries_missing', message: expect.stringContaining('"initdb"') });
  });

  it('a program that the account may not run, or not reach', async () => {
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

  it('one of another machine, one whose libraries are missing, one that is something else', async () => {
    const broken = { code: 'binaries_missing', message: expect.stringContaining('does not run on this machine') };
    const foreign = await refusal('foreign', (bin) => {
      script(bin);
      const bytes = readFileSync(postgres());
      // The machine in an ELF header: one that there is not.
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

  it('a version that is newer than Dormouse, or too old', async () => {
    for (const version of ['19.1', '19beta1', '13.22']) {
      const unknown = await refusal(version, (bin) => script(bin, `echo "postgres (PostgreSQL) ${version}"`));
      expect(unknown).toMatchObject({ code: 'binaries_missing', message: expect.stringContaining('14 to 18') });
    }
  });
});

describe('extensions of programs that are named', () => {
  /**
   * A build with two more extensions, of which it calls one trusted, and with one of PostgreSQL's own that we do not
   * offer.
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

  it('are those that we offer, those the build trusts, and those the operator does; its files stay as they are', async () => {
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
    // Half a directory, as a power cut leaves it, is made whole.
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

  it('are refused at the start if no build has them', async () => {
    const one = await platform([newer], ['vetted', 'nosuch']);
    await expect(one.prepare()).rejects.toMatchObject({
      code: 'usage_invalid',
      message: expect.stringMatching(/--trust-extension vetted: no --pg-bin of PostgreSQL 18/),
    });
  });
});

describe('data of another major version', () => {
  /** A database of ours whose data is as another major version made it: roles, a table, nothing else. */
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

  it('is served by its own programs when they are named, else refused while the others go on', async ({ skip }) => {
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
    // Named alone it is for data of its version: new databases are never of it.
    const both = await platform([OTHER_BIN]);
    expect((await both.prepare()).pgMajor).toBe(18);
    for (const id of [old, young]) await both.hold(id);
    const { directory, socket } = await both.state(old);
    expect(programOf(directory)).toBe(join(OTHER_BIN, 'postgres'));
    const client = await connectTo(socket);
    // Before 16 CREATEROLE reaches every role: an owner does not get it there.
    const { rows } = await client.query(
      `SELECT v, current_setting('server_version_num')::int / 10000 AS major,
         (SELECT rolcreaterole FROM pg_roles WHERE rolname = 'owner') AS creates_roles,
         pg_has_role('owner', 'pg_read_all_stats', 'USAGE') AS sees_statements FROM t`,
    );
    expect(rows).toEqual([{ v: 15, major: 15, creates_roles: false, sees_statements: true }]);
    // What there is to create, the build says itself.
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

  it('says so when it is no data at all', async () => {
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

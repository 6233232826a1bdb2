import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataDirectory, Registry } from '../index.ts';

const OPTIONS = { userId: process.getuid?.() };
const ROOT = process.getuid?.() === 0;
// The same lock, taken by another process that has nothing of ours but SQLite.
const HOLDER = `
  const Database = require(${JSON.stringify(createRequire(import.meta.url).resolve('libsql'))});
  const db = new Database(process.argv[1], { timeout: 0 });
  try { db.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => {}, 1000); }
  catch (error) { console.log(error.code); }
`;

describe('openDataDirectory', () => {
  let parent: string;
  let root: string;
  const ending: (() => unknown)[] = [];

  beforeEach(() => {
    parent = mkdtempSync(path.join(tmpdir(), 'dormouse-data-'));
    root = path.join(parent, 'deep', 'data');
  });
  afterEach(async () => {
    for (const end of ending.splice(0)) await end();
    rmSync(parent, { recursive: true, force: true });
  });

  const open = () => {
    const directory = openDataDirectory(root, OPTIONS);
    ending.push(() => directory.close());
    return directory;
  };
  const holder = async (): Promise<{ said: string; kill(): Promise<unknown> }> => {
    const child = spawn(process.execPath, ['-e', HOLDER, path.join(root, 'dormouse.lock')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const kill = (): Promise<unknown> => {
      child.kill('SIGKILL');
      return exited;
    };
    ending.push(kill);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return { said: String(line).trim(), kill };
  };

  it('a new data directory keeps its master key, and other accounts cannot read its secrets', () => {
    const first = open();
    expect(statSync(root).mode & 0o777).toBe(ROOT ? 0o711 : 0o700);
    expect(first.masterKey).toHaveLength(32);
    // SQLite gives its side files the mode of the main one.
    const registry = new Registry(first.registryFile);
    for (const name of ['registry.db-wal', 'registry.db-shm', 'master.key', 'format', 'registry.db', 'dormouse.lock']) {
      expect(statSync(path.join(root, name)).mode & 0o777, name).toBe(0o600);
    }
    registry.close();
    first.writeAdminFile({ url: 'http://127.0.0.1:1', adminToken: 't' });
    expect(JSON.parse(readFileSync(path.join(root, 'admin.json'), 'utf8'))).toEqual({
      url: 'http://127.0.0.1:1',
      adminToken: 't',
    });
    expect(statSync(path.join(root, 'admin.json')).mode & 0o777).toBe(0o600);
    first.close();
    first.close();
    expect(existsSync(path.join(root, 'admin.json'))).toBe(false);
    expect(open().masterKey).toEqual(first.masterKey);
  });

  it('one platform at a time holds a data directory, in one process or in several, and a dead process holds none', async () => {
    const first = open();
    expect(() => openDataDirectory(root, OPTIONS)).toThrow(
      expect.objectContaining({ code: 'data_locked', message: expect.stringContaining(root) }),
    );
    // The refused attempt must not have loosened the lock.
    expect((await holder()).said).toBe('SQLITE_BUSY');
    first.close();
    const other = await holder();
    expect(other.said).toBe('held');
    expect(() => openDataDirectory(root, OPTIONS)).toThrow(expect.objectContaining({ code: 'data_locked' }));
    await other.kill();
    open();
  });

  it('a directory of another format is refused before anything in it is changed', () => {
    open().close();
    writeFileSync(path.join(root, 'format'), '999\n');
    expect(() => open()).toThrow(
      expect.objectContaining({ code: 'data_version', message: expect.stringContaining('999') }),
    );
    expect(readFileSync(path.join(root, 'format'), 'utf8')).toBe('999\n');
    // The lock is given back.
    expect(() => open()).toThrow(expect.objectContaining({ code: 'data_version' }));
  });

  it('a directory with files of another program is refused and left untouched', () => {
    mkdirSync(root, { recursive: true });
    writeFileSync(path.join(root, 'thesis.txt'), 'x');
    expect(() => open()).toThrow(
      expect.objectContaining({ code: 'data_unusable', message: expect.stringContaining('thesis.txt') }),
    );
    expect(existsSync(path.join(root, 'dormouse.lock'))).toBe(false);
  });

  it('a master key that was lost or damaged is never replaced by a new one', () => {
    open().close();
    writeFileSync(path.join(root, 'master.key'), 'short');
    expect(() => open()).toThrow(
      expect.objectContaining({ code: 'data_unusable', message: expect.stringContaining('damaged') }),
    );
    rmSync(path.join(root, 'master.key'));
    expect(() => open()).toThrow(
      expect.objectContaining({ code: 'data_unusable', message: expect.stringContaining('missing') }),
    );
  });

  it('a first start that was cut off is completed by the next start', () => {
    const { masterKey } = open();
    ending.splice(0).map((end) => end());
    // Cut between the key and the format.
    rmSync(path.join(root, 'format'));
    expect(open().masterKey).toEqual(masterKey);
    ending.splice(0).map((end) => end());
    // Cut before the key.
    rmSync(path.join(root, 'format'));
    rmSync(path.join(root, 'master.key'));
    writeFileSync(path.join(root, 'master.key.new'), 'half');
    expect(open().masterKey).toHaveLength(32);
  });

  it('a path that is no directory is refused with that reason', () => {
    mkdirSync(path.dirname(root), { recursive: true });
    writeFileSync(root, '');
    expect(() => open()).toThrow(
      expect.objectContaining({ code: 'data_unusable', message: expect.stringContaining('not a directory') }),
    );
  });

  it.skipIf(!existsSync('/proc/self'))(
    'a place like /proc is refused as a data directory, because nothing can be made there',
    () => {
      for (const place of ['/proc/dormouse', '/proc/dormouse/deeper']) {
        expect(() => openDataDirectory(place, OPTIONS)).toThrow(expect.objectContaining({ code: 'data_unusable' }));
      }
    },
  );

  it('a directory without permission is refused with that reason', () => {
    mkdirSync(root, { recursive: true });
    chmodSync(root, 0o500);
    // Root may write anywhere: the attempt is made as an account that may not.
    if (ROOT) process.seteuid?.(65_534);
    try {
      expect(() => openDataDirectory(root, { userId: 65_534 })).toThrow(
        expect.objectContaining({ code: 'data_unusable', message: expect.stringContaining('may not') }),
      );
    } finally {
      if (ROOT) process.seteuid?.(0);
    }
  });

  it('a data directory that root made with closed modes is opened so that the account of Postgres can pass through', () => {
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const directory = openDataDirectory(root, { userId: 0 });
    ending.push(() => directory.close());
    expect(statSync(root).mode & 0o777).toBe(0o711);
  });
});

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DatabaseId, KeyId } from '../../base/index.ts';
import { type DatabaseRow, type KeyRow, Registry } from './registry.ts';

const database = (name: string, lifecycle: DatabaseRow['lifecycle'] = 'creating'): DatabaseRow => ({
  id: `db_${name}` as DatabaseId,
  kind: 'managed',
  name,
  pgMajor: 18,
  lifecycle,
  createdAtMs: 1,
  rest: {},
  limits: {},
  parentId: null,
  parentName: null,
  throwAwayBoot: null,
});
const key = (name: string, of: string): KeyRow => ({
  id: `key_${name}` as KeyId,
  databaseId: `db_${of}` as DatabaseId,
  role: 'owner',
  label: null,
  createdAtMs: 1,
  revokedAtMs: null,
});

describe('Registry', () => {
  let directory: string;
  let file: string;
  let registry: Registry;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'dormouse-registry-'));
    file = path.join(directory, 'registry.db');
    registry = new Registry(file);
  });
  afterEach(() => {
    registry.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const reopen = (): void => {
    registry.close();
    registry = new Registry(file);
  };

  it('a closed registry is one file, so a backup that copies only that file is complete', () => {
    registry.addDatabase(database('one'));
    registry.close();
    const copy = path.join(directory, 'copy.db');
    copyFileSync(file, copy);
    const alone = new Registry(copy);
    expect(alone.databases().map(({ name }) => name)).toEqual(['one']);
    alone.close();
    registry = new Registry(file);
  });

  it('databases and keys are read again as they were written', () => {
    registry.addDatabase(database('one'));
    registry.finishDatabase('db_one' as DatabaseId, key('a', 'one'));
    registry.addKey({ ...key('b', 'one'), role: 'reader', label: 'report' });
    registry.revokeKey('key_a' as KeyId, 99);
    registry.revokeKey('key_a' as KeyId, 100);
    reopen();
    expect(registry.databases()).toEqual([database('one', 'ready')]);
    expect(registry.keys()).toEqual([
      { ...key('a', 'one'), revokedAtMs: 99 },
      { ...key('b', 'one'), role: 'reader', label: 'report' },
    ]);
  });

  it('the own times of rest of a database are stored, and "never" differs from "not set"', () => {
    const own = { suspendAfterMs: 0, stopAfterMs: Number.POSITIVE_INFINITY, alwaysOn: false, listenKeepsAwake: true };
    registry.addDatabase({ ...database('one'), rest: own });
    registry.addDatabase(database('two'));
    reopen();
    expect(registry.databases().map(({ rest }) => rest)).toEqual([own, {}]);
    registry.setRest('db_one' as DatabaseId, { alwaysOn: true });
    reopen();
    expect(registry.databases().map(({ rest }) => rest)).toEqual([{ alwaysOn: true }, {}]);
  });

  it('the own limits of a database are stored, and "no limit" differs from "not set"', () => {
    const own = { memoryLimitBytes: 2 ** 40, cpuLimit: 0.25, cpuWeight: 10, processLimit: Number.POSITIVE_INFINITY };
    registry.addDatabase(database('one'));
    registry.addDatabase(database('two'));
    registry.setLimits('db_one' as DatabaseId, own);
    reopen();
    expect(registry.databases().map(({ limits }) => limits)).toEqual([own, {}]);
    registry.setLimits('db_one' as DatabaseId, { tempLimitBytes: 1024 });
    expect(registry.databases().map(({ limits }) => limits)).toEqual([{ tempLimitBytes: 1024 }, {}]);
  });

  it('a registry of the first version is taken over, and its databases have no settings of their own', () => {
    registry.addDatabase(database('one'));
    registry.close();
    const raw = new Database(file);
    const rest = ['suspend_after_ms', 'stop_after_ms', 'always_on', 'listen_keeps_awake'];
    const limits = ['memory_limit_bytes', 'cpu_limit', 'cpu_weight', 'process_limit', 'temp_limit_bytes'];
    for (const column of [...rest, 'parent_id', 'parent_name', 'throw_away_boot', ...limits, 'kind']) {
      raw.exec(`ALTER TABLE databases DROP COLUMN ${column}`);
    }
    raw.exec('PRAGMA user_version = 1');
    raw.close();
    registry = new Registry(file);
    expect(registry.databases()).toEqual([database('one')]);
  });

  it('a name is in use once, also while its database is created or deleted', () => {
    registry.addDatabase(database('one'));
    expect(() => registry.addDatabase({ ...database('two'), name: 'one' })).toThrow(
      expect.objectContaining({ code: 'name_taken' }),
    );
    registry.markDeleting('db_one' as DatabaseId);
    expect(() => registry.addDatabase({ ...database('two'), name: 'one' })).toThrow(
      expect.objectContaining({ code: 'name_taken' }),
    );
    registry.removeDatabase('db_one' as DatabaseId);
    registry.addDatabase({ ...database('two'), name: 'one' });
  });

  it('a database is removed with its keys, and its usage stays', () => {
    registry.addDatabase(database('one'));
    registry.finishDatabase('db_one' as DatabaseId, key('a', 'one'));
    registry.addUsage([
      { keyId: 'key_a' as KeyId, databaseId: 'db_one' as DatabaseId, day: '2026-11-23', operations: 3 },
    ]);
    registry.removeDatabase('db_one' as DatabaseId);
    expect([registry.databases(), registry.keys()]).toEqual([[], []]);
    expect(registry.usageSince('2026-11-01')).toHaveLength(1);
  });

  it('usage is added to the stored usage of the same key and day', () => {
    const row = { keyId: 'key_a' as KeyId, databaseId: 'db_one' as DatabaseId, day: '2026-11-23', operations: 3 };
    registry.addUsage([row, { ...row, day: '2026-11-22' }]);
    registry.addUsage([row]);
    reopen();
    expect(registry.usageSince('2026-11-23')).toEqual([{ ...row, operations: 6 }]);
    registry.forgetUsageBefore('2026-11-23');
    expect(registry.usageSince('2000-01-01')).toEqual([{ ...row, operations: 6 }]);
  });

  it('a database becomes ready together with its first key, or neither happens', () => {
    registry.addDatabase(database('one'));
    registry.finishDatabase('db_one' as DatabaseId, key('a', 'one'));
    registry.addDatabase(database('two'));
    expect(() => registry.finishDatabase('db_two' as DatabaseId, key('a', 'two'))).toThrow();
    expect(registry.databases().map(({ lifecycle }) => lifecycle)).toEqual(['ready', 'creating']);
  });

  it('a registry of a newer Dormouse and a file that is no registry are refused', () => {
    registry.close();
    const raw = new Database(file);
    raw.exec('PRAGMA user_version = 99');
    raw.close();
    expect(() => new Registry(file)).toThrow(expect.objectContaining({ code: 'data_version' }));
    const garbage = path.join(directory, 'garbage.db');
    writeFileSync(garbage, 'not a database '.repeat(1000));
    expect(() => new Registry(garbage)).toThrow(expect.objectContaining({ code: 'data_unusable' }));
    registry = new Registry(path.join(directory, 'other.db'));
  });
});

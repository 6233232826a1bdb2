import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changesSession } from './command-tag.ts';
import { callsSessionFunction, StatementCache } from './statement-cache.ts';

describe('StatementCache', () => {
  it('a statement gets a name on its second use, and the most recently used statements stay', () => {
    const cache = new StatementCache(2);
    expect(cache.use('a', []).name).toBe('');
    const first = cache.use('a', []);
    expect(first.name).not.toBe('');
    cache.use('b', []);
    const second = cache.use('b', []);
    expect(cache.use('a', [])).toBe(first);
    cache.use('c', []);
    expect(cache.dropped).toEqual([]);
    cache.use('c', []);
    expect(cache.dropped).toEqual([second.name]);
    expect(cache.use('a', [])).toBe(first);
    expect(cache.use('b', []).name).toBe('');
  });

  it('the prepared statements stay, however many texts come only once', () => {
    const cache = new StatementCache(4);
    for (const sql of ['a', 'b', 'c', 'd']) cache.use(sql, []);
    const named = ['a', 'b', 'c', 'd'].map((sql) => cache.use(sql, []));
    for (let trace = 0; trace < 1000; trace++) cache.use(`a /* traceparent='${trace}' */`, []);
    expect(cache.dropped).toEqual([]);
    expect(['a', 'b', 'c', 'd'].map((sql) => cache.use(sql, []))).toEqual(named);
  });

  it('a text with other parameter types is another statement', () => {
    const cache = new StatementCache(2);
    cache.use('a', [23]);
    const named = cache.use('a', [23]);
    expect(cache.use('a', [25]).name).toBe('');
    expect(cache.dropped).toEqual([named.name]);
  });

  it('the cache of prepared statements stays within its bound, gives no name twice, and reports every name that it forgets', () => {
    const use = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.constantFrom<number[]>([], [23]));
    fc.assert(
      fc.property(fc.array(use, { maxLength: 100 }), fc.integer({ min: 0, max: 4 }), (uses, max) => {
        const cache = new StatementCache(max);
        // What a server would hold: named with Parse, gone with Close.
        const held = new Map<string, string>();
        for (const [sql, types] of uses) {
          const entry = cache.use(sql, types);
          for (const name of cache.dropped) held.delete(name);
          cache.forgetDropped();
          if (entry.name === '') continue;
          const before = held.get(entry.name);
          if (before !== undefined) expect(before).toBe(`${sql} ${types}`);
          held.set(entry.name, `${sql} ${types}`);
          expect(cache.size).toBeLessThanOrEqual(max);
          expect(held.size).toBeLessThanOrEqual(max);
        }
      }),
    );
  });

  it('a text that is too long gets no name', () => {
    const cache = new StatementCache();
    const long = `select '${'x'.repeat(20_000)}'`;
    cache.use(long, []);
    expect(cache.use(long, []).name).toBe('');
    expect(cache.size).toBe(0);
  });
});

describe('statements that change the session beyond their transaction', () => {
  it('the command tag says whether a statement may change the session', () => {
    for (const [tag, sql] of [
      ['SELECT 1', 'select 1'],
      ['INSERT 0 1', 'insert into t values (1)'],
      ['BEGIN', 'begin'],
      ['SET', 'set local search_path to x'],
      ['SET', '  SET TRANSACTION isolation level serializable'],
      ['ROLLBACK', 'rollback to savepoint a'],
    ] as const) {
      expect(changesSession(tag, sql), sql).toBe(false);
    }
    for (const [tag, sql] of [
      ['SET', 'set search_path to x'],
      ['SET', 'set session characteristics as transaction read only'],
      ['LISTEN', 'listen news'],
      ['PREPARE', 'prepare p as select 1'],
      ['CREATE TABLE', 'create temp table t (n int)'],
      ['DISCARD ALL', 'discard all'],
      ['DO', 'do $$ begin perform set_config($1) end $$'],
      ['DECLARE CURSOR', 'declare c cursor with hold for select 1'],
    ] as const) {
      expect(changesSession(tag, sql), sql).toBe(true);
    }
  });

  it('the functions that a SELECT calls say whether it may change the session', () => {
    expect(callsSessionFunction("select set_config('a.b', $1, false)")).toBe(true);
    expect(callsSessionFunction('SELECT pg_advisory_lock(1)')).toBe(true);
    expect(callsSessionFunction('select pg_try_advisory_lock_shared(1)')).toBe(true);
    expect(callsSessionFunction("select set_config('a.b', $1, true)")).toBe(false);
    expect(callsSessionFunction('select pg_advisory_xact_lock(1)')).toBe(false);
    expect(callsSessionFunction('select * from settings')).toBe(false);
    expect(callsSessionFunction('SELECT "t"."temp", "t"."into" FROM "public"."temp" AS "t" /* temp_ */')).toBe(false);
  });

  it.each([
    `SELECT "set_config"('a.b', 'x', false)`,
    "SELECT set_config/**/('a.b', 'x', false)",
    "SELECT set_config('a.b', ', true)', false)",
    "SELECT set_config('a.b', 'x', true), set_config('a.b', 'x', false)",
    "SELECT set_config('a.b', 'x', is_local => 1 = 2)",
    String.raw`SELECT U&"set\005fconfig"('a.b', 'x', false)`,
    "SELECT query_to_xml('SELECT set' || '_config(''a.b'', ''x'', false)', true, true, '')",
    "SELECT * FROM ts_stat('SELECT set' || '_config(''a.b'', ''x'', false)::tsvector')",
    'SELECT 1 AS v INTO TEMP left_behind',
    'SELECT 1 AS v INTO /* */ TEMPORARY left_behind',
    'EXPLAIN ANALYZE CREATE TEMP TABLE left_behind AS SELECT 1',
  ])('the text %s counts as one that changes the session', (sql) => {
    expect(callsSessionFunction(sql)).toBe(true);
  });
});

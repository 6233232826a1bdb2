import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatabaseId } from '../base/index.ts';
import { type CacheEntry, CacheStore } from './cache-store.ts';

const entry = (key: string, size: number, tags: readonly string[] = [], database = 'db_1'): CacheEntry => ({
  key,
  databaseId: database as DatabaseId,
  tags,
  status: 200,
  contentType: 'application/json',
  body: new Uint8Array(size),
  readAtMs: 0,
  lastModified: '',
  endsAtMs: 1,
});

describe('CacheStore', () => {
  it('a full cache drops the least recently used entry first', () => {
    const store = new CacheStore({ bytesMax: 3 * 1700, entryBytesMax: 4000 });
    for (const key of ['a', 'b', 'c']) store.put(entry(key, 1000));
    store.get('a');
    store.put(entry('d', 1000));
    expect(['a', 'b', 'c', 'd'].filter((key) => store.get(key))).toEqual(['a', 'c', 'd']);
  });

  it('a database that floods the cache loses its own entries only', () => {
    const store = new CacheStore({ bytesMax: 10 * 1700, entryBytesMax: 4000 });
    for (const key of ['a', 'b', 'c']) store.put(entry(key, 1000, [], 'db_2'));
    for (let i = 0; i < 1000; i++) store.put(entry(`flood ${i}`, 1000));
    expect(['a', 'b', 'c'].filter((key) => store.get(key))).toEqual(['a', 'b', 'c']);
    expect(store.get('flood 999')).toBeDefined();
    expect(store.get('flood 0')).toBeUndefined();
    // A database without entries so far finds room.
    store.put(entry('d', 1000, [], 'db_3'));
    expect(store.get('d')).toBeDefined();
  });

  it('the cache refuses an entry over the bound of one entry, and drops the earlier entry of the same key', () => {
    const store = new CacheStore({ bytesMax: 10_000, entryBytesMax: 2000 });
    store.put(entry('a', 100));
    expect(store.put(entry('a', 2000))).toBe(false);
    expect(store.get('a')).toBeUndefined();
    expect(store.stats).toEqual({ entries: 0, bytes: 0 });
  });

  it('the cache never holds more bytes than allowed, and an invalidation by tag drops exactly the entries with that tag', () => {
    const put = fc.record({
      key: fc.nat(20),
      size: fc.nat(4000),
      tags: fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { maxLength: 3 }),
      database: fc.constantFrom('db_1', 'db_2'),
    });
    fc.assert(
      fc.property(fc.array(put, { maxLength: 60 }), fc.constantFrom('x', 'y', 'z', 'all'), (puts, tag) => {
        const store = new CacheStore({ bytesMax: 20_000, entryBytesMax: 5000 });
        for (const { key, size, tags, database } of puts) {
          store.put(entry(`${database}/${key}`, size, tags, database));
          expect(store.stats.bytes).toBeLessThanOrEqual(20_000);
        }
        const all = [...new Set(puts.map(({ key, database }) => `${database}/${key}`))];
        const before = all.flatMap((key) => store.get(key) ?? []);
        const doomed = before.filter(
          ({ databaseId, tags }) => databaseId === 'db_1' && (tag === 'all' || tags.includes(tag)),
        );
        expect(store.drop('db_1' as DatabaseId, tag === 'all' ? 'all' : [tag])).toBe(doomed.length);
        const left = all.filter((key) => store.get(key));
        expect(left.sort()).toEqual(
          before
            .filter((one) => !doomed.includes(one))
            .map(({ key }) => key)
            .sort(),
        );
        store.drop('db_1' as DatabaseId, 'all');
        store.drop('db_2' as DatabaseId, 'all');
        expect(store.stats).toEqual({ entries: 0, bytes: 0 });
      }),
    );
  });
});

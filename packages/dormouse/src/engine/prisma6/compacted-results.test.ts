import { type CompactedBatchResponse, convertCompactedRows } from '@prisma/client-engine-runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compactedResults, compactedTexts, haveTexts } from './compacted-results.ts';

const batchOf = (
  given: CompactedBatchResponse['arguments'],
  keys: string[],
  expectNonEmpty: boolean,
): CompactedBatchResponse => ({
  type: 'compacted',
  plan: { type: 'unit' },
  arguments: given,
  nestedSelection: ['id', 'name'],
  keys,
  expectNonEmpty,
});
const variable = (name: string, type: string): object => ({ prisma__type: 'param', prisma__value: { name, type } });

describe('compacted results', () => {
  it('compacted results are equal to the results of the runtime', () => {
    const id = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom('a', 'b', '1:1', '1'));
    const big = fc.integer({ min: 0, max: 3 }).map(String);
    const key = fc.record({ id: fc.integer({ min: 0, max: 5 }), big });
    fc.assert(
      fc.property(fc.array(key), fc.array(key), fc.boolean(), fc.array(id), (held, asked, throws, names) => {
        const rows = held.map((row, at) => ({
          id: row.id,
          big: { $type: 'BigInt', value: row.big },
          name: names[at] ?? null,
          hidden: at,
        }));
        const scope: Record<string, unknown> = {};
        const given = asked.map((row, at) => {
          scope[`%${at}`] = row.id;
          scope[`b${at}`] = BigInt(row.big);
          return { id: variable(`%${at}`, 'Int'), big: variable(`b${at}`, 'BigInt') };
        });
        const batch = batchOf(given, ['id', 'big'], throws);
        const plain = (results: unknown[]): unknown =>
          results.map((each) => (each instanceof Error ? each.message : each));
        expect(plain(compactedResults(rows, batch, scope))).toEqual(plain(convertCompactedRows(rows, batch, scope)));
      }),
    );
  });

  it('compacted results are found by keys that are compared as decimals and instants', () => {
    const rows = [{ id: { $type: 'Decimal', value: '1.50' }, name: 'x' }];
    expect(compactedResults(rows, batchOf([{ id: variable('v', 'Float') }], ['id'], false), { v: '1.5' })).toEqual(
      rows,
    );
    const instants = [{ id: { $type: 'DateTime', value: '2020-01-01T00:00:00+00:00' }, name: 'x' }];
    const asked = batchOf([{ id: variable('v', 'DateTime') }], ['id'], false);
    expect(compactedResults(instants, asked, { v: new Date('2020-01-01T00:00:00Z') })).toEqual(instants);
  });

  it('compacted results of many queries do not hold up the main loop', () => {
    const rows = Array.from({ length: 10_000 }, (_, id) => ({ id, name: `n${id}` }));
    const given = rows.map((_, at) => ({ id: variable(`%${at}`, 'Int') }));
    const scope = Object.fromEntries(rows.map(({ id }, at) => [`%${at}`, id]));
    let reads = 0;
    const watched = rows.map((row) =>
      Object.defineProperty({ ...row }, 'id', {
        enumerable: true,
        get() {
          reads++;
          return row.id;
        },
      }),
    );
    expect(compactedResults(watched, batchOf(given, ['id'], false), scope)).toHaveLength(10_000);
    // Each row is read a few times, not once per query.
    expect(reads).toBeLessThan(50_000);
  });

  it('compacted results are the same for records that are written already', () => {
    const key = fc.record({ id: fc.integer({ min: 0, max: 5 }), big: fc.integer({ min: 0, max: 3 }).map(String) });
    fc.assert(
      fc.property(fc.array(key), fc.array(key), fc.boolean(), (held, asked, throws) => {
        const rows = held.map(({ id, big }, at) => ({
          id,
          big: { $type: 'BigInt', value: big },
          name: `n${at}`,
          hidden: 1,
        }));
        const given = asked.map(({ id, big }) => ({ id, big: { $type: 'BigInt', value: big } }));
        const batch = batchOf(given, ['id', 'big'], throws);
        const records = rows.map((row, at) => ({
          key: [held[at]?.id, held[at]?.big],
          text: JSON.stringify({ id: row.id, name: row.name }),
        }));
        expect(haveTexts(batch, {})).toBe(true);
        const results = compactedTexts([{ key: [null, '1'], text: 'nobody' }, ...records], batch, {});
        expect(results.map((each) => (each instanceof Error ? each.message : JSON.parse(each ?? 'null')))).toEqual(
          compactedResults(rows, batch, {}).map((each) => (each instanceof Error ? each.message : each)),
        );
      }),
    );
    expect(haveTexts(batchOf([{ id: { $type: 'Decimal', value: '1.0' } }], ['id'], false), {})).toBe(false);
  });
});

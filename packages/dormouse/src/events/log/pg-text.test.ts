import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareNumbers, dateMs, isoDate, parseArray } from './pg-text.ts';

test('arrays are parsed with nesting, quotes, NULL and bounds, and other texts are refused', () => {
  expect(parseArray('{}')).toEqual([]);
  expect(parseArray('{1,NULL,3}')).toEqual(['1', null, '3']);
  expect(parseArray('{"a,b","NULL","q\\"\\\\",""}')).toEqual(['a,b', 'NULL', 'q"\\', '']);
  expect(parseArray('{{1,2},{3,4}}')).toEqual([
    ['1', '2'],
    ['3', '4'],
  ]);
  expect(parseArray('[0:1]={7,8}')).toEqual(['7', '8']);
  expect(parseArray('{"a\\\\b","\\"","line\\\nbreak"}')).toEqual(['a\\b', '"', 'line\nbreak']);
  // No array of Postgres is so deep, and no depth ends the stack.
  expect(parseArray('{'.repeat(100_000) + '}'.repeat(100_000))).toBeUndefined();
  expect(parseArray('{"never ends')).toBeUndefined();
  for (const text of ['', 'x', '{', '{1', '{1}x', '{{1}']) expect(parseArray(text)).toBeUndefined();
});

test('dates without a zone are instants of UTC', () => {
  expect(isoDate('2026-01-02 03:04:05.678901+00')).toBe('2026-01-02T03:04:05.678Z');
  expect(isoDate('2026-01-02 03:04:05+05:30')).toBe('2026-01-01T21:34:05.000Z');
  expect(isoDate('2026-01-02 03:04:05')).toBe('2026-01-02T03:04:05.000Z');
  expect(isoDate('2026-01-02')).toBe('2026-01-02T00:00:00.000Z');
  expect(isoDate('03:04:05.5')).toBe('1970-01-01T03:04:05.500Z');
  expect(isoDate('10000-01-01')).toBe('+010000-01-01T00:00:00.000Z');
  expect(isoDate('0044-03-15 BC')).toBe('-000043-03-15T00:00:00.000Z');
  expect(isoDate('infinity')).toBe('infinity');
  expect(dateMs('-infinity')).toBe(Number.NEGATIVE_INFINITY);
});

test('numbers of any size compare exactly', () => {
  fc.assert(
    fc.property(fc.bigInt(), fc.bigInt(), fc.nat(30), fc.nat(30), (a, b, i, j) => {
      const text = (value: bigint, places: number): string => `${value}e-${places}`;
      const [x, y] = [a * 10n ** BigInt(30 - i), b * 10n ** BigInt(30 - j)];
      expect(Math.sign(compareNumbers(text(a, i), text(b, j)) as number)).toBe(x < y ? -1 : x > y ? 1 : 0);
    }),
  );
  expect(compareNumbers('9007199254740993', '9007199254740992')).toBeGreaterThan(0);
  expect(compareNumbers('1.50', '1.5')).toBe(0);
  expect(compareNumbers('-0', '0.0')).toBe(0);
  expect(compareNumbers('NaN', 'Infinity')).toBeGreaterThan(0);
  expect(compareNumbers('x', '1')).toBeUndefined();
});

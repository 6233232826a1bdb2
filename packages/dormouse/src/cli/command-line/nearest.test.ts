import fc from 'fast-check';
import { expect, it } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

it('inserts, deletes, replacements and swaps each count as one edit', () => {
  expect(editDistance('port', 'port')).toBe(0);
  expect(editDistance('prot', 'port')).toBe(1);
  expect(editDistance('por', 'port')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
});

it('the distance of two words is symmetric, and zero only for equal words', () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b) === 0).toBe(a === b);
      expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
});

it('the nearest candidate is found, and none when none is near', () => {
  const flags = ['port', 'pg-port', 'pg-bin', 'suspend-after', 'stop-after', 'json'];
  expect(nearest('pgport', flags)).toBe('pg-port');
  expect(nearest('suspend', flags)).toBe('suspend-after');
  expect(nearest('stopafter', flags)).toBe('stop-after');
  expect(nearest('jsno', flags)).toBe('json');
  expect(nearest('colour', flags)).toBeUndefined();
  expect(nearest('', flags)).toBeUndefined();
});

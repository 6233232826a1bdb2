import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, chooseVictims } from './victims.ts';

const candidates = fc.array(
  fc.record({ bytes: fc.integer({ min: 0, max: 100 }), usedAtMs: fc.integer({ min: 0, max: 50 }) }),
  { maxLength: 30 },
);
const sum = (some: readonly Candidate[]): number => some.reduce((total, { bytes }) => total + bytes, 0);

describe('the choice of databases to stop for memory', () => {
  it('the choice of databases to stop for memory takes the least recently used databases, and no more than are needed', () => {
    fc.assert(
      fc.property(candidates, fc.integer({ min: -10, max: 2000 }), (all, need) => {
        const victims = chooseVictims(all, need);
        const spared = all.filter((one) => !victims.includes(one));
        expect(new Set(victims).size).toBe(victims.length);
        // The chosen databases are enough, or all.
        expect(sum(victims) >= need || spared.length === 0).toBe(true);
        // Without the last one they would not be enough.
        if (victims.length > 0) expect(sum(victims.slice(0, -1))).toBeLessThan(need);
        else expect(need <= 0 || all.length === 0).toBe(true);
        // No spared database was used less recently than a chosen one.
        const latest = Math.max(...victims.map(({ usedAtMs }) => usedAtMs));
        expect(spared.every(({ usedAtMs }) => usedAtMs >= latest)).toBe(true);
      }),
    );
  });
});

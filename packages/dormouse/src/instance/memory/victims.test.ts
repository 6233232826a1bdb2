import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, chooseVictims } from './victims.ts';

const candidates = fc.array(
  fc.record({ bytes: fc.integer({ min: 0, max: 100 }), usedAtMs: fc.integer({ min: 0, max: 50 }) }),
  { maxLength: 30 },
);
const sum = (some: readonly Candidate[]): number => some.reduce((total, { bytes }) => total + bytes, 0);

describe('who goes for memory', () => {
  it('is who was not used for longest, and nobody more than it takes', () => {
    fc.assert(
      fc.property(candidates, fc.integer({ min: -10, max: 2000 }), (all, need) => {
        const victims = chooseVictims(all, need);
        const spared = all.filter((one) => !victims.includes(one));
        expect(new Set(victims).size).toBe(victims.length);
        // Enough, or everybody.
        expect(sum(victims) >= need || spared.length === 0).toBe(true);
        // Without the last one it would not be.
        if (victims.length > 0) expect(sum(victims.slice(0, -1))).toBeLessThan(need);
        else expect(need <= 0 || all.length === 0).toBe(true);
        // Nobody who is spared has slept for longer than one who goes.
        const latest = Math.max(...victims.map(({ usedAtMs }) => usedAtMs));
        expect(spared.every(({ usedAtMs }) => usedAtMs >= latest)).toBe(true);
      }),
    );
  });
});

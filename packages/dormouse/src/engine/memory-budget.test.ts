import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Kept, MemoryBudget } from './memory-budget.ts';

interface Entry extends Kept {
  readonly name: string;
}

/** The simplest cache that uses a share. */
function cache(budget: MemoryBudget, bytesMax = Number.POSITIVE_INFINITY) {
  const entries = new Map<string, Entry>();
  const share = budget.share<Entry>(bytesMax, ({ name }) => entries.delete(name));
  return {
    entries,
    share,
    get(name: string): boolean {
      const entry = entries.get(name);
      if (entry !== undefined) share.use(entry);
      return entry !== undefined;
    },
    put(name: string, weight: number): void {
      if (entries.has(name) || !share.takes(weight)) return;
      const entry = { name, weight, usedAt: 0 };
      entries.set(name, entry);
      share.add(entry);
    },
  };
}

describe('a memory budget', () => {
  it('a memory budget drops the least recently used entries of all shares', () => {
    const budget = new MemoryBudget(1000);
    const [quiet, busy] = [cache(budget), cache(budget)];
    for (let i = 0; i < 10; i++) quiet.put(`quiet ${i}`, 50);
    for (let i = 0; i < 9; i++) busy.put(`busy ${i}`, 50);
    quiet.get('quiet 0');
    busy.put('last', 100);
    // An eighth is free again, taken from the quiet share, except for the entry that was just used.
    expect(budget.bytes).toBeLessThanOrEqual(875);
    expect(quiet.get('quiet 0')).toBe(true);
    expect(quiet.get('quiet 1')).toBe(false);
    expect(busy.entries.size).toBe(10);
  });

  it('a memory budget lets a flood of entries in one share push out only entries of that share', () => {
    const budget = new MemoryBudget(1000);
    const [small, flooding] = [cache(budget), cache(budget, 400)];
    for (let i = 0; i < 5; i++) small.put(`${i}`, 50);
    for (let i = 0; i < 1000; i++) flooding.put(`${i}`, 50);
    expect(flooding.share.bytes).toBeLessThanOrEqual(400);
    expect(small.entries.size).toBe(5);
  });

  it('a memory budget drops, at a sweep, the entries that were not used since the sweep before', () => {
    const budget = new MemoryBudget(1000);
    const one = cache(budget);
    one.put('idle', 10);
    one.put('used', 10);
    budget.sweep();
    expect(one.entries.size).toBe(2);
    one.get('used');
    budget.sweep();
    expect([...one.entries.keys()]).toEqual(['used']);
    budget.sweep();
    expect(budget.bytes).toBe(0);
  });

  it('a memory budget counts what is held, keeps its bound and keeps the newest entry, whatever the order of calls', () => {
    const step = fc.tuple(
      fc.nat(4),
      fc.constantFrom('put', 'get', 'grow', 'drop', 'clear', 'sweep'),
      fc.nat(9),
      fc.nat(300),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const budget = new MemoryBudget(2000);
        const caches = Array.from({ length: 5 }, () => cache(budget, 1500));
        for (const [which, what, number, weight] of steps) {
          const one = caches[which] as (typeof caches)[number];
          const name = String(number);
          const before = caches.flatMap(({ entries }) => [...entries.values()]);
          const entry = one.entries.get(name);
          if (what === 'put') one.put(name, weight);
          else if (what === 'get') one.get(name);
          else if (what === 'sweep') budget.sweep();
          else if (what === 'clear') one.share.clear();
          else if (entry !== undefined) {
            if (what === 'grow') one.share.grow(entry, weight % 50);
            else one.share.drop(entry);
          }
          const after = new Set(caches.flatMap(({ entries }) => [...entries.values()]));
          for (const { entries, share } of caches) {
            expect(share.bytes).toBe([...entries.values()].reduce((sum, held) => sum + held.weight, 0));
            expect(new Set(share.entries)).toEqual(new Set(entries.values()));
          }
          expect(budget.bytes).toBe([...after].reduce((sum, held) => sum + held.weight, 0));
          if (what === 'put' || what === 'grow') {
            expect(budget.bytes).toBeLessThanOrEqual(2000);
            // The new entry stays, and each dropped entry was used before all entries of its cache that stay.
            if (what === 'put' && weight <= 1500 / 8) expect(one.entries.has(name)).toBe(true);
            const mine = [...one.entries.values()];
            for (const gone of before) {
              if (after.has(gone)) continue;
              for (const held of mine) expect(gone.usedAt).toBeLessThanOrEqual(held.usedAt);
            }
          }
        }
      }),
    );
  });
});

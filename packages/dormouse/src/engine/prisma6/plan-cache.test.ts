import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryBudget } from '../memory-budget.ts';
import { PlanCache } from './plan-cache.ts';

describe('the plan cache', () => {
  it('keeps what was used last, within its bound', () => {
    const cache = new PlanCache<number>(new MemoryBudget(20_000));
    for (let index = 0; index < 100; index++) {
      cache.set(`shape ${index}`, index);
      cache.get('shape 0');
    }
    expect(cache.get('shape 0')).toBe(0);
    expect(cache.get('shape 1')).toBeUndefined();
    expect(cache.get('shape 99')).toBe(99);
    expect(cache.size).toBeLessThan(10);
    cache.set('x'.repeat(10_000), 1);
    expect(cache.get('shape 99')).toBe(99);
  });

  it('never gives one shape the plan of another', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.nat())), (entries) => {
        const cache = new PlanCache<number>(new MemoryBudget(30_000));
        const last = new Map<string, number>();
        for (const [shape, plan] of entries) {
          cache.set(shape, plan);
          last.set(shape, plan);
        }
        for (const [shape, plan] of last) expect([plan, undefined]).toContain(cache.get(shape));
      }),
    );
  });
});

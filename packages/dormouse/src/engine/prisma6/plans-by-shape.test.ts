import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryBudget } from '../memory-budget.ts';
import { PlansByShape } from './plans-by-shape.ts';

describe('PlansByShape', () => {
  it('the cache of plans by shape keeps the plans that were used last, within its bound', () => {
    const plans = new PlansByShape<number>(new MemoryBudget(20_000));
    for (let index = 0; index < 100; index++) {
      plans.set(`shape ${index}`, index);
      plans.get('shape 0');
    }
    expect(plans.get('shape 0')).toBe(0);
    expect(plans.get('shape 1')).toBeUndefined();
    expect(plans.get('shape 99')).toBe(99);
    expect(plans.size).toBeLessThan(10);
    plans.set('x'.repeat(10_000), 1);
    expect(plans.get('shape 99')).toBe(99);
  });

  it('the cache of plans by shape never gives one shape the plan of another shape', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.nat())), (entries) => {
        const plans = new PlansByShape<number>(new MemoryBudget(30_000));
        const last = new Map<string, number>();
        for (const [shape, plan] of entries) {
          plans.set(shape, plan);
          last.set(shape, plan);
        }
        for (const [shape, plan] of last) expect([plan, undefined]).toContain(plans.get(shape));
      }),
    );
  });
});

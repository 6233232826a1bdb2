import type { Kept, MemoryBudget, Share } from '../memory-budget.ts';

/** Bytes kept per database: about 2000 plans of usual size. */
const WEIGHT_MAX = 16 * 2 ** 20;
/**
 * A plan in memory takes about this many bytes per character of its query's shape, measured over the queries of the
 * test suites.
 */
const WEIGHT_PER_CHARACTER = 12;
const WEIGHT_BASE = 2048;

interface KeptPlan<Plan> extends Kept {
  readonly shape: string;
  readonly plan: Plan;
}

/**
 * Plans by the shape of their query: the query's JSON with its values taken out. The estimated memory is bounded; the
 * least recently used plans are dropped first.
 */
export class PlansByShape<Plan> {
  readonly #plans = new Map<string, KeptPlan<Plan>>();
  readonly #share: Share<KeptPlan<Plan>>;

  constructor(budget: MemoryBudget, weightMax: number = WEIGHT_MAX) {
    this.#share = budget.share(weightMax, ({ shape }) => this.#plans.delete(shape));
  }

  get size(): number {
    return this.#plans.size;
  }

  get(shape: string): Plan | undefined {
    const kept = this.#plans.get(shape);
    if (kept === undefined) return undefined;
    this.#share.use(kept);
    return kept.plan;
  }

  set(shape: string, plan: Plan): void {
    const weight = WEIGHT_BASE + shape.length * WEIGHT_PER_CHARACTER;
    const before = this.#plans.get(shape);
    if (before !== undefined) this.#share.drop(before);
    if (!this.#share.takes(weight)) return;
    const kept: KeptPlan<Plan> = { shape, plan, weight, usedAt: 0 };
    this.#plans.set(shape, kept);
    this.#share.add(kept);
  }

  /** Forgets all. */
  clear(): void {
    this.#share.clear();
  }
}

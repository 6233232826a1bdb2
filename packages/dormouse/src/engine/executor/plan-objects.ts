import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { type CompiledPlan, compilePlan } from './compiled-plan.ts';

/** What is known of a plan that is kept elsewhere: seen once, compiled, or only for the runtime. */
type Known = CompiledPlan | 'seen' | 'foreign';

/** Programs of plans that are kept as objects, from the second use on; gone when the plan is. */
export class PlanObjects {
  readonly #known = new WeakMap<QueryPlanNode, Known>();

  find(plan: QueryPlanNode): CompiledPlan | undefined {
    const known = this.#known.get(plan);
    if (known === undefined) {
      this.#known.set(plan, 'seen');
      return undefined;
    }
    if (known === 'foreign') return undefined;
    if (known !== 'seen') return known;
    const compiled = compilePlan(plan);
    this.#known.set(plan, compiled ?? 'foreign');
    return compiled;
  }

  /** The program of a plan that has one by now. Does not count as a use. */
  peek(plan: QueryPlanNode): CompiledPlan | undefined {
    const known = this.#known.get(plan);
    return typeof known === 'object' ? known : undefined;
  }
}

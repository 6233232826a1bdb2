import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { CompileProgram, Program } from '../program/index.ts';

/** What is known of a plan that is kept elsewhere: compiled, or only for the runtime. */
type Known = Program | 'foreign';

/** Programs of plans that are kept as objects; gone when the plan is. */
export class PlanObjects {
  readonly #known = new WeakMap<QueryPlanNode, Known>();
  readonly #compile: CompileProgram;

  constructor(compile: CompileProgram) {
    this.#compile = compile;
  }

  find(plan: QueryPlanNode): Program | undefined {
    const known = this.#known.get(plan);
    if (known !== undefined) return known === 'foreign' ? undefined : known;
    const compiled = this.#compile(plan);
    this.#known.set(plan, compiled ?? 'foreign');
    return compiled;
  }
}

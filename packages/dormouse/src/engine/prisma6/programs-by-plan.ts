import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { BuildProgram, Program } from '../program/index.ts';

/** What is known of a plan that is kept elsewhere: compiled, or only for the runtime. */
type Known = Program | 'foreign';

/** Programs of plans that are kept as objects; gone when the plan is. */
export class ProgramsByPlan {
  readonly #known = new WeakMap<QueryPlanNode, Known>();
  readonly #build: BuildProgram;

  constructor(build: BuildProgram) {
    this.#build = build;
  }

  find(plan: QueryPlanNode): Program | undefined {
    const known = this.#known.get(plan);
    if (known !== undefined) return known === 'foreign' ? undefined : known;
    const program = this.#build(plan);
    this.#known.set(plan, program ?? 'foreign');
    return program;
  }
}

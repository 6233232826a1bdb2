import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { BuildProgram, Program } from '../program/index.ts';

/** A plan's program, or a mark that only Prisma's runtime can run the plan. */
type Known = Program | 'runtime-only';

/** The programs of plans, by the plan as an object. A program is dropped with its plan. */
export class ProgramsByPlan {
  readonly #known = new WeakMap<QueryPlanNode, Known>();
  readonly #build: BuildProgram;

  constructor(build: BuildProgram) {
    this.#build = build;
  }

  find(plan: QueryPlanNode): Program | undefined {
    const known = this.#known.get(plan);
    if (known !== undefined) return known === 'runtime-only' ? undefined : known;
    const program = this.#build(plan);
    this.#known.set(plan, program ?? 'runtime-only');
    return program;
  }
}

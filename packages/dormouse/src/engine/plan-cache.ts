/** Kept a database: about 2000 plans of usual size. */
const WEIGHT_MAX = 16 * 2 ** 20;
/** A plan in memory is about this many times the text of its query's shape, measured over the queries of the test suites. */
const WEIGHT_PER_CHARACTER = 12;
const WEIGHT_BASE = 2048;

/** Plans by the shape of their query, the least recently used going first; bounded by an estimate of their memory. */
export class PlanCache<Plan> {
  readonly #plans = new Map<string, Plan>();
  readonly #weightMax: number;
  #weight = 0;

  constructor(weightMax: number = WEIGHT_MAX) {
    this.#weightMax = weightMax;
  }

  get size(): number {
    return this.#plans.size;
  }

  get(shape: string): Plan | undefined {
    const plan = this.#plans.get(shape);
    if (plan === undefined) return undefined;
    this.#plans.delete(shape);
    this.#plans.set(shape, plan);
    return plan;
  }

  set(shape: string, plan: Plan): void {
    const weight = weigh(shape);
    // One that would push out a good part of the others is not worth it.
    if (weight > this.#weightMax / 8) return;
    if (this.#plans.delete(shape)) this.#weight -= weight;
    this.#plans.set(shape, plan);
    this.#weight += weight;
    for (const oldest of this.#plans.keys()) {
      if (this.#weight <= this.#weightMax) return;
      this.#plans.delete(oldest);
      this.#weight -= weigh(oldest);
    }
  }
}

function weigh(shape: string): number {
  return WEIGHT_BASE + shape.length * WEIGHT_PER_CHARACTER;
}

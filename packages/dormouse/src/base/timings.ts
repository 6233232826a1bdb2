/** The stages of a query, in the order in which it passes them. */
export const STAGES = ['auth', 'cache', 'compile', 'wake', 'queue', 'sql', 'total'] as const;
export type Stage = (typeof STAGES)[number];

/** Where one request's time went, milliseconds a stage. Stages that were not passed stay absent. */
export class Timings {
  readonly #ms: Partial<Record<Stage, number>> = {};

  add(stage: Stage, ms: number): void {
    this.#ms[stage] = (this.#ms[stage] ?? 0) + ms;
  }

  get(stage: Stage): number | undefined {
    return this.#ms[stage];
  }

  /** The value of a `server-timing` header: `auth;dur=0.01, sql;dur=0.42` (W3C Server Timing). */
  header(): string {
    let out = '';
    for (const stage of STAGES) {
      const ms = this.#ms[stage];
      if (ms === undefined) continue;
      if (out !== '') out += ', ';
      out += `${stage};dur=${ms.toFixed(3)}`;
    }
    return out;
  }
}

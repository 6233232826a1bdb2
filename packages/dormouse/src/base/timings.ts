/** The stages of a query, in the order in which it passes them. */
export const STAGES = ['auth', 'cache', 'compile', 'wake', 'queue', 'sql', 'total'] as const;
export type Stage = (typeof STAGES)[number];

/** Where each stage's time is kept. */
const PLACES: Readonly<Record<Stage, number>> = { auth: 0, cache: 1, compile: 2, wake: 3, queue: 4, sql: 5, total: 6 };
const PREFIXES: readonly string[] = STAGES.map((stage) => `${stage};dur=`);
/** `.000` to `.999`. */
const THOUSANDTHS: readonly string[] = Array.from({ length: 1000 }, (_, n) => `.${String(n).padStart(3, '0')}`);

/** The time of one request in each stage, in milliseconds. Stages that the request did not pass stay absent. */
export class Timings {
  /** Below zero: the request did not pass the stage. */
  readonly #ms: number[] = [-1, -1, -1, -1, -1, -1, -1];

  add(stage: Stage, ms: number): void {
    const place = PLACES[stage];
    const before = this.#ms[place] as number;
    this.#ms[place] = Math.max(0, before < 0 ? ms : before + ms);
  }

  get(stage: Stage): number | undefined {
    const ms = this.#ms[PLACES[stage]] as number;
    return ms < 0 ? undefined : ms;
  }

  /** The value of a `server-timing` header: `auth;dur=0.010, sql;dur=0.420` (W3C Server Timing). */
  header(): string {
    let out = '';
    for (let place = 0; place < PREFIXES.length; place++) {
      const ms = this.#ms[place] as number;
      if (ms < 0) continue;
      // This takes half the time of `toFixed`.
      const us = Math.round(ms * 1000);
      const whole = Math.floor(us / 1000);
      out += `${out === '' ? '' : ', '}${PREFIXES[place]}${whole}${THOUSANDTHS[us - whole * 1000]}`;
    }
    return out;
  }
}

import type { Clock, RestOverrides, Timer } from '../../base/index.ts';
import type { InstanceState } from '../contract/index.ts';

/** When a database rests. Times in milliseconds, Infinity for never. */
export interface RestSettings {
  /** From the last activity to the freeze. */
  readonly suspendAfterMs: number;
  /** From the freeze to the clean stop. */
  readonly stopAfterMs: number;
  /** Never rests for idleness, and comes up by itself. */
  readonly alwaysOn: boolean;
}

export const DEFAULT_REST: RestSettings = { suspendAfterMs: 5000, stopAfterMs: 5 * 60_000, alwaysOn: false };

/** The platform's settings, with a database's own in their place where it has any. */
export function restOf(defaults: RestSettings, own: RestOverrides = {}): RestSettings {
  return {
    suspendAfterMs: own.suspendAfterMs ?? defaults.suspendAfterMs,
    stopAfterMs: own.stopAfterMs ?? defaults.stopAfterMs,
    alwaysOn: own.alwaysOn ?? defaults.alwaysOn,
  };
}

/** After a failed freeze the next one waits at least this long: with an idle time of zero it would spin. */
const RETRY_MS = 1000;
/** Timers hold 2^31-1 ms; a rest that is weeks away never comes. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Measures how long a database has been idle, and calls back when it may have been idle for long enough. */
export class IdleTimer {
  readonly #clock: Clock;
  readonly #due: () => void;
  #settings: RestSettings;
  #sinceMs: number;
  #usedAtMs: number;
  #notBeforeMs = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, settings: RestSettings, due: () => void) {
    this.#clock = clock;
    this.#settings = settings;
    this.#due = due;
    this.#sinceMs = clock.monotonic();
    this.#usedAtMs = this.#sinceMs;
  }

  get settings(): RestSettings {
    return this.#settings;
  }

  /** When the last activity ended, on the monotonic clock. */
  get usedAtMs(): number {
    return this.#usedAtMs;
  }

  change(settings: RestSettings): void {
    this.#settings = settings;
    this.cancel();
  }

  /** Activity ends now, idleness begins. */
  used(): void {
    this.#sinceMs = this.#clock.monotonic();
    this.#usedAtMs = this.#sinceMs;
  }

  /** The rest begins now. */
  rested(): void {
    this.#sinceMs = this.#clock.monotonic();
  }

  /** A freeze has failed. */
  failed(): void {
    this.#notBeforeMs = this.#clock.monotonic() + RETRY_MS;
  }

  /** Whether this state has lasted long enough without activity. */
  over(state: InstanceState): boolean {
    return this.#leftMs(state) <= 0;
  }

  /**
   * Calls `due` at the next moment at which `over` may be true for this state. A timer that is set already stays as it
   * is: `due` looks again when it fires.
   */
  arm(state: InstanceState): void {
    if (this.#timer !== undefined) return;
    const leftMs = this.#leftMs(state);
    if (leftMs > TIMER_MS_MAX) return;
    this.#timer = this.#clock.after(Math.max(0, leftMs), () => {
      this.#timer = undefined;
      this.#due();
    });
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #leftMs(state: InstanceState): number {
    return Math.max(this.#sinceMs + this.#afterMs(state), this.#notBeforeMs) - this.#clock.monotonic();
  }

  #afterMs(state: InstanceState): number {
    if (this.#settings.alwaysOn) return Number.POSITIVE_INFINITY;
    if (state === 'running') return this.#settings.suspendAfterMs;
    return state === 'suspended' ? this.#settings.stopAfterMs : Number.POSITIVE_INFINITY;
  }
}

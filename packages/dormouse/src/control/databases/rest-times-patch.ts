import { DormouseError, type RestOverrides } from '../../base/index.ts';
import type { RestView } from '../../management-api/index.ts';
import { isLimit, LIMITS } from './limits-patch.ts';

/** The times of rest that the platform's flags set. */
export type RestDefaults = Required<RestOverrides>;

const TIMES = ['suspendAfterMs', 'stopAfterMs'] as const;
const SWITCHES = ['alwaysOn', 'listenKeepsAwake'] as const;
/** Timers hold 31 bits of milliseconds: 24.8 days. */
const MS_MAX = 2 ** 31 - 1;

export function viewRest(defaults: RestDefaults, own: RestOverrides): RestView {
  const ms = (value: number): number | 'never' => (value === Number.POSITIVE_INFINITY ? 'never' : value);
  return {
    suspendAfterMs: ms(own.suspendAfterMs ?? defaults.suspendAfterMs),
    stopAfterMs: ms(own.stopAfterMs ?? defaults.stopAfterMs),
    alwaysOn: own.alwaysOn ?? defaults.alwaysOn,
    listenKeepsAwake: own.listenKeepsAwake ?? defaults.listenKeepsAwake,
    own: [...TIMES, ...SWITCHES].filter((name) => own[name] !== undefined),
  };
}

/**
 * A database's own times of rest after a change. Each setting that the change names becomes milliseconds or `"never"`,
 * true or false, or null for the platform's default. Limits are skipped here, because `patchLimits` reads them. Fails
 * with `request_invalid`.
 */
export function patchRest(own: RestOverrides, body: Readonly<Record<string, unknown>>): RestOverrides {
  const next: { -readonly [Name in keyof RestOverrides]: RestOverrides[Name] } = { ...own };
  for (const [name, value] of Object.entries(body)) {
    if (isLimit(name)) continue;
    const time = TIMES.find((known) => known === name);
    const turn = SWITCHES.find((known) => known === name);
    if (time === undefined && turn === undefined) {
      refuse(`"${name.slice(0, 80)}" cannot be set. These can: ${[...TIMES, ...SWITCHES, ...LIMITS].join(', ')}.`);
    } else if (value === null) {
      delete next[name as keyof RestOverrides];
    } else if (time !== undefined) {
      next[time] = value === 'never' ? Number.POSITIVE_INFINITY : milliseconds(time, value);
    } else if (turn !== undefined) {
      if (typeof value !== 'boolean') refuse(`"${turn}" is true, false, or null for the platform's default.`);
      next[turn] = value;
    }
  }
  return next;
}

function milliseconds(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MS_MAX) return value;
  return refuse(
    `"${name}" is a whole number of milliseconds up to ${MS_MAX}, "never", or null for the platform's default.`,
  );
}

function refuse(message: string): never {
  throw new DormouseError('request_invalid', { message });
}

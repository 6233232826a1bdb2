import { DormouseError, LIMIT_BOUNDS, type LimitOverrides, limitFits } from '../../base/index.ts';
import type { LimitsView } from '../../management-api/index.ts';

/** The limits that the platform's flags set. */
export type LimitDefaults = Required<LimitOverrides>;

/** The names of all limits. */
export const LIMITS: readonly (keyof LimitDefaults)[] = Object.keys(LIMIT_BOUNDS) as readonly (keyof LimitDefaults)[];

/** Whether `name` is the name of a limit. */
export function isLimit(name: string): boolean {
  return Object.hasOwn(LIMIT_BOUNDS, name);
}

export function viewLimits(defaults: LimitDefaults, own: LimitOverrides): LimitsView {
  const shown = (name: keyof LimitDefaults): number | 'none' => {
    const value = own[name] ?? defaults[name];
    return value === Number.POSITIVE_INFINITY ? 'none' : value;
  };
  return {
    memoryLimitBytes: shown('memoryLimitBytes'),
    cpuLimit: shown('cpuLimit'),
    cpuWeight: own.cpuWeight ?? defaults.cpuWeight,
    processLimit: shown('processLimit'),
    tempLimitBytes: shown('tempLimitBytes'),
    own: LIMITS.filter((name) => own[name] !== undefined),
  };
}

/**
 * A database's own limits after a change. Each limit that the change names becomes a number, `"none"` for no limit, or
 * null for the platform's default. Fails with `request_invalid`.
 */
export function patchLimits(own: LimitOverrides, body: Readonly<Record<string, unknown>>): LimitOverrides {
  const next: { -readonly [Name in keyof LimitOverrides]: LimitOverrides[Name] } = { ...own };
  for (const name of LIMITS) {
    const value = body[name];
    if (value === undefined) continue;
    if (value === null) delete next[name];
    else if (value === 'none' && name !== 'cpuWeight') next[name] = Number.POSITIVE_INFINITY;
    else next[name] = checkLimit(name, value);
  }
  return next;
}

function checkLimit(name: keyof LimitDefaults, value: unknown): number {
  if (typeof value === 'number' && limitFits(name, value)) return value;
  const { min, max, whole } = LIMIT_BOUNDS[name];
  throw new DormouseError('request_invalid', {
    message: `"${name}" is a${whole ? ' whole' : ''} number from ${min} to ${max}${name === 'cpuWeight' ? '' : ', "none"'}, or null for the platform's default.`,
  });
}

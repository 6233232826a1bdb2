import type { LimitOverrides } from './catalog.ts';

/** What a limit of one database may be, apart from none. */
export interface LimitBound {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

/** Below the minimum no server would start, or no login succeed: it has 7 processes and some 25 MB of shared memory. */
export const LIMIT_BOUNDS: Readonly<Record<keyof LimitOverrides, LimitBound>> = {
  memoryLimitBytes: { min: 64 * 2 ** 20, max: 2 ** 50, whole: true },
  cpuLimit: { min: 0.05, max: 1024, whole: false },
  /** The bounds of the kernel. */
  cpuWeight: { min: 1, max: 10_000, whole: true },
  processLimit: { min: 16, max: 4_000_000, whole: true },
  tempLimitBytes: { min: 1024, max: 2 ** 40, whole: true },
};

/** Whether a limit may be that number. */
export function limitFits(name: keyof LimitOverrides, value: number): boolean {
  const { min, max, whole } = LIMIT_BOUNDS[name];
  return value >= min && value <= max && (!whole || Number.isInteger(value));
}

/**
 * The default: no limits, and the kernel's own default weight. Postgres itself bounds its processes by max_connections,
 * and a start without limits is not slowed by a control group.
 */
export const NO_LIMITS: Required<LimitOverrides> = {
  memoryLimitBytes: Number.POSITIVE_INFINITY,
  cpuLimit: Number.POSITIVE_INFINITY,
  cpuWeight: 100,
  processLimit: Number.POSITIVE_INFINITY,
  tempLimitBytes: Number.POSITIVE_INFINITY,
};

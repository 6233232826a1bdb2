import type { LimitOverrides } from './catalog.ts';

/** What a limit of one database may be, apart from none. */
export interface LimitBound {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

/** Lower ones would not let a server start, or nobody log in: it has 7 processes and shared memory of some 25 MB. */
export const LIMIT_BOUNDS: Readonly<Record<keyof LimitOverrides, LimitBound>> = {
  memoryLimitBytes: { min: 64 * 2 ** 20, max: 2 ** 50, whole: true },
  cpuLimit: { min: 0.05, max: 1024, whole: false },
  /** Those of the kernel. */
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
 * None, and the weight that the kernel gives of its own accord. The default: Postgres bounds its processes by
 * max_connections itself, and a start without limits is not slowed by a group.
 */
export const NO_LIMITS: Required<LimitOverrides> = {
  memoryLimitBytes: Number.POSITIVE_INFINITY,
  cpuLimit: Number.POSITIVE_INFINITY,
  cpuWeight: 100,
  processLimit: Number.POSITIVE_INFINITY,
  tempLimitBytes: Number.POSITIVE_INFINITY,
};

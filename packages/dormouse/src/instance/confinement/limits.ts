import { type LimitOverrides, NO_LIMITS } from '../../base/index.ts';

/** What one database's server may take. Infinity means no limit. */
export type Limits = Required<LimitOverrides>;

/** The platform's limits, with a database's own in their place where it has any. */
export function limitsOf(defaults: Limits, own: LimitOverrides = {}): Limits {
  return {
    memoryLimitBytes: own.memoryLimitBytes ?? defaults.memoryLimitBytes,
    cpuLimit: own.cpuLimit ?? defaults.cpuLimit,
    cpuWeight: own.cpuWeight ?? defaults.cpuWeight,
    processLimit: own.processLimit ?? defaults.processLimit,
    tempLimitBytes: own.tempLimitBytes ?? defaults.tempLimitBytes,
  };
}

/** A controller of cgroup version 2. */
export type CgroupController = 'memory' | 'cpu' | 'pids';

/** The controllers that enforce these limits; none if the limits ask nothing of the kernel. */
export function controllersOf(limits: Limits): readonly CgroupController[] {
  const wanted: CgroupController[] = [];
  if (limits.memoryLimitBytes !== Number.POSITIVE_INFINITY) wanted.push('memory');
  if (limits.cpuLimit !== Number.POSITIVE_INFINITY || limits.cpuWeight !== NO_LIMITS.cpuWeight) wanted.push('cpu');
  if (limits.processLimit !== Number.POSITIVE_INFINITY) wanted.push('pids');
  return wanted;
}

/** The period that a limit of processor time refers to; the kernel's own default. */
const CPU_PERIOD_US = 100_000;

/** The contents of the files of a server's group, per controller. */
export function groupFiles(
  limits: Limits,
): Readonly<Record<CgroupController, readonly (readonly [file: string, content: string])[]>> {
  const number = (value: number): string => (value === Number.POSITIVE_INFINITY ? 'max' : String(Math.floor(value)));
  const limited = limits.memoryLimitBytes !== Number.POSITIVE_INFINITY;
  return {
    memory: [
      // Kill the whole server: a postmaster whose backend was killed ends the other backends anyway, and a killed
      // postmaster leaves orphans.
      ['memory.oom.group', limited ? '1' : '0'],
      // Memory beyond the limit must not go to swap, which would slow down the tenant and the disk that all share.
      ['memory.swap.max', limited ? '0' : 'max'],
      ['memory.max', number(limits.memoryLimitBytes)],
    ],
    cpu: [
      ['cpu.weight', String(limits.cpuWeight)],
      ['cpu.max', `${number(limits.cpuLimit * CPU_PERIOD_US)} ${CPU_PERIOD_US}`],
    ],
    pids: [['pids.max', number(limits.processLimit)]],
  };
}

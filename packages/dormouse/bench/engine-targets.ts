import { type Figure, ratio, show, table } from './rounds.ts';

export const PLANS = 'Dormouse, plan protocol (7)';
export const JSON_QUERIES = 'Dormouse, JSON protocol (6)';
export const EXECUTOR = '@prisma/query-plan-executor';
export const IN_PROCESS = 'client 7 in process, adapter-pg';
export const DRIVER = 'pg, named statements';

/** What was measured of one workload at one number of connections. */
export interface Measured {
  readonly workload: string;
  readonly connections: number;
  readonly of: (server: string, number: 'rate' | 'cpuUs' | 'p50' | 'p99') => Figure;
}

/** A ratio and what it is to reach. */
interface Target {
  readonly claim: string;
  readonly workloads: RegExp;
  readonly connections?: number;
  readonly atLeast?: number;
  readonly below?: number;
  readonly figure: (measured: Measured['of']) => Figure;
}

const ONE_QUERY = /^find/;
const INCLUDE = /^include/;
const ALL = /./;

const TARGETS: readonly Target[] = [
  ...[PLANS, JSON_QUERIES].flatMap((server) => {
    const protocol = server.replace('Dormouse, ', '');
    const rate: Target['figure'] = (of) => ratio(of(server, 'rate'), of(EXECUTOR, 'rate'));
    const cpu: Target['figure'] = (of) => ratio(of(EXECUTOR, 'cpuUs'), of(server, 'cpuUs'));
    return [
      { claim: `${protocol}: throughput / executor's`, workloads: ONE_QUERY, atLeast: 5, figure: rate },
      { claim: `${protocol}: executor's CPU / ours`, workloads: ONE_QUERY, atLeast: 5, figure: cpu },
      { claim: `${protocol}: throughput / executor's`, workloads: INCLUDE, atLeast: 3, figure: rate },
      { claim: `${protocol}: executor's CPU / ours`, workloads: INCLUDE, atLeast: 3, figure: cpu },
    ];
  }),
  {
    claim: 'plan protocol (7): throughput / in-process client',
    workloads: /^findMany/,
    atLeast: 2,
    figure: (of) => ratio(of(PLANS, 'rate'), of(IN_PROCESS, 'rate')),
  },
  {
    claim: 'plan protocol (7): throughput / bare pg',
    workloads: /^findMany/,
    atLeast: 0.7,
    figure: (of) => ratio(of(PLANS, 'rate'), of(DRIVER, 'rate')),
  },
  {
    claim: 'plan protocol (7): p99 / p50',
    workloads: ALL,
    connections: 64,
    below: 3,
    figure: (of) => ratio(of(PLANS, 'p99'), of(PLANS, 'p50')),
  },
];

/** The ratios that are claimed, and whether the median of the rounds reaches them. */
export function targetTable(all: readonly Measured[]): string {
  const rows: string[][] = [];
  for (const { claim, workloads, connections, atLeast, below, figure } of TARGETS) {
    for (const measured of all) {
      if (!workloads.test(measured.workload)) continue;
      if (connections !== undefined && connections !== measured.connections) continue;
      const value = figure(measured.of);
      const reached = atLeast === undefined ? value.median < (below as number) : value.median >= atLeast;
      rows.push([
        measured.workload,
        String(measured.connections),
        claim,
        show(value),
        atLeast === undefined ? `< ${below}` : `≥ ${atLeast}`,
        reached ? 'reached' : 'not reached',
      ]);
    }
  }
  return table(['query', 'connections', 'ratio, round by round', 'median (range)', 'target', ''], rows);
}

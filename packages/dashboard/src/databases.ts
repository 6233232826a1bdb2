import type { DatabaseSummary, LimitsView, RestView, Status } from './api.ts';

/** A change of the list, as the event stream or a request brings it. */
export type Change =
  | { readonly kind: 'databases'; readonly databases: readonly DatabaseSummary[] }
  /** A list of the same databases; only the numbers in it are used. */
  | { readonly kind: 'counts'; readonly databases: readonly DatabaseSummary[] }
  | { readonly kind: 'state'; readonly id: string; readonly state: string }
  | { readonly kind: 'created'; readonly database: DatabaseSummary }
  | { readonly kind: 'changed'; readonly database: DatabaseSummary }
  | { readonly kind: 'deleted'; readonly id: string };

/**
 * The list after a change, the oldest database first and each database once. A change of a database that is not in the
 * list, such as the state of a deleted one, has no effect.
 */
export function applyChange(list: readonly DatabaseSummary[], change: Change): readonly DatabaseSummary[] {
  switch (change.kind) {
    case 'databases':
      return sorted(change.databases);
    case 'counts':
      return list.map((one) => {
        const now = change.databases.find((other) => other.id === one.id);
        return now
          ? { ...one, keys: now.keys, operationsToday: now.operationsToday, memoryBytes: now.memoryBytes }
          : one;
      });
    case 'state':
      return list.map((one) => (one.id === change.id ? { ...one, state: change.state } : one));
    case 'created':
      return sorted([...list.filter((one) => one.id !== change.database.id), change.database]);
    case 'changed':
      return list.map((one) => (one.id === change.database.id ? change.database : one));
    case 'deleted':
      return list.filter((one) => one.id !== change.id);
  }
}

function sorted(list: readonly DatabaseSummary[]): readonly DatabaseSummary[] {
  return [...list].sort((a, b) => a.createdAtMs - b.createdAtMs || a.name.localeCompare(b.name));
}

/** The appearance of a state. */
export type Tone = 'running' | 'suspended' | 'stopped' | 'moving' | 'failed';

export function toneOf(state: string): Tone {
  if (state === 'running' || state === 'suspended' || state === 'stopped' || state === 'failed') return state;
  return 'moving';
}

/** The actions that are possible in a state. */
export function actionsIn(state: string): {
  readonly wake: boolean;
  readonly suspend: boolean;
  readonly stop: boolean;
} {
  return {
    wake: state === 'stopped' || state === 'suspended' || state === 'failed',
    suspend: state === 'running',
    stop: state === 'running' || state === 'suspended',
  };
}

/** `3 databases: 1 running, 2 suspended; 24 MiB`. */
export function summarize(list: readonly DatabaseSummary[]): string {
  const counts = new Map<string, number>();
  for (const { state } of list) counts.set(state, (counts.get(state) ?? 0) + 1);
  const parts = [...counts].map(([state, count]) => `${count} ${state}`);
  const memory = describeMemory(list.reduce((sum, { memoryBytes }) => sum + (memoryBytes ?? 0), 0));
  if (list.length === 0) return '';
  const counted = `${list.length} ${list.length === 1 ? 'database' : 'databases'}: ${parts.join(', ')}`;
  return memory === '' ? counted : `${counted}; ${memory}`;
}

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const;

/** A duration in the largest unit that divides it: `5 s`, `5 min`. */
function duration(ms: number): string {
  for (const [size, unit] of UNITS) if (ms > 0 && ms % size === 0) return `${ms / size} ${unit}`;
  return `${ms} ms`;
}

/** `suspends after 5 s, stops 5 min later`. */
export function describeRest({ alwaysOn, suspendAfterMs, stopAfterMs }: RestView): string {
  if (alwaysOn) return 'always on';
  if (suspendAfterMs === 'never') return 'never suspends by itself';
  const suspends = `suspends after ${duration(suspendAfterMs)}`;
  return stopAfterMs === 'never' ? `${suspends}, never stops` : `${suspends}, stops ${duration(stopAfterMs)} later`;
}

/** `at most 512 MiB, 1.5 CPUs`; an empty text for a database without limits. */
export function describeLimits(limits: LimitsView): string {
  const { memoryLimitBytes, cpuLimit, cpuWeight, processLimit, tempLimitBytes } = limits;
  const most = [
    memoryLimitBytes === 'none' ? '' : describeMemory(memoryLimitBytes),
    cpuLimit === 'none' ? '' : `${cpuLimit} CPUs`,
    processLimit === 'none' ? '' : `${processLimit} processes`,
    tempLimitBytes === 'none' ? '' : `${describeMemory(tempLimitBytes)} of temporary files per session`,
  ].filter(Boolean);
  return [most.length === 0 ? '' : `at most ${most.join(', ')}`, cpuWeight === 100 ? '' : `CPU weight ${cpuWeight}`]
    .filter(Boolean)
    .join(', ');
}

/** `7.8 MiB`; an empty text for a database that uses no memory, or whose memory is not known. */
export function describeMemory(bytes: number | null): string {
  if (bytes === null || bytes === 0) return '';
  const mebibytes = bytes / 2 ** 20;
  return `${mebibytes < 10 ? mebibytes.toFixed(1) : Math.round(mebibytes)} MiB`;
}

/** `Dormouse 0.1.0, region local`, with a warning when a database runs out of transaction ids. */
export function describePlatform({ version, region, oldest }: Status, list: readonly DatabaseSummary[]): string {
  const about = `Dormouse ${version}, region ${region}`;
  if (oldest?.runningOut !== true) return about;
  const name = list.find(({ id }) => id === oldest.id)?.name ?? oldest.id;
  return `${about}. Transaction ids of ${name} are running out: see dormouse db show ${name}`;
}

/** An address whose secret is replaced by dots. */
export function masked(url: string): string {
  return url.replace(/(api_key=)[^&]+/, '$1••••••').replace(/(:\/\/[^:/]+:)[^@]+@/, '$1••••••@');
}

import type { LimitsView, RestView } from '../../management-api/index.ts';
import { formatBytes, formatDuration } from '../command-line/index.ts';
import type { Age } from './read-replies.ts';

/** Transaction ids compare modulo 2^32: a row must be frozen before it is half of them old. */
const XIDS = 2 ** 31;

/**
 * The times of rest of a database, one line per setting. A value that follows the platform's flags is marked as
 * default.
 */
export function restPairs(rest: RestView): [string, string][] {
  const mark = (name: string): string => (rest.own.includes(name) ? '' : ' (default)');
  const pairs: [string, string][] = [];
  if (rest.alwaysOn) pairs.push(['Always on', `yes${mark('alwaysOn')}`]);
  else {
    pairs.push(['Suspend after', `${time(rest.suspendAfterMs)}${mark('suspendAfterMs')}`]);
    pairs.push(['Stop after', `${time(rest.stopAfterMs)}${mark('stopAfterMs')}`]);
    if (rest.listenKeepsAwake) pairs.push(['LISTEN keeps it awake', `yes${mark('listenKeepsAwake')}`]);
  }
  return pairs;
}

/** The limits of a database, one line per limit. */
export function limitPairs(limits: LimitsView | undefined): [string, string][] {
  if (limits === undefined) return [];
  const pairs: [string, string][] = [];
  const add = (label: string, name: keyof LimitsView, text: string): void => {
    if (limits[name] === 'none' && !limits.own.includes(name)) return;
    pairs.push([label, `${limits[name] === 'none' ? 'none' : text}${limits.own.includes(name) ? '' : ' (default)'}`]);
  };
  add('Memory limit', 'memoryLimitBytes', formatBytes(Number(limits.memoryLimitBytes)));
  add('CPU limit', 'cpuLimit', String(limits.cpuLimit));
  if (limits.cpuWeight !== 100) add('CPU weight', 'cpuWeight', String(limits.cpuWeight));
  add('Process limit', 'processLimit', String(limits.processLimit));
  add('Temporary files', 'tempLimitBytes', `${formatBytes(Number(limits.tempLimitBytes))} per session`);
  return pairs;
}

/** The times of rest of a database in one cell of a table. */
export function restCell(rest: RestView): string {
  return rest.alwaysOn ? 'always on' : `${time(rest.suspendAfterMs)} / ${time(rest.stopAfterMs)}`;
}

function time(ms: number | 'never'): string {
  return ms === 'never' ? ms : formatDuration(ms);
}

/**
 * The transaction ids used since the oldest row that is not frozen, and how many there are before Postgres refuses
 * writes.
 */
export function ageText({ frozenXidAge, runningOut }: Age): string {
  const percent = (frozenXidAge / XIDS) * 100;
  const text = `${frozenXidAge} transactions, ${percent < 1 ? 'less than 1' : Math.round(percent)} % of what there are`;
  // What keeps old rows from being frozen is one of these; each is the tenant's to end.
  return runningOut === true
    ? `${text}; RUNNING OUT: end old transactions and replication slots, then VACUUM (FREEZE)`
    : text;
}

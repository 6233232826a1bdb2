import { DormouseError, LIMIT_BOUNDS, type LimitOverrides, type LogLevel, limitFits } from '../../base/index.ts';

/** JavaScript's timers hold 31 bits of milliseconds: 24.8 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

function refuse(message: string): never {
  throw new DormouseError('usage_invalid', { message });
}

/** Milliseconds of `500ms`, `5s`, `10m`, `2h`, `1d`; `never` is Infinity where `allowNever`. Throws `usage_invalid`. */
export function parseDuration(text: string, allowNever = false): number {
  if (allowNever && text === 'never') return Number.POSITIVE_INFINITY;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  const unit = MS[match?.[2] ?? ''];
  if (!match || unit === undefined) {
    const never = allowNever ? ' or never' : '';
    refuse(`"${text}" is not a duration: write a number and its unit, such as 500ms, 5s, 10m, 2h${never}.`);
  }
  const ms = Math.round(Number(match[1]) * unit);
  if (ms > TIMER_MS_MAX) refuse(`"${text}" is too long: at most 24d${allowNever ? ', or never' : ''}.`);
  return ms;
}

/**
 * Bytes of `16MiB`, `64KiB`, `5MB`, `1024B`. A number without a unit is refused, because it is probably not meant in
 * bytes. Throws `usage_invalid`.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmg]i?b|b)$/i.exec(text);
  const unit = BYTES[(match?.[2] ?? '').toLowerCase()];
  const bytes = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : Number.NaN;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    refuse(`"${text}" is not a size: write a number and its unit, such as 512KiB, 16MiB, 1GiB.`);
  }
  return bytes;
}

/** A limit of one database: a size, a number of processors or a count; `none` is Infinity. Throws `usage_invalid`. */
export function parseLimit(name: keyof LimitOverrides, text: string): number {
  if (text === 'none' && name !== 'cpuWeight') return Number.POSITIVE_INFINITY;
  const size = name.endsWith('Bytes');
  const value = size ? parseBytes(text) : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (limitFits(name, value)) return value;
  const { min, max, whole } = LIMIT_BOUNDS[name];
  const range = size
    ? `a size from ${formatBytes(min)} to ${formatBytes(max)}`
    : `a${whole ? ' whole' : ''} number from ${min} to ${max}`;
  return refuse(`"${text}" is not valid here: ${range}${name === 'cpuWeight' ? '' : ', or none'}.`);
}

/** A whole number from `min` to `max`. Throws `usage_invalid`. */
export function parseCount(text: string, min = 1, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min)) refuse(`"${text}" is not a whole number of at least ${min}.`);
  if (value > max) refuse(`"${text}" is too many: at most ${max}.`);
  return value;
}

/** A port; 0 lets the system choose a free one. Throws `usage_invalid`. */
export function parsePort(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= 65_535)) refuse(`"${text}" is not a port: 1 to 65535, or 0 for any free one.`);
  return value;
}

/** An http or https address without query and fragment, without a slash at its end. Throws `usage_invalid`. */
export function parseHttpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    refuse(`"${text}" is not an address: write it in full, such as https://db.example.com or http://127.0.0.1:4400.`);
  }
  if (url.username || url.password || url.search || url.hash) {
    refuse(`"${text}" is not a plain address: leave out user, query and fragment.`);
  }
  return url.href.replace(/\/+$/, '');
}

/** A region, which stands after a dash in `cf-ray` and so has no dash itself. Throws `usage_invalid`. */
export function parseRegion(text: string): string {
  if (!/^[a-z0-9]{1,32}$/.test(text)) refuse(`"${text}" is not a region: use a-z and 0-9, at most 32 characters.`);
  return text;
}

/** The name of a log level. Throws `usage_invalid`. */
export function parseLogLevel(text: string): LogLevel {
  if (text === 'debug' || text === 'info' || text === 'warn' || text === 'error') return text;
  return refuse(`"${text}" is not a log level: debug, info, warn or error.`);
}

/** The name of a kind of isolation. Throws `usage_invalid`. */
export function parseIsolation(text: string): 'sandbox' | 'process' {
  if (text === 'sandbox' || text === 'process') return text;
  return refuse(`"${text}" is not a kind of isolation: sandbox or process.`);
}

/** Any text that is not empty. Throws `usage_invalid`. */
export function parseText(text: string): string {
  if (text === '') refuse('the value is empty.');
  return text;
}

/** A duration in the largest unit that divides it: `5s`, `10m`, `never`. */
export function formatDuration(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return 'never';
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = MS[unit] as number;
    if (ms > 0 && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** A size in the largest unit that divides it: `16MiB`. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes > 0 && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

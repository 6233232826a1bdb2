import { DormouseError, type LimitOverrides, NO_LIMITS } from '../../base/index.ts';
import {
  formatBytes,
  formatDuration,
  parseBytes,
  parseCount,
  parseDuration,
  parseLimit,
  parsePort,
  parseText,
} from './values.ts';

/** One flag: how its value is read, its default, and its text in help. */
export interface Flag<T> {
  /** The name of the value in help; a switch has none. */
  readonly placeholder?: string;
  readonly short?: string;
  /** One line of help, without a full stop at its end. */
  readonly summary: string;
  /** The heading in help under which the flag stands. */
  readonly group: string;
  /** The flag may be given several times: its value and the result of `parse` are arrays. */
  readonly repeatable?: true;
  /** The environment variable whose value applies when the flag is absent. */
  readonly environment?: string;
  readonly fallback: T;
  /** The default as help shows it; absent when help shows none. */
  readonly fallbackShown?: string;
  /** Reads the value. Throws `usage_invalid`; the parser adds the flag's name to the message. */
  parse(text: string): T;
}

/** Flags by their names in camelCase, which are also the keys of the object of their values. */
export type FlagTable = Readonly<Record<string, Flag<unknown>>>;
export type FlagsOf<Values> = { readonly [Name in keyof Values]: Flag<Values[Name]> };
export type ValuesOf<Table> = { readonly [Name in keyof Table]: Table[Name] extends Flag<infer Value> ? Value : never };

/** `suspendAfter` → `suspend-after`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function toggle(group: string, summary: string, short?: string): Flag<boolean> {
  return { group, summary, fallback: false, parse: () => true, ...(short ? { short } : {}) };
}

/** A text that may be given several times. */
export function texts(
  group: string,
  placeholder: string,
  summary: string,
  options: { readonly shown: string },
): Flag<readonly string[]> {
  const parse = (value: string): readonly string[] => [parseText(value)];
  return { group, placeholder, summary, fallback: [], fallbackShown: options.shown, repeatable: true, parse };
}

export function text<T = undefined>(
  group: string,
  placeholder: string,
  summary: string,
  options: {
    readonly fallback?: T;
    readonly environment?: string;
    readonly shown?: string;
    readonly parse?: (text: string) => string;
  } = {},
): Flag<string | T> {
  const shown = options.shown ?? (typeof options.fallback === 'string' ? options.fallback : undefined);
  return {
    group,
    placeholder,
    summary,
    fallback: options.fallback as T,
    parse: options.parse ?? parseText,
    ...(shown === undefined ? {} : { fallbackShown: shown }),
    ...(options.environment === undefined ? {} : { environment: options.environment }),
  };
}

export function port(group: string, fallback: number, summary: string): Flag<number> {
  return { group, placeholder: 'PORT', summary, fallback, fallbackShown: String(fallback), parse: parsePort };
}

export function count(
  group: string,
  fallback: number,
  summary: string,
  { min = 1, max }: { readonly min?: number; readonly max?: number } = {},
): Flag<number> {
  return {
    group,
    placeholder: 'N',
    summary,
    fallback,
    fallbackShown: String(fallback),
    parse: (value) => parseCount(value, min, max),
  };
}

export function bytes(group: string, fallback: number, summary: string): Flag<number> {
  return { group, placeholder: 'SIZE', summary, fallback, fallbackShown: formatBytes(fallback), parse: parseBytes };
}

/** A time of rest: zero and `never` are allowed. */
export function restTime(group: string, fallback: number, summary: string): Flag<number> {
  return { ...duration(group, fallback, `${summary}, or never`), parse: (value) => parseDuration(value, true) };
}

/** A time of rest of one database: without the flag nothing changes, and `default` restores the platform's time. */
export function ownRestTime(group: string, summary: string): Flag<number | 'default' | undefined> {
  return {
    group,
    placeholder: 'TIME',
    summary: `${summary}, never, or default`,
    fallback: undefined,
    parse: (value) => (value === 'default' ? value : parseDuration(value, true)),
  };
}

/** The limit of every database that has none of its own. */
export function limit(name: keyof LimitOverrides, placeholder: string, summary: string): Flag<number> {
  const fallback = NO_LIMITS[name];
  return {
    group: 'Limits of a database',
    placeholder,
    summary,
    fallback,
    fallbackShown: fallback === Number.POSITIVE_INFINITY ? 'none' : String(fallback),
    parse: (value) => parseLimit(name, value),
  };
}

/** A limit of one database: without the flag nothing changes, and `default` restores the platform's limit. */
export function ownLimit(
  name: keyof LimitOverrides,
  placeholder: string,
  summary: string,
): Flag<number | 'default' | undefined> {
  const { group } = limit(name, placeholder, summary);
  return {
    group,
    placeholder,
    summary: `${summary}${name === 'cpuWeight' ? '' : ', none'}, or default`,
    fallback: undefined,
    parse: (value) => (value === 'default' ? value : parseLimit(name, value)),
  };
}

/** A time greater than zero. */
export function duration(group: string, fallback: number, summary: string): Flag<number> {
  return {
    group,
    placeholder: 'TIME',
    summary,
    fallback,
    fallbackShown: formatDuration(fallback),
    parse: (value) => {
      const ms = parseDuration(value);
      if (ms === 0) throw new DormouseError('usage_invalid', { message: `"${value}" is too short: at least 1ms.` });
      return ms;
    },
  };
}

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

/** One flag: how it reads, what it gives, and how help shows it. */
export interface Flag<T> {
  /** What stands for the value in help; a switch has none. */
  readonly placeholder?: string;
  readonly short?: string;
  /** One line, a full sentence without its stop. */
  readonly summary: string;
  /** Heading in help. */
  readonly group: string;
  /** May be given several times: its value is an array, and so is what `parse` gives. */
  readonly repeatable?: true;
  /** The environment variable that stands in when the flag is absent. */
  readonly environment?: string;
  readonly fallback: T;
  /** The default as help shows it; absent when there is nothing to show. */
  readonly fallbackShown?: string;
  /** Reads the value; throws `usage_invalid`, to which the flag's name is added. */
  parse(text: string): T;
}

/** Flags by name without dashes; their values are an object of the same keys in camelCase. */
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

/** A time that may be none at all, or never: how long something rests. */
export function rest(group: string, fallback: number, summary: string): Flag<number> {
  return { ...duration(group, fallback, `${summary}, or never`), parse: (value) => parseDuration(value, true) };
}

/** As `rest`, of one database: absent changes nothing, `default` goes back to what the platform's flags say. */
export function ownRest(group: string, summary: string): Flag<number | 'default' | undefined> {
  return {
    group,
    placeholder: 'TIME',
    summary: `${summary}, never, or default`,
    fallback: undefined,
    parse: (value) => (value === 'default' ? value : parseDuration(value, true)),
  };
}

/** A limit of each database. */
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

/** As `limit`, of one database: absent changes nothing, `default` goes back to what the platform's flags say. */
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

/** A time that something may take: more than none. */
export function duration(group: string, fallback: number, summary: string): Flag<number> {
  return {
    group,
    placeholder: 'TIME',
    summary,
    fallback,
    fallbackShown: formatDuration(fallback),
    parse: (value) => {
      const ms = parseDuration(value);
      if (ms === 0)
        throw new DormouseError('usage_invalid', { message: `"${value}" is no time at all: at least 1ms.` });
      return ms;
    },
  };
}

/**
 * Values of Postgres in text form, as capture's session prints them (ISO dates, UTC, hex bytea), by the OID of their
 * type. Types that are not listed (enums, domains, types of extensions) are text.
 */

/** How values of a type compare and print. */
export type ValueClass = 'number' | 'boolean' | 'date' | 'bytes' | 'json' | 'text';

const CLASSES: ReadonlyMap<number, ValueClass> = new Map<number, ValueClass>([
  ...[20, 21, 23, 26, 700, 701, 790, 1700].map((oid): [number, ValueClass] => [oid, 'number']),
  [16, 'boolean'],
  ...[1082, 1083, 1114, 1184, 1266].map((oid): [number, ValueClass] => [oid, 'date']),
  [17, 'bytes'],
  [114, 'json'],
  [3802, 'json'],
]);

export const OID = { int8: 20, int2: 21, int4: 23, oid: 26, float4: 700, float8: 701, bpchar: 1042 } as const;

/** Array types and their element types. */
const ELEMENTS: ReadonlyMap<number, number> = new Map([
  [143, 142],
  [199, 114],
  [651, 650],
  [791, 790],
  [1000, 16],
  [1001, 17],
  [1002, 18],
  [1003, 19],
  [1005, 21],
  [1007, 23],
  [1009, 25],
  [1014, 1042],
  [1015, 1043],
  [1016, 20],
  [1021, 700],
  [1022, 701],
  [1028, 26],
  [1040, 829],
  [1041, 869],
  [1115, 1114],
  [1182, 1082],
  [1183, 1083],
  [1185, 1184],
  [1187, 1186],
  [1231, 1700],
  [1270, 1266],
  [1561, 1560],
  [1563, 1562],
  [2951, 2950],
  [3807, 3802],
]);

export function classOf(oid: number): ValueClass {
  return CLASSES.get(oid) ?? 'text';
}

/**
 * The element type of a column of arrays, 0 for an element type that is not listed; undefined for a column that holds
 * no arrays.
 */
export function elementOf(column: { readonly typeOid: number; readonly list?: true }): number | undefined {
  return column.list === true ? 0 : ELEMENTS.get(column.typeOid);
}

export type ArrayItem = string | null | readonly ArrayItem[];

/** Postgres arrays have six dimensions at most. */
const DIMENSIONS_MAX = 6;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Parses an array (manual, "Array Input and Output Syntax"); undefined if the text is no array. Four megabytes take
 * some 50 ms.
 */
export function parseArray(text: string): ArrayItem[] | undefined {
  // Lower bounds other than 1 come first: [0:2]={…}
  let at = text.startsWith('[') ? text.indexOf('=') + 1 : 0;
  const quoted = (): string => {
    const start = at + 1;
    let escaped = false;
    let code = text.charCodeAt(++at);
    while (at < text.length && code !== QUOTE) {
      if (code === BACKSLASH) {
        escaped = true;
        at += 1;
      }
      code = text.charCodeAt(++at);
    }
    const value = text.slice(start, at);
    at += 1;
    return escaped ? value.replace(/\\(.)/gs, '$1') : value;
  };
  const items = (depth: number): ArrayItem[] | undefined => {
    if (text.charCodeAt(at) !== OPEN || depth > DIMENSIONS_MAX) return undefined;
    at += 1;
    const out: ArrayItem[] = [];
    if (text.charCodeAt(at) === CLOSE) {
      at += 1;
      return out;
    }
    for (;;) {
      const first = text.charCodeAt(at);
      if (first === OPEN) {
        const inner = items(depth + 1);
        if (inner === undefined) return undefined;
        out.push(inner);
      } else if (first === QUOTE) {
        out.push(quoted());
      } else {
        const start = at;
        let code = first;
        while (at < text.length && code !== COMMA && code !== CLOSE) code = text.charCodeAt(++at);
        const value = text.slice(start, at);
        out.push(value === 'NULL' ? null : value);
      }
      const next = text.charCodeAt(at);
      at += 1;
      if (next === CLOSE) return out;
      if (next !== COMMA) return undefined;
    }
  };
  const out = items(1);
  return out !== undefined && at === text.length ? out : undefined;
}

const DATE = /^(\d{4,})-(\d\d)-(\d\d)(?:[ T](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d(?::?\d\d)?(?::?\d\d)?)?)?( BC)?$/;
const TIME = /^(\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d(?::?\d\d)?)?$/;

/**
 * Milliseconds since 1970 of a date, a time, or a timestamp with or without zone; a value without a zone is UTC, as in
 * Prisma. NaN for a text that is no date; infinity and -infinity are the numbers of that name.
 */
export function dateMs(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const time = TIME.exec(text);
  if (time !== null) return Date.parse(`1970-01-01T${milliseconds(time[1] as string)}${zone(time[2])}`);
  const match = DATE.exec(text);
  if (match === null) return Date.parse(text);
  const [, year, month, day, clock, offset, before] = match;
  // 1 BC is the year 0 of ISO 8601.
  const number = before === undefined ? Number(year) : 1 - Number(year);
  const sign = number < 0 ? '-' : '+';
  const isoYear = String(Math.abs(number)).padStart(6, '0');
  const signed = number >= 0 && number <= 9999 ? isoYear.slice(2) : `${sign}${isoYear}`;
  return Date.parse(`${signed}-${month}-${day}T${milliseconds(clock ?? '00:00:00')}${zone(offset)}`);
}

/** ECMAScript's date format has three decimals; more are cut off, as Prisma does. */
function milliseconds(clock: string): string {
  const [whole, decimals = ''] = clock.split('.');
  // 24:00:00 is a valid time in Postgres; Date.parse also takes it for the end of the day.
  return `${whole}.${decimals.slice(0, 3).padEnd(3, '0')}`;
}
function zone(offset: string | undefined): string {
  if (offset === undefined || offset === 'Z') return 'Z';
  return offset.length === 3 ? `${offset}:00` : offset.slice(0, 6);
}

/** The instant in ISO 8601; the text itself if it is no instant (infinity). */
export function isoDate(text: string): string {
  const ms = dateMs(text);
  return Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : text;
}

/** Hex bytea as base64. */
export function base64Of(text: string): string {
  return Buffer.from(text.slice(2), 'hex').toString('base64');
}

/** A number as a plain decimal; `money` is printed with its currency and grouping. */
export function decimalOf(text: string): string {
  if (/^[-+.\deE]+$/.test(text) || /^(NaN|-?Infinity)$/.test(text)) return text;
  return text.replace(/[^-\d.]/g, '');
}

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
/** No column of numbers holds exponents over this, and they would make strings of any length. */
const EXPONENT_MAX = 20_000;

interface Digits {
  readonly negative: boolean;
  readonly whole: string;
  readonly decimals: string;
}

function digitsOf(text: string): Digits | undefined {
  const match = NUMBER.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', decimals = '', exponent = '0'] = match;
  if (whole === '' && decimals === '') return undefined;
  const shift = Number(exponent);
  if (Math.abs(shift) > EXPONENT_MAX) return undefined;
  const digits = whole + decimals;
  const point = whole.length + shift;
  const left = point <= 0 ? '' : digits.slice(0, point).padEnd(point, '0');
  const right = point >= digits.length ? '' : digits.slice(Math.max(0, point)).padStart(digits.length - point, '0');
  return { negative: sign === '-', whole: left.replace(/^0+/, ''), decimals: right.replace(/0+$/, '') };
}

/**
 * Compares two numbers in text form exactly; undefined if one of them is no number. NaN equals itself and is above
 * every other number, as in Postgres.
 */
export function compareNumbers(a: string, b: string): number | undefined {
  const special = (text: string): number | undefined =>
    text === 'NaN' ? 2 : text === 'Infinity' ? 1 : text === '-Infinity' ? -1 : undefined;
  const [sa, sb] = [special(a), special(b)];
  if (sa !== undefined || sb !== undefined) {
    if (sa === undefined && digitsOf(a) === undefined) return undefined;
    if (sb === undefined && digitsOf(b) === undefined) return undefined;
    return (sa ?? 0) - (sb ?? 0);
  }
  const [x, y] = [digitsOf(a), digitsOf(b)];
  if (x === undefined || y === undefined) return undefined;
  const zero = (digits: Digits): boolean => digits.whole === '' && digits.decimals === '';
  if (zero(x) && zero(y)) return 0;
  const [nx, ny] = [x.negative && !zero(x), y.negative && !zero(y)];
  if (nx !== ny) return nx ? -1 : 1;
  const size = x.whole.length - y.whole.length || order(x.whole, y.whole) || order(x.decimals, y.decimals);
  return nx ? -size : size;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

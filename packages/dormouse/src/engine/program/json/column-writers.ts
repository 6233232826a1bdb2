import type { FieldType } from '@prisma/client-engine-runtime';
import { columnCodec, inColumn } from '../../statements/index.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { decodedJson, type Enums } from './decoded-json.ts';
import type { JsonWriter } from './json-writer.ts';

/** Writes the value of a column as JSON, from its bytes in Postgres' text format. The value is not NULL. */
export type ColumnWriter = (out: JsonWriter, bytes: Uint8Array, from: number, to: number) => void;

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const TRUE = ascii('true');
const FALSE = ascii('false');
export const NULL: Uint8Array = ascii('null');
const END = ascii('"}');
const INSTANT = ascii('{"$type":"DateTime","value":"');
const UTC = ascii('+00:00"}');
const MIDNIGHT = ascii('T00:00:00Z"}');
const EPOCH_DAY = ascii('1970-01-01T');
const ZULU = ascii('Z"}');
const BIGINT = ascii('{"$type":"BigInt","value":"');
const DECIMAL = ascii('{"$type":"Decimal","value":"');
const JSON_VALUE = ascii('{"$type":"Json","value":"');
const BYTES = ascii('{"$type":"Bytes","value":"');

/** A decimal number of up to 15 digits is the shortest text of a double, which JavaScript writes unchanged. */
const DIGITS_EXACT = 15;
const DASH = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const T = 0x54;
const COLON = 0x3a;
const LOWER_T = 0x74;
const BACKSLASH = 0x5c;
const LOWER_X = 0x78;

/** Whether the text is a whole number in the form in which JavaScript writes it. */
export function isExactInteger(bytes: Uint8Array, from: number, to: number): boolean {
  const first = bytes[from] === DASH ? from + 1 : from;
  const digits = to - first;
  if (digits < 1 || digits > DIGITS_EXACT) return false;
  // Neither -0 nor a leading zero.
  if (bytes[first] === ZERO && (digits > 1 || first > from)) return false;
  for (let at = first; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte < ZERO || byte > NINE) return false;
  }
  return true;
}

/**
 * Whether the text is a decimal fraction in the form in which JavaScript writes it: without exponent, with no more
 * digits than a double keeps, and without trailing zeros.
 */
export function isExactFraction(bytes: Uint8Array, from: number, to: number): boolean {
  const first = bytes[from] === DASH ? from + 1 : from;
  if (to - first < 3 || to - first > DIGITS_EXACT + 1) return false;
  if (bytes[first] === ZERO) {
    // JavaScript writes a number below 1e-6 with an exponent.
    if (bytes[first + 1] !== DOT || (bytes[first + 2] === ZERO && bytes[first + 3] === ZERO)) return false;
  }
  const last = bytes[to - 1] as number;
  if (last <= ZERO || last > NINE) return false;
  let dots = 0;
  for (let at = first; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte === DOT) {
      if (at === first) return false;
      dots++;
    } else if (byte < ZERO || byte > NINE) return false;
  }
  return dots === 1;
}

const text: ColumnWriter = (out, bytes, from, to) => out.string(bytes, from, to);
const verbatim: ColumnWriter = (out, bytes, from, to) => out.raw(bytes, from, to);
const boolean: ColumnWriter = (out, bytes, from) => out.raw(bytes[from] === LOWER_T ? TRUE : FALSE);
const taggedText =
  (head: Uint8Array): ColumnWriter =>
  (out, bytes, from, to) => {
    out.raw(head);
    out.raw(bytes, from, to);
    out.raw(END);
  };
const json: ColumnWriter = (out, bytes, from, to) => {
  out.raw(JSON_VALUE);
  out.escaped(bytes, from, to);
  out.raw(END);
};

const exactOr =
  (general: ColumnWriter, isExact: (bytes: Uint8Array, from: number, to: number) => boolean): ColumnWriter =>
  (out, bytes, from, to) => {
    if (isExact(bytes, from, to)) out.raw(bytes, from, to);
    else general(out, bytes, from, to);
  };
const isExactFloat = (bytes: Uint8Array, from: number, to: number): boolean =>
  isExactInteger(bytes, from, to) || isExactFraction(bytes, from, to);

/** Whether the text has a year of four digits and no era: Postgres writes the years 1 to 9999 so. */
function isPlainDate(bytes: Uint8Array, from: number, to: number): boolean {
  const last = bytes[to - 1] as number;
  return to - from >= 10 && bytes[from + 4] === DASH && bytes[from + 7] === DASH && last >= ZERO && last <= NINE;
}

const date =
  (general: ColumnWriter): ColumnWriter =>
  (out, bytes, from, to) => {
    if (to - from !== 10 || !isPlainDate(bytes, from, to)) {
      general(out, bytes, from, to);
      return;
    }
    out.raw(INSTANT);
    out.raw(bytes, from, to);
    out.raw(MIDNIGHT);
  };

/** Copies a text like `2024-01-02 03:04:05.678`. For `timestamptz`, the zone must be UTC, written as `+00`. */
const timestamp =
  (general: ColumnWriter, zoned: boolean): ColumnWriter =>
  (out, bytes, from, to) => {
    const end = zoned ? to - 3 : to;
    const plain = end - from >= 19 && isPlainDate(bytes, from, end) && bytes[from + 16] === COLON;
    if (!plain || (zoned && !(bytes[end] === 0x2b && bytes[end + 1] === ZERO && bytes[end + 2] === ZERO))) {
      general(out, bytes, from, to);
      return;
    }
    out.raw(INSTANT);
    out.raw(bytes, from, from + 10);
    out.byte(T);
    out.raw(bytes, from + 11, end);
    out.raw(UTC);
  };

const time =
  (general: ColumnWriter): ColumnWriter =>
  (out, bytes, from, to) => {
    if (to - from < 8 || bytes[from + 2] !== COLON) {
      general(out, bytes, from, to);
      return;
    }
    out.raw(INSTANT);
    out.raw(EPOCH_DAY);
    out.raw(bytes, from, to);
    out.raw(ZULU);
  };

/** Writes bytes from the hex format (`\x00ff`). The escape format never begins with `\x`. */
const bytea =
  (general: ColumnWriter): ColumnWriter =>
  (out, bytes, from, to) => {
    if (bytes[from] !== BACKSLASH || bytes[from + 1] !== LOWER_X) {
      general(out, bytes, from, to);
      return;
    }
    out.raw(BYTES);
    const hex = Buffer.from(bytes.buffer, bytes.byteOffset + from + 2, to - from - 2).toString('latin1');
    out.raw(ascii(Buffer.from(hex, 'hex').toString('base64')));
    out.raw(END);
  };

/** Writes an enum's value, which is found by comparing bytes: an enum has few values. */
function enumeration(values: Readonly<Record<string, string>>): ColumnWriter {
  const known = Object.entries(values).map(([name, value]) => ({
    name: Buffer.from(name),
    json: Buffer.from(JSON.stringify(value)),
  }));
  return (out, bytes, from, to) => {
    const length = to - from;
    next: for (const { name, json: written } of known) {
      if (name.length !== length) continue;
      for (let i = 0; i < length; i++) if (name[i] !== bytes[from + i]) continue next;
      out.raw(written);
      return;
    }
    throw new NeedsRuntime();
  };
}

/** The writer for all other values: it decodes the value to what the runtime would be given. */
function decoded(typeOid: number, type: FieldType, enums: Enums, name: string): ColumnWriter {
  const codec = columnCodec(typeOid);
  if (codec === undefined) throw new NeedsRuntime();
  return (out, bytes, from, to) => {
    let value: unknown;
    try {
      value = codec.decode(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8'));
    } catch (error) {
      throw inColumn(error, name);
    }
    out.text(decodedJson(value, type, enums));
  };
}

const INTEGERS = new Set([21, 23]);
const FLOATS = new Set([700, 701]);
/** Types whose values the runtime is given as the text that Postgres writes. */
const TEXTS = new Set([18, 19, 20, 25, 26, 114, 142, 869, 1042, 1043, 1560, 1562, 1700, 2950, 3802]);
const USER_TYPES_FROM = 16384;

/**
 * The writer for a column of a Postgres type that a plan maps to a field of a Prisma type. Throws `NeedsRuntime` for a
 * Postgres type that Prisma cannot read. The writer throws P2023 with the column's `name` for a text of unknown form.
 */
export function columnWriter(typeOid: number, type: FieldType, enums: Enums, name = ''): ColumnWriter {
  const general = decoded(typeOid, type, enums, name);
  if (type.arity === 'list') return general;
  const isText = TEXTS.has(typeOid) || typeOid >= USER_TYPES_FROM;
  switch (type.type) {
    case 'string':
      return isText ? text : general;
    case 'int':
      if (INTEGERS.has(typeOid)) return verbatim;
      return isText ? exactOr(general, isExactInteger) : general;
    case 'bigint':
      if (INTEGERS.has(typeOid)) return general;
      return typeOid === 20 ? taggedText(BIGINT) : general;
    case 'float':
      if (INTEGERS.has(typeOid)) return verbatim;
      return FLOATS.has(typeOid) || isText ? exactOr(general, isExactFloat) : general;
    case 'boolean':
      return typeOid === 16 ? boolean : general;
    case 'decimal':
      return typeOid === 1700 ? taggedText(DECIMAL) : general;
    case 'datetime':
      if (typeOid === 1114) return timestamp(general, false);
      if (typeOid === 1184) return timestamp(general, true);
      if (typeOid === 1082) return date(general);
      return typeOid === 1083 ? time(general) : general;
    case 'json':
      return isText ? json : general;
    case 'bytes':
      return typeOid === 17 && type.encoding === 'array' ? bytea(general) : general;
    case 'enum': {
      const values = enums[type.name];
      return isText && values !== undefined ? enumeration(values) : general;
    }
    default:
      return general;
  }
}

import { type ColumnType, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import { parseArrayText } from './array-text.ts';
import {
  dateFromPostgres,
  timeFromPostgres,
  timestampFromPostgres,
  timestamptzFromPostgres,
  timetzFromPostgres,
} from './instants.ts';
import { moneyFromPostgres } from './money.ts';
import { quoted, unreadable } from './unreadable-text.ts';

/** Converts values of one Postgres type to values of Prisma's runtime. */
export interface ColumnCodec {
  readonly columnType: ColumnType;
  /** Decodes a value from Postgres' text format. */
  readonly decode: (text: string) => unknown;
}

/** Bytes that JSON.stringify writes as base64, as Prisma's protocols expect in raw results. */
export class ReplyBytes extends Uint8Array {
  /** Decodes the text of a `bytea`, in the hex or the escape format. */
  static fromPostgres(text: string): ReplyBytes {
    const decoded = bytesFromPostgres(text);
    return new ReplyBytes(decoded.buffer as ArrayBuffer, decoded.byteOffset, decoded.byteLength);
  }

  toJSON(): string {
    return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString('base64');
  }
}

/**
 * The escape format (`bytea_output = escape`): bytes that are not printable are in octal, a backslash is doubled. So a
 * text in this format never begins with `\x`, as a text in the hex format does.
 */
const ESCAPED = /^(?:[ -[\]-~]|\\\\|\\[0-3][0-7]{2})*$/;

function bytesFromPostgres(text: string): Buffer {
  if (text.startsWith('\\x')) {
    // Buffer stops at the first character that is no hex digit, so the length shows whether all are digits.
    const bytes = Buffer.from(text.slice(2), 'hex');
    if (bytes.length * 2 + 2 === text.length) return bytes;
  } else if (ESCAPED.test(text)) {
    const plain = text.replace(/\\(?:\\|([0-7]{3}))/g, (_all, octal: string | undefined) =>
      octal === undefined ? '\\' : String.fromCharCode(Number.parseInt(octal, 8)),
    );
    return Buffer.from(plain, 'latin1');
  }
  throw unreadable(`the bytea ${quoted(text)} has an unknown form. Leave bytea_output at hex`);
}

const asText = (text: string): string => text;
const asNumber = (text: string): number => Number(text);
const asBoolean = (text: string): boolean => text === 't';

const scalar = (columnType: ColumnType, decode: (text: string) => unknown = asText): ColumnCodec => ({
  columnType,
  decode,
});
const array = (columnType: ColumnType, decode: (text: string) => unknown = asText): ColumnCodec => ({
  columnType,
  decode: (text) => parseArrayText(text, decode),
});

const T = ColumnTypeEnum;

/**
 * Built-in types by OID (src/include/catalog/pg_type.dat). The table has no prototype, because OIDs come from the
 * server.
 */
const CODECS: Readonly<Record<number, ColumnCodec>> = Object.assign(Object.create(null), {
  16: scalar(T.Boolean, asBoolean),
  17: scalar(T.Bytes, ReplyBytes.fromPostgres),
  18: scalar(T.Character),
  19: scalar(T.Text),
  20: scalar(T.Int64),
  21: scalar(T.Int32, asNumber),
  23: scalar(T.Int32, asNumber),
  25: scalar(T.Text),
  26: scalar(T.Int64),
  114: scalar(T.Json),
  142: scalar(T.Text),
  143: array(T.TextArray),
  199: array(T.JsonArray),
  650: scalar(T.Text),
  651: array(T.TextArray),
  700: scalar(T.Float, asNumber),
  701: scalar(T.Double, asNumber),
  790: scalar(T.Numeric, moneyFromPostgres),
  791: array(T.NumericArray, moneyFromPostgres),
  869: scalar(T.Text),
  1000: array(T.BooleanArray, asBoolean),
  1001: array(T.BytesArray, ReplyBytes.fromPostgres),
  1002: array(T.CharacterArray),
  1003: array(T.TextArray),
  1005: array(T.Int32Array, asNumber),
  1007: array(T.Int32Array, asNumber),
  1009: array(T.TextArray),
  1014: array(T.TextArray),
  1015: array(T.TextArray),
  1016: array(T.Int64Array),
  1021: array(T.FloatArray, asNumber),
  1022: array(T.DoubleArray, asNumber),
  1028: array(T.Int64Array),
  1041: array(T.TextArray),
  1042: scalar(T.Text),
  1043: scalar(T.Text),
  1082: scalar(T.Date, dateFromPostgres),
  1083: scalar(T.Time, timeFromPostgres),
  1114: scalar(T.DateTime, timestampFromPostgres),
  1115: array(T.DateTimeArray, timestampFromPostgres),
  1182: array(T.DateArray, dateFromPostgres),
  1183: array(T.TimeArray, timeFromPostgres),
  1184: scalar(T.DateTime, timestamptzFromPostgres),
  1185: array(T.DateTimeArray, timestamptzFromPostgres),
  1231: array(T.NumericArray),
  1266: scalar(T.Time, timetzFromPostgres),
  1270: array(T.TimeArray, timetzFromPostgres),
  1560: scalar(T.Text),
  1561: array(T.TextArray),
  1562: scalar(T.Text),
  1563: array(T.TextArray),
  1700: scalar(T.Numeric),
  2950: scalar(T.Uuid),
  2951: array(T.UuidArray),
  3802: scalar(T.Json),
  3807: array(T.JsonArray),
});

/** The first OID of types that users and extensions create (FirstNormalObjectId): enums, domains, citext, vector. */
const USER_TYPES_FROM = 16384;
const USER_TYPE: ColumnCodec = scalar(T.Text);

/** Names of built-in types that Prisma cannot read, for error messages. */
const UNSUPPORTED_NAMES: Readonly<Record<number, string>> = Object.assign(Object.create(null), {
  22: 'int2vector',
  24: 'regproc',
  27: 'tid',
  28: 'xid',
  29: 'cid',
  30: 'oidvector',
  194: 'pg_node_tree',
  600: 'point',
  601: 'lseg',
  602: 'path',
  603: 'box',
  604: 'polygon',
  628: 'line',
  705: 'unknown',
  718: 'circle',
  774: 'macaddr8',
  829: 'macaddr',
  1033: 'aclitem',
  1186: 'interval',
  1790: 'refcursor',
  2202: 'regprocedure',
  2203: 'regoper',
  2204: 'regoperator',
  2205: 'regclass',
  2206: 'regtype',
  2249: 'record',
  2278: 'void',
  2287: '_record',
  2970: 'txid_snapshot',
  3220: 'pg_lsn',
  3614: 'tsvector',
  3615: 'tsquery',
  3734: 'regconfig',
  3769: 'regdictionary',
  3904: 'int4range',
  3906: 'numrange',
  3908: 'tsrange',
  3910: 'tstzrange',
  3912: 'daterange',
  3926: 'int8range',
  4072: 'jsonpath',
  4089: 'regnamespace',
  4096: 'regrole',
  4191: 'regcollation',
  4451: 'int4multirange',
  4532: 'nummultirange',
  4533: 'tsmultirange',
  4534: 'tstzmultirange',
  4535: 'datemultirange',
  4536: 'int8multirange',
  5038: 'pg_snapshot',
  5069: 'xid8',
});

/** The codec of a type. Undefined for a built-in type that Prisma cannot read. */
export function columnCodec(typeOid: number): ColumnCodec | undefined {
  return CODECS[typeOid] ?? (typeOid >= USER_TYPES_FROM ? USER_TYPE : undefined);
}

/** The name of a built-in type that Prisma cannot read. */
export function unsupportedTypeName(typeOid: number): string {
  return UNSUPPORTED_NAMES[typeOid] ?? 'Unknown';
}

import type { FieldType } from '@prisma/client-engine-runtime';
import { isExactFraction, isExactInteger, NULL } from './column-writers.ts';
import { decodedJson, type Enums } from './decoded-json.ts';
import { isPlainString } from './json-scanner.ts';
import type { JsonWriter } from './json-writer.ts';

const QUOTE = 0x22;
const COLON = 0x3a;
const CLOSE = 0x7d;
const LOWER_N = 0x6e;
const BIGINT = Buffer.from('{"$type":"BigInt","value":');
const DECIMAL = Buffer.from('{"$type":"Decimal","value":');
const INSTANT = Buffer.from('{"$type":"DateTime","value":');

/** Writes the value of an object's member. `escaped`: the value is a string that contains escapes. */
export type MemberWriter = (out: JsonWriter, bytes: Uint8Array, from: number, to: number, escaped: boolean) => void;

type IsPlain = (bytes: Uint8Array, from: number, to: number, escaped: boolean) => boolean;
const isPlainText: IsPlain = (bytes, from, to, escaped) =>
  bytes[from] === QUOTE && (!escaped || isPlainString(bytes, from, to));

/**
 * The writer for a field of a type, from a value that Postgres wrote as JSON. A value that already has the form of the
 * reply is copied; every other value is parsed and written by `decodedJson`.
 */
export function memberWriter(type: FieldType, enums: Enums): MemberWriter {
  const general: MemberWriter = (out, bytes, from, to) =>
    out.text(
      decodedJson(
        JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8')),
        type,
        enums,
      ),
    );
  if (type.arity === 'list') return general;
  const plain = (isPlain: IsPlain, head?: Buffer): MemberWriter => {
    return (out, bytes, from, to, escaped) => {
      if (bytes[from] === LOWER_N) {
        out.raw(NULL);
        return;
      }
      if (!isPlain(bytes, from, to, escaped)) {
        general(out, bytes, from, to, escaped);
        return;
      }
      if (head !== undefined) out.raw(head);
      out.raw(bytes, from, to);
      if (head !== undefined) out.byte(CLOSE);
    };
  };
  switch (type.type) {
    case 'string':
      return plain(isPlainText);
    case 'int':
      return plain(isExactInteger);
    case 'float':
      return plain((bytes, from, to) => isExactInteger(bytes, from, to) || isExactFraction(bytes, from, to));
    case 'boolean':
      return plain((bytes, from) => bytes[from] === 0x74 || bytes[from] === 0x66);
    case 'bigint':
      return plain(isPlainText, BIGINT);
    case 'decimal':
      return plain(isPlainText, DECIMAL);
    case 'datetime':
      return plain(isZonedInstant, INSTANT);
    default:
      return general;
  }
}

/** Whether a value has the form `"2024-01-02T03:04:05.678+00:00"`, quotes included. */
function isZonedInstant(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < 27 || bytes[from] !== QUOTE) return false;
  const sign = bytes[to - 7];
  if ((sign !== 0x2b && sign !== 0x2d) || bytes[to - 4] !== COLON) return false;
  return (
    bytes[from + 5] === 0x2d && bytes[from + 8] === 0x2d && bytes[from + 11] === 0x54 && bytes[from + 14] === COLON
  );
}

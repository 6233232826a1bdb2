import type { FieldType } from '@prisma/client-engine-runtime';
import { ReplyBytes } from '../../statements/index.ts';
import { NeedsRuntime } from '../needs-runtime.ts';

/** For each enum of a plan, its values by their names in the database. */
export type Enums = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * The JSON text that Prisma's runtime gives for a decoded value: an element of a list, a member of a JSON column, or a
 * value of a rare type. Throws `NeedsRuntime` for a value that the runtime refuses or treats in a special way.
 */
export function decodedJson(value: unknown, type: FieldType, enums: Enums): string {
  if (value === null || value === undefined) return type.arity === 'list' ? '[]' : 'null';
  if (type.arity !== 'list') return decodedScalar(value, type, enums);
  if (!Array.isArray(value)) throw new NeedsRuntime();
  let out = '[';
  for (let i = 0; i < value.length; i++) out += (i > 0 ? ',' : '') + decodedScalar(value[i], type, enums);
  return `${out}]`;
}

const tagged = (type: string, value: string): string => `{"$type":"${type}","value":${value}}`;

function decodedScalar(value: unknown, type: FieldType, enums: Enums): string {
  switch (type.type) {
    case 'string':
      if (typeof value === 'string') return JSON.stringify(value);
      break;
    case 'int':
      if (typeof value === 'number') return JSON.stringify(Math.trunc(value));
      if (typeof value === 'string' && Number.isSafeInteger(Math.trunc(Number(value)))) {
        return JSON.stringify(Math.trunc(Number(value)));
      }
      break;
    case 'bigint':
      if (typeof value === 'number' || typeof value === 'string') return tagged('BigInt', JSON.stringify(value));
      break;
    case 'float':
      if (typeof value === 'number') return JSON.stringify(value);
      if (typeof value === 'string' && !Number.isNaN(Number(value))) return JSON.stringify(Number(value));
      // JSON has no NaN: JSON.stringify writes null.
      if (typeof value === 'string' && /^[-+]?nan$/i.test(value)) return 'null';
      break;
    case 'boolean':
      if (typeof value === 'boolean') return value ? 'true' : 'false';
      break;
    case 'decimal':
      if (typeof value === 'number' || typeof value === 'string') return tagged('Decimal', JSON.stringify(value));
      break;
    case 'datetime':
      if (typeof value === 'string') return tagged('DateTime', JSON.stringify(instant(value)));
      break;
    case 'json':
      if (typeof value === 'string') return tagged('Json', JSON.stringify(value));
      break;
    case 'object':
      // A value from JSON.parse holds nothing that the runtime's JSON writer treats in a special way.
      if (isJson(value)) return tagged('Json', JSON.stringify(JSON.stringify(value)));
      break;
    case 'bytes':
      return tagged('Bytes', JSON.stringify(base64Of(value, type.encoding)));
    case 'enum': {
      const values = enums[type.name];
      if (typeof value === 'string' && values !== undefined && Object.hasOwn(values, value)) {
        return JSON.stringify(values[value]);
      }
      break;
    }
    default:
      break;
  }
  throw new NeedsRuntime();
}

function isJson(value: unknown): boolean {
  return typeof value !== 'object' || value === null || !ArrayBuffer.isView(value);
}

function base64Of(value: unknown, encoding: 'array' | 'base64' | 'hex'): string {
  if (encoding === 'array' && value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (typeof value === 'string') {
    if (encoding === 'base64') return value;
    if (encoding === 'hex') return Buffer.from(ReplyBytes.fromPostgres(value)).toString('base64');
  }
  throw new NeedsRuntime();
}

/** A time of day at the end of the text, with its zone: `Z`, hours, or hours and minutes. */
const TIME = /\d{2}:\d{2}:\d{2}(?:\.\d+)?(Z|[+-]\d{2}(:?\d{2})?)?$/;
const SPACE = 32;

/** An instant as the runtime returns it, always with a date, a time and a zone. Missing parts are filled in. */
function instant(text: string): string {
  const time = TIME.exec(text);
  if (time === null) return `${text}T00:00:00Z`;
  const [, zone, minutes] = time;
  const zoned = zone === undefined ? `${text}Z` : zone !== 'Z' && minutes === undefined ? `${text}:00` : text;
  if (time.index === 0) return `1970-01-01T${zoned}`;
  const before = time.index - 1;
  return zoned.charCodeAt(before) === SPACE ? `${zoned.slice(0, before)}T${zoned.slice(time.index)}` : zoned;
}

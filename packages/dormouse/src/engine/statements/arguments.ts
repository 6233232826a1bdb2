import type { ArgType } from '@prisma/driver-adapter-utils';
import type { ParameterValue } from '../../pool/index.ts';
import { type ArrayValue, formatArrayText } from './array-text.ts';
import { dateToPostgres, timestampToPostgres, timeToPostgres } from './instants.ts';

/**
 * Encodes an argument of a plan as a parameter: as text, or as bytes for `bytea`. Postgres infers the types of
 * parameters, as it does with Prisma's own adapter; the compiler writes casts where inference is not enough.
 */
export function encodeArgument(value: unknown, type: ArgType | undefined): ParameterValue {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return formatArrayText(encodeElements(value, type));
  if (typeof value === 'string' && type?.scalarType === 'bytes') return Buffer.from(value, 'base64');
  if (value instanceof Uint8Array) return value;
  return encodeScalar(value, type);
}

function encodeElements(values: readonly unknown[], type: ArgType | undefined): ArrayValue<string> {
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    if (Array.isArray(value)) return encodeElements(value, type);
    if (typeof value === 'string' && type?.scalarType === 'bytes') {
      return `\\x${Buffer.from(value, 'base64').toString('hex')}`;
    }
    if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
    return encodeScalar(value, type);
  });
}

function encodeScalar(value: unknown, type: ArgType | undefined): string {
  if (typeof value === 'string') {
    return type?.scalarType === 'datetime' ? encodeInstant(new Date(value), value, type) : value;
  }
  if (value instanceof Date) return encodeInstant(value, 'Invalid Date', type);
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

function encodeInstant(date: Date, original: string, type: ArgType | undefined): string {
  // A text that JavaScript cannot parse goes to Postgres unchanged, which refuses it in its own words.
  if (Number.isNaN(date.getTime())) return original;
  switch (type?.dbType) {
    case 'TIME':
    case 'TIMETZ':
      return timeToPostgres(date);
    case 'DATE':
      return dateToPostgres(date);
    default:
      return timestampToPostgres(date);
  }
}

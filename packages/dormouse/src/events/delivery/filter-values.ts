import { DormouseError } from '../../base/index.ts';
import type { ColumnDefinition } from '../log/index.ts';
import {
  base64Of,
  classOf,
  compareNumbers,
  dateMs,
  decimalOf,
  elementOf,
  OID,
  parseArray,
  type ValueClass,
} from '../log/index.ts';

/** A column's type; a column that does not exist has the type 0. */
export type ColumnType = Pick<ColumnDefinition, 'typeOid' | 'list'>;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
export function refuse(message: string): never {
  throw new DormouseError('request_invalid', { message: `The stream's filter cannot be used: ${message}.` });
}

/** A value of the filter, ready to compare. */
export interface Literal {
  readonly kind: ValueClass | 'null';
  readonly text: string;
}

const TAGS: Readonly<Record<string, ValueClass>> = {
  BigInt: 'number',
  Decimal: 'number',
  DateTime: 'date',
  Bytes: 'bytes',
  Json: 'json',
  Enum: 'text',
};

/** Reads a value of the filter, plain or tagged. */
export function literalOf(value: Json): Literal {
  if (value === null) return { kind: 'null', text: '' };
  if (typeof value === 'string') return { kind: 'text', text: value };
  if (typeof value === 'number') return { kind: 'number', text: String(value) };
  if (typeof value === 'boolean') return { kind: 'boolean', text: value ? 't' : 'f' };
  if (isObject(value) && typeof value.$type === 'string' && typeof value.value === 'string') {
    const kind = TAGS[value.$type];
    if (kind !== undefined) return { kind, text: value.value };
  }
  return refuse(`${JSON.stringify(value).slice(0, 80)} is not a value`);
}

function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(x);
  return (
    keys.length === Object.keys(y).length && keys.every((key) => Object.hasOwn(y, key) && sameJson(x[key], y[key]))
  );
}

/** Compares a value of a column with one of the filter; undefined if they cannot be compared. */
export function compare(text: string, oid: number, literal: Literal): number | undefined {
  switch (classOf(oid)) {
    case 'number':
      return compareNumbers(decimalOf(text), literal.text);
    case 'date': {
      const [a, b] = [dateMs(text), dateMs(literal.text)];
      return a === b ? 0 : a < b ? -1 : a > b ? 1 : undefined;
    }
    case 'boolean':
      return literal.kind === 'boolean' ? Number(text === 't') - Number(literal.text === 't') : undefined;
    case 'bytes': {
      const order = Buffer.compare(Buffer.from(base64Of(text), 'base64'), Buffer.from(literal.text, 'base64'));
      return literal.kind === 'bytes' || literal.kind === 'text' ? order : undefined;
    }
    case 'json':
      try {
        return sameJson(
          JSON.parse(text),
          JSON.parse(literal.kind === 'text' ? JSON.stringify(literal.text) : literal.text),
        )
          ? 0
          : undefined;
      } catch {
        return undefined;
      }
    case 'text': {
      const mine = oid === OID.bpchar ? text.trimEnd() : text;
      if (mine === literal.text) return 0;
      // By code point, like the database's collation (C.UTF-8); the order of UTF-16 differs above the BMP.
      return Buffer.compare(Buffer.from(mine), Buffer.from(literal.text));
    }
  }
}

export function equal(text: string, oid: number, literal: Literal): boolean {
  return compare(text, oid, literal) === 0;
}

/** The items of an array, and their type. */
export interface List {
  readonly items: readonly (string | null)[];
  readonly oid: number;
}

/** The items of an array; undefined if the column holds no arrays. */
export function itemsOf(text: string, type: ColumnType): List | undefined {
  const oid = elementOf(type);
  const items = oid === undefined ? undefined : parseArray(text);
  return items && { items: items.map((item) => (typeof item === 'string' ? item : null)), oid: oid as number };
}

export function contains(list: List, literal: Literal): boolean {
  return list.items.some((item) => (item === null ? literal.kind === 'null' : equal(item, list.oid, literal)));
}

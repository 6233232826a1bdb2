import { type CompactedBatchResponse, convertCompactedRows, UserFacingError } from '@prisma/client-engine-runtime';
import type { KeyedRecord } from '../program/index.ts';
import { isObject } from '../request/index.ts';

/** One record as the runtime maps it: fields with plain or tagged values. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Gives each of the findUnique queries that one query stands for its record, null, or P2025. The runtime's own function
 * compares each query with each row, which holds up the main loop for seconds with 10 000 queries; it is used only for
 * keys that cannot be compared as text (decimals).
 */
export function compactedResults(rows: readonly Row[], batch: CompactedBatchResponse, scope: Row): unknown[] {
  const byKey = index(rows, batch.keys);
  const wanted = byKey === undefined ? undefined : batch.arguments.map((given) => keyOf(given, batch.keys, scope));
  if (byKey === undefined || wanted === undefined || wanted.includes(undefined)) {
    return convertCompactedRows([...rows], batch, { ...scope });
  }
  const selection = new Set(batch.nestedSelection);
  return wanted.map((key) => {
    const row = byKey.get(key ?? '');
    if (row !== undefined) return Object.fromEntries(Object.entries(row).filter(([name]) => selection.has(name)));
    return batch.expectNonEmpty ? notFound() : null;
  });
}

/** Whether the keys of all queries can be compared as text. */
export function haveTexts(batch: CompactedBatchResponse, scope: Row): boolean {
  return batch.arguments.every((given) => keyOf(given, batch.keys, scope) !== undefined);
}

/**
 * Gives each query its record as JSON, null, or P2025: like `compactedResults`, for records that are written already
 * and queries whose keys can be compared as text.
 */
export function compactedTexts(
  records: readonly KeyedRecord[],
  batch: CompactedBatchResponse,
  scope: Row,
): (string | null | UserFacingError)[] {
  const byKey = new Map<string, string>();
  for (const { key, text } of records) {
    const joined = joinedKey(key, {});
    // No query has a key with a NULL.
    if (joined !== undefined && !byKey.has(joined)) byKey.set(joined, text);
  }
  return batch.arguments.map((given) => {
    const text = byKey.get(keyOf(given, batch.keys, scope) ?? '');
    return text ?? (batch.expectNonEmpty ? notFound() : null);
  });
}

function notFound(): UserFacingError {
  const message = 'An operation failed because it depends on one or more records that were required but not found';
  return new UserFacingError(message, 'P2025');
}

/** The first row of each key; undefined if a key cannot be compared as text. */
function index(rows: readonly Row[], keys: readonly string[]): Map<string, Row> | undefined {
  const byKey = new Map<string, Row>();
  for (const row of rows) {
    const key = keyOf(row, keys, {});
    if (key === undefined) return undefined;
    if (!byKey.has(key)) byKey.set(key, row);
  }
  return byKey;
}

/**
 * A text that is equal for equal keys only; undefined for a key that lacks a field or has values that are not simple.
 */
function keyOf(record: Row, keys: readonly string[], scope: Row): string | undefined {
  for (const name of keys) if (!Object.hasOwn(record, name)) return undefined;
  return joinedKey(
    keys.map((name) => record[name]),
    scope,
  );
}

function joinedKey(values: readonly unknown[], scope: Row): string | undefined {
  let key = '';
  for (const value of values) {
    const part = textOf(value, scope);
    if (part === undefined) return undefined;
    key += `${part.length}:${part}`;
  }
  return key;
}

function textOf(value: unknown, scope: Row): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
      break;
    default:
      return undefined;
  }
  if (!isObject(value)) return undefined;
  if (value.$type === 'BigInt') return String(value.value);
  const variable =
    value.prisma__type === 'param' ? value.prisma__value : value.$type === 'Param' ? value.value : undefined;
  if (!isObject(variable) || typeof variable.name !== 'string' || variable.type === 'DateTime') return undefined;
  const bound = scope[variable.name];
  return typeof bound === 'object' ? undefined : textOf(bound, scope);
}

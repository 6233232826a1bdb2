import { RecordSet } from './record-set.ts';

/** A plan's rule about the number of records or of affected rows. */
export interface Rule {
  readonly type: 'rowCountEq' | 'rowCountNeq' | 'affectedRowCountEq' | 'never';
  readonly args?: number;
}

export function satisfies(value: unknown, { type, args }: Rule): boolean {
  switch (type) {
    case 'rowCountEq':
      return countOf(value) === args;
    case 'rowCountNeq':
      return countOf(value) !== args;
    case 'affectedRowCountEq':
      return value === args;
    case 'never':
      return false;
  }
}

/** The number of records that a value holds. */
export function countOf(value: unknown): number {
  if (value instanceof RecordSet) return value.rows.length;
  if (Array.isArray(value)) return value.length;
  return value === null ? 0 : 1;
}

/** Whether a value holds no record, or is no value. */
export function isEmpty(value: unknown): boolean {
  if (value instanceof RecordSet) return value.rows.length === 0;
  return Array.isArray(value) ? value.length === 0 : value === null || value === undefined;
}

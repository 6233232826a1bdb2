import { NeedsRuntime } from '../needs-runtime.ts';
import type { Slices } from '../pace.ts';
import type { RecordSet } from './record-set.ts';
import { decodedColumns, recordKeys } from './record-values.ts';

/** The operations that a plan applies to records in memory. The cursor's values are evaluated already. */
export interface RecordOperations {
  readonly distinct: readonly string[] | null;
  readonly linkingFields: readonly string[] | null;
  readonly reverse: boolean;
  readonly pagination: {
    readonly cursor: readonly (readonly [field: string, value: unknown])[] | null;
    readonly skip: number | null;
    readonly take: number | null;
  } | null;
}

/**
 * Removes duplicates, takes a page and reverses, in this order and with the results of Prisma's runtime. With
 * `linkingFields`, the page is taken from each group of records with equal values in these fields.
 */
export function* processRecords(
  records: RecordSet,
  { distinct, linkingFields, reverse, pagination }: RecordOperations,
): Slices<RecordSet> {
  if (records.single) {
    if (pagination === null || records.rows.length === 0) return records;
    const { cursor, skip, take } = pagination;
    if (cursor !== null) throw new NeedsRuntime();
    return (skip !== null && skip > 0) || take === 0 ? records.pick([]) : records;
  }
  let positions: number[] = records.rows.map((_row, position) => position);
  if (distinct !== null) {
    const seen = new Set<string>();
    const keys = yield* recordKeys(records, linkingFields === null ? distinct : [...distinct, ...linkingFields]);
    positions = positions.filter((position) => {
      const key = keys[position] as string;
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
  }
  if (pagination !== null) {
    const isCursor = pagination.cursor === null ? undefined : yield* cursorTest(records, pagination.cursor);
    if (linkingFields === null) {
      positions = page(positions, pagination, isCursor);
    } else {
      const keys = yield* recordKeys(records, linkingFields);
      const groups = new Map<string, number[]>();
      for (const position of positions) {
        const key = keys[position] as string;
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [position]);
        else group.push(position);
      }
      positions = [...groups]
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
        .flatMap(([, group]) => page(group, pagination, isCursor));
    }
  }
  if (reverse) positions.reverse();
  return records.pick(positions);
}

function page(
  positions: number[],
  { skip, take }: NonNullable<RecordOperations['pagination']>,
  isCursor: ((position: number) => boolean) | undefined,
): number[] {
  const at = isCursor === undefined ? 0 : positions.findIndex(isCursor);
  if (at < 0) return [];
  const start = at + (skip ?? 0);
  return positions.slice(start, take === null ? positions.length : start + take);
}

/**
 * A test that finds the cursor's record. It throws `NeedsRuntime` for a value of a type that the runtime would convert
 * before it compares.
 */
function* cursorTest(
  records: RecordSet,
  cursor: readonly (readonly [string, unknown])[],
): Slices<(position: number) => boolean> {
  const names = cursor.map(([name]) => name);
  if (names.length === 0 || names.length > records.fields.length + records.attachments.length) throw new NeedsRuntime();
  const values = yield* decodedColumns(records, names);
  return (position) =>
    cursor.every(([, wanted], index) => {
      const value = values[position]?.[index];
      if (value === null && wanted !== null && typeof wanted !== 'object' && typeof wanted !== 'number') return false;
      if (typeof value !== typeof wanted || typeof value === 'object') throw new NeedsRuntime();
      return value === wanted;
    });
}

import { NotCovered } from './not-covered.ts';
import type { Slices } from './pace.ts';
import { decodedColumns, recordKeys } from './record-values.ts';
import type { Rows } from './row-set.ts';

/** What to do with records after they were read; the cursor's values are evaluated. */
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

/** Distinct, page, reverse: in the order and with the meaning of Prisma's runtime. */
export function* processRows(
  rows: Rows,
  { distinct, linkingFields, reverse, pagination }: RecordOperations,
): Slices<Rows> {
  if (rows.single) {
    if (pagination === null || rows.rows.length === 0) return rows;
    const { cursor, skip, take } = pagination;
    if (cursor !== null) throw new NotCovered();
    return (skip !== null && skip > 0) || take === 0 ? rows.pick([]) : rows;
  }
  let places: number[] = rows.rows.map((_row, place) => place);
  if (distinct !== null) {
    const seen = new Set<string>();
    const keys = yield* recordKeys(rows, linkingFields === null ? distinct : [...distinct, ...linkingFields]);
    places = places.filter((place) => {
      const key = keys[place] as string;
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
  }
  if (pagination !== null) {
    const isCursor = pagination.cursor === null ? undefined : yield* cursorTest(rows, pagination.cursor);
    if (linkingFields === null) {
      places = page(places, pagination, isCursor);
    } else {
      const keys = yield* recordKeys(rows, linkingFields);
      const groups = new Map<string, number[]>();
      for (const place of places) {
        const key = keys[place] as string;
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [place]);
        else group.push(place);
      }
      places = [...groups]
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
        .flatMap(([, group]) => page(group, pagination, isCursor));
    }
  }
  if (reverse) places.reverse();
  return rows.pick(places);
}

function page(
  places: number[],
  { skip, take }: NonNullable<RecordOperations['pagination']>,
  isCursor: ((place: number) => boolean) | undefined,
): number[] {
  const at = isCursor === undefined ? 0 : places.findIndex(isCursor);
  if (at < 0) return [];
  const start = at + (skip ?? 0);
  return places.slice(start, take === null ? places.length : start + take);
}

/** Finds the cursor's record, where its values are of the plain types that need no conversion. */
function* cursorTest(rows: Rows, cursor: readonly (readonly [string, unknown])[]): Slices<(place: number) => boolean> {
  const names = cursor.map(([name]) => name);
  if (names.length === 0 || names.length > rows.fields.length + rows.attachments.length) throw new NotCovered();
  const values = yield* decodedColumns(rows, names);
  return (place) =>
    cursor.every(([, wanted], index) => {
      const value = values[place]?.[index];
      if (value === null && wanted !== null && typeof wanted !== 'object' && typeof wanted !== 'number') return false;
      if (typeof value !== typeof wanted || typeof value === 'object') throw new NotCovered();
      return value === wanted;
    });
}

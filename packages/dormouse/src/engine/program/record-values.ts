import { columnCodec, inColumn } from '../statements/index.ts';
import { NotCovered } from './not-covered.ts';
import { inSlices, type Slices } from './pace.ts';
import { RowReader } from './row-reader.ts';
import { columnOf, type Rows } from './row-set.ts';

/** Finds a column by name. Throws `NotCovered` for a name that is none. */
function columnNamed(rows: Rows, name: string): number {
  const column = columnOf(rows.fields, name);
  if (column < 0 || rows.attachments.some((attachment) => attachment.name === name)) throw new NotCovered();
  return column;
}

/** The values of some columns in every record, decoded as the runtime would be given them. */
export function* decodedColumns(rows: Rows, names: readonly string[]): Slices<unknown[][]> {
  const columns = names.map((name) => columnNamed(rows, name));
  const decoders = columns.map((column) => {
    const codec = columnCodec(rows.fields[column]?.typeOid ?? 0);
    if (codec === undefined) throw new NotCovered();
    return codec.decode;
  });
  const reader = new RowReader(rows.fields.length);
  const decoded: unknown[][] = [];
  yield* inSlices(rows.rows.length, (first, end) => {
    for (let place = first; place < end; place++) {
      const row = rows.rows[place] as Uint8Array;
      reader.read(row);
      decoded.push(
        columns.map((column, index) => {
          const to = reader.to[column] as number;
          if (to < 0) return null;
          const from = reader.from[column] as number;
          try {
            return decoders[index]?.(Buffer.from(row.buffer, row.byteOffset + from, to - from).toString('utf8'));
          } catch (error) {
            throw inColumn(error, names[index] ?? '');
          }
        }),
      );
    }
  });
  return decoded;
}

/** The text by which Prisma's runtime tells records apart, by some of their columns. */
export function* recordKeys(rows: Rows, names: readonly string[]): Slices<string[]> {
  const decoded = yield* decodedColumns(rows, names);
  const keys: string[] = [];
  yield* inSlices(decoded.length, (first, end) => {
    for (let place = first; place < end; place++) keys.push(JSON.stringify(decoded[place]));
  });
  return keys;
}

/** Types of which equal texts are equal values, and only those, by what the runtime decodes them to. */
const NUMBERS = new Set([21, 23]);
const TEXTS = new Set([18, 19, 20, 25, 26, 869, 1042, 1043, 1700, 2950]);
const USER_TYPES_FROM = 16384;

function keyClass(typeOid: number): 'number' | 'text' {
  if (NUMBERS.has(typeOid)) return 'number';
  if (TEXTS.has(typeOid) || typeOid >= USER_TYPES_FROM) return 'text';
  throw new NotCovered();
}

/** A record's key for joining, equal for equal values. */
type Key = string | null;

function* joinKeys(rows: Rows, columns: readonly number[]): Slices<Key[]> {
  const reader = new RowReader(rows.fields.length);
  const keys: Key[] = [];
  yield* inSlices(rows.rows.length, (first, end) => {
    for (let place = first; place < end; place++) {
      const row = rows.rows[place] as Uint8Array;
      reader.read(row);
      keys.push(joinKey(reader, row, columns));
    }
  });
  return keys;
}

function joinKey(reader: RowReader, row: Uint8Array, columns: readonly number[]): Key {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  const [only] = columns;
  if (columns.length === 1 && only !== undefined) {
    const to = reader.to[only] as number;
    return to < 0 ? null : bytes.toString('latin1', reader.from[only], to);
  }
  let key = '';
  for (const column of columns) {
    const to = reader.to[column] as number;
    const from = reader.from[column] as number;
    // The length in front keeps ('a', 'bc') apart from ('ab', 'c').
    key += to < 0 ? 'null;' : `${to - from}:${bytes.toString('latin1', from, to)}`;
  }
  return key;
}

/** For each parent the places of its children, by equal values in pairs of columns. */
export function* matchChildren(
  parent: Rows,
  child: Rows,
  on: readonly (readonly [parent: string, child: string])[],
): Slices<readonly (readonly number[])[]> {
  const parentColumns = on.map(([name]) => columnNamed(parent, name));
  const childColumns = on.map(([, name]) => columnNamed(child, name));
  for (let i = 0; i < on.length; i++) {
    const parentClass = keyClass(parent.fields[parentColumns[i] as number]?.typeOid ?? 0);
    const childClass = keyClass(child.fields[childColumns[i] as number]?.typeOid ?? 0);
    if (parentClass !== childClass) throw new NotCovered();
  }
  const parentKeys = yield* joinKeys(parent, parentColumns);
  const childKeys = yield* joinKeys(child, childColumns);
  const byKey = new Map<Key, number[]>();
  const children: number[][] = [];
  yield* inSlices(parentKeys.length, (first, end) => {
    for (let place = first; place < end; place++) {
      const key = parentKeys[place] as Key;
      let list = byKey.get(key);
      if (list === undefined) {
        list = [];
        byKey.set(key, list);
      }
      children.push(list);
    }
  });
  yield* inSlices(childKeys.length, (first, end) => {
    for (let place = first; place < end; place++) byKey.get(childKeys[place] as Key)?.push(place);
  });
  return children;
}

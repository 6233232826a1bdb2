import { columnCodec, inColumn } from '../../statements/index.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { inSlices, type Slices } from '../pace.ts';
import { columnOf, type RecordSet } from './record-set.ts';
import { RowReader } from './row-reader.ts';

/** The index of the column with a name. Throws `NeedsRuntime` if the name is no column's, or an attachment's. */
function columnNamed(records: RecordSet, name: string): number {
  const column = columnOf(records.fields, name);
  if (column < 0 || records.attachments.some((attachment) => attachment.name === name)) throw new NeedsRuntime();
  return column;
}

/** For each record, the values of the named columns, decoded to what Prisma's runtime would be given. */
export function* decodedColumns(records: RecordSet, names: readonly string[]): Slices<unknown[][]> {
  const columns = names.map((name) => columnNamed(records, name));
  const decoders = columns.map((column) => {
    const codec = columnCodec(records.fields[column]?.typeOid ?? 0);
    if (codec === undefined) throw new NeedsRuntime();
    return codec.decode;
  });
  const reader = new RowReader(records.fields.length);
  const decoded: unknown[][] = [];
  yield* inSlices(records.rows.length, (first, end) => {
    for (let position = first; position < end; position++) {
      const row = records.rows[position] as Uint8Array;
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

/** For each record, the text by which Prisma's runtime compares the named columns. */
export function* recordKeys(records: RecordSet, names: readonly string[]): Slices<string[]> {
  const decoded = yield* decodedColumns(records, names);
  const keys: string[] = [];
  yield* inSlices(decoded.length, (first, end) => {
    for (let position = first; position < end; position++) keys.push(JSON.stringify(decoded[position]));
  });
  return keys;
}

/** Types of which two values are equal for the runtime exactly when their texts are equal. */
const NUMBERS = new Set([21, 23]);
const TEXTS = new Set([18, 19, 20, 25, 26, 869, 1042, 1043, 1700, 2950]);
const USER_TYPES_FROM = 16384;

function keyClass(typeOid: number): 'number' | 'text' {
  if (NUMBERS.has(typeOid)) return 'number';
  if (TEXTS.has(typeOid) || typeOid >= USER_TYPES_FROM) return 'text';
  throw new NeedsRuntime();
}

/** A record's key for joining. Two keys are equal exactly when their values are. */
type Key = string | null;

function* joinKeys(records: RecordSet, columns: readonly number[]): Slices<Key[]> {
  const reader = new RowReader(records.fields.length);
  const keys: Key[] = [];
  yield* inSlices(records.rows.length, (first, end) => {
    for (let position = first; position < end; position++) {
      const row = records.rows[position] as Uint8Array;
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

/**
 * For each parent, the positions of its children: the child records whose values equal the parent's in each pair of
 * columns. Throws `NeedsRuntime` for types whose equality is not that of their texts.
 */
export function* matchChildren(
  parent: RecordSet,
  child: RecordSet,
  on: readonly (readonly [parent: string, child: string])[],
): Slices<readonly (readonly number[])[]> {
  const parentColumns = on.map(([name]) => columnNamed(parent, name));
  const childColumns = on.map(([, name]) => columnNamed(child, name));
  for (let i = 0; i < on.length; i++) {
    const parentClass = keyClass(parent.fields[parentColumns[i] as number]?.typeOid ?? 0);
    const childClass = keyClass(child.fields[childColumns[i] as number]?.typeOid ?? 0);
    if (parentClass !== childClass) throw new NeedsRuntime();
  }
  const parentKeys = yield* joinKeys(parent, parentColumns);
  const childKeys = yield* joinKeys(child, childColumns);
  const byKey = new Map<Key, number[]>();
  const children: number[][] = [];
  yield* inSlices(parentKeys.length, (first, end) => {
    for (let position = first; position < end; position++) {
      const key = parentKeys[position] as Key;
      let list = byKey.get(key);
      if (list === undefined) {
        list = [];
        byKey.set(key, list);
      }
      children.push(list);
    }
  });
  yield* inSlices(childKeys.length, (first, end) => {
    for (let position = first; position < end; position++) byKey.get(childKeys[position] as Key)?.push(position);
  });
  return children;
}

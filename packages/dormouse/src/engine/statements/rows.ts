import { isUtf8 } from 'node:buffer';
import { type ColumnType, DriverAdapterError, type SqlResultSet } from '@prisma/driver-adapter-utils';
import type { StatementResult } from '../../pool/index.ts';
import { columnCodec, unsupportedTypeName } from './column-types.ts';
import { inColumn, otherEncoding } from './unreadable-text.ts';

/**
 * Decodes the rows of a result to values of Prisma's runtime. A row is the payload of a DataRow message: int16 count;
 * for each value an int32 length and the bytes. Throws `UnsupportedNativeDataType` for a built-in type that Prisma
 * cannot read, and P2023 for a text of unknown form.
 */
export function decodeResult(result: StatementResult): SqlResultSet {
  const columnNames: string[] = [];
  const columnTypes: ColumnType[] = [];
  const decoders: ((text: string) => unknown)[] = [];
  for (const field of result.fields) {
    const codec = columnCodec(field.typeOid);
    if (codec === undefined) {
      throw new DriverAdapterError({ kind: 'UnsupportedNativeDataType', type: unsupportedTypeName(field.typeOid) });
    }
    columnNames.push(field.name);
    columnTypes.push(codec.columnType);
    decoders.push(codec.decode);
  }
  return { columnNames, columnTypes, rows: result.rows.map((row) => decodeRow(row, decoders, columnNames)) };
}

function decodeRow(
  row: Uint8Array,
  decoders: readonly ((text: string) => unknown)[],
  names: readonly string[],
): unknown[] {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  const values = new Array<unknown>(decoders.length);
  let at = 2;
  let index = 0;
  try {
    for (const decode of decoders) {
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length < 0) {
        values[index] = null;
      } else {
        values[index] = decode(textOf(bytes, at, at + length));
        at += length;
      }
      index++;
    }
  } catch (error) {
    throw inColumn(error, names[index] ?? '');
  }
  return values;
}

/** The decoder writes this character for bytes that are not UTF-8. A text may also contain the character itself. */
const REPLACEMENT = '\uFFFD';

function textOf(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('utf8', from, to);
  if (text.includes(REPLACEMENT) && !isUtf8(bytes.subarray(from, to))) throw otherEncoding();
  return text;
}

import type { DateFormat, StatementResult } from '../../pool/index.ts';
import { decodeDataRow } from '../../wire/index.ts';
import { type ArrayValue, formatArrayText, parseArrayText } from './array-text.ts';
import { isoDate, isoTimestamp, isoTimestamptz } from './date-styles.ts';
import { inColumn } from './unreadable-text.ts';

type ToIso = (text: string, format: DateFormat) => string;

const array =
  (element: ToIso): ToIso =>
  (text, format) =>
    formatArrayText(parseArrayText(text, (each) => element(each, format)) as ArrayValue<string>);

/** The types whose text depends on DateStyle, by OID. */
const DATES: ReadonlyMap<number, ToIso> = new Map([
  [1082, isoDate],
  [1114, isoTimestamp],
  [1184, isoTimestamptz],
  [1182, array(isoDate)],
  [1115, array(isoTimestamp)],
  [1185, array(isoTimestamptz)],
]);

/**
 * Converts the dates of a result to the DateStyle ISO, so that decoders need not know in which order the session
 * writes day and month. Throws P2023 for a value that cannot be read.
 */
export function withIsoDates(result: StatementResult, format: DateFormat): StatementResult {
  const columns = result.fields.map(({ typeOid }) => DATES.get(typeOid));
  if (columns.every((toIso) => toIso === undefined)) return result;
  const rows = result.rows.map((row) => {
    const values = decodeDataRow(row).map((value, column) => {
      const toIso = columns[column];
      if (value === null || toIso === undefined) return value;
      try {
        return Buffer.from(toIso(value.toString('utf8'), format));
      } catch (error) {
        throw inColumn(error, result.fields[column]?.name ?? '');
      }
    });
    return dataRow(values);
  });
  return { ...result, rows };
}

/** A DataRow's payload: int16 count, then int32 length and bytes each. */
function dataRow(values: readonly (Buffer | null)[]): Uint8Array {
  const row = Buffer.alloc(2 + values.reduce((sum, value) => sum + 4 + (value?.length ?? 0), 0));
  let at = row.writeInt16BE(values.length, 0);
  for (const value of values) {
    at = row.writeInt32BE(value === null ? -1 : value.length, at);
    if (value !== null) at += value.copy(row, at);
  }
  return row;
}

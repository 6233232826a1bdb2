import { tableText } from '../capture/index.ts';
import {
  type ArrayItem,
  base64Of,
  type ColumnDefinition,
  classOf,
  decimalOf,
  elementOf,
  formatOffset,
  OID,
  OMITTED,
  parseArray,
  type RelationDefinition,
  type Row,
  type StoredEvent,
  UNKNOWN,
} from '../log/index.ts';

/**
 * Events as state messages of the Durable Streams State Protocol, one line of JSON each: `{type, key, value,
 * old_value?, headers: {operation, txid, timestamp, offset, unchanged?, omitted?}}`. `type` is `schema.table`; a value
 * that the event does not carry is absent from `value` and named in `unchanged`, or in `omitted` if it was too large
 * for an event. A truncation, a gap and an event whose key was too large become `reset` controls.
 *
 * JSON by type: int2, int4, floats are numbers; int8, numeric, money are strings (a JSON number cannot hold them);
 * bool; timestamps are ISO 8601 (with Z if they have a zone); bytea is base64; json is left as it is, digit for digit;
 * arrays are arrays; everything else is its text.
 */
export function stateMessage(event: StoredEvent): string {
  const offset = formatOffset(event.position, event.epoch);
  const { relation, operation } = event;
  if (relation === undefined) return JSON.stringify({ headers: { control: 'reset', offset, reason: 'gap' } });
  const type = tableText((relation.partition && relation.ancestors?.at(-1)) || relation);
  const part = relation.partition === true ? { partition: tableText(relation) } : {};
  const timestamp = new Date(event.committedAtMs).toISOString();
  const txid = String(event.xid);
  if (operation === 'truncate') {
    return JSON.stringify({
      headers: { control: 'reset', offset, reason: 'truncate', type, ...part, txid, timestamp },
    });
  }
  const headers: Record<string, unknown> = { operation, txid, timestamp, offset, ...part };
  const row = operation === 'delete' ? event.before : event.after;
  if (operation === 'update' && row !== undefined) {
    const unchanged = relation.columns.filter((_, i) => row[i] === UNKNOWN).map((column) => column.name);
    if (unchanged.length > 0) headers.unchanged = unchanged;
  }
  const omitted = relation.columns.filter((_, i) => row?.[i] === OMITTED || event.before?.[i] === OMITTED);
  if (omitted.length > 0) headers.omitted = omitted.map((column) => column.name);
  // Without its key the row cannot be told.
  if (relation.columns.some((column, i) => column.key && row?.[i] === OMITTED)) {
    return JSON.stringify({
      headers: { control: 'reset', offset, reason: 'too_large', type, ...part, txid, timestamp },
    });
  }
  const old = event.before === undefined ? '' : `,"old_value":${rowJson(relation, event.before)}`;
  const value = operation === 'delete' ? 'null' : rowJson(relation, row ?? []);
  const key = JSON.stringify(keyOf(relation, row ?? []));
  return `{"type":${JSON.stringify(type)},"key":${key},"value":${value}${old},"headers":${JSON.stringify(headers)}}`;
}

/**
 * The key's value if the key has one column, else the JSON list of its values. A table without a key has all columns as
 * its key; a delete from such a table says nothing of the row, and the list is empty.
 */
function keyOf(relation: RelationDefinition, row: Row): string {
  const known = relation.columns.flatMap((column, i) => (column.key ? [row[i] ?? UNKNOWN] : []));
  if (known.every((value) => value === UNKNOWN)) return '[]';
  const values = known.map((value) => (value === UNKNOWN ? null : value));
  const [first] = values;
  return values.length === 1 && typeof first === 'string' && first !== '' ? first : JSON.stringify(values);
}

function rowJson(relation: RelationDefinition, row: Row): string {
  const parts: string[] = [];
  for (const [i, column] of relation.columns.entries()) {
    const text = row[i];
    if (typeof text !== 'string' && text !== null) continue;
    parts.push(`${JSON.stringify(column.name)}:${text === null ? 'null' : columnJson(text, column)}`);
  }
  return `{${parts.join(',')}}`;
}

function columnJson(text: string, column: ColumnDefinition): string {
  const element = elementOf(column);
  const list = element === undefined ? undefined : parseArray(text);
  return list === undefined ? valueJson(text, column.typeOid) : listJson(list, element as number);
}

function valueJson(text: string, oid: number): string {
  switch (classOf(oid)) {
    case 'number':
      if (oid === OID.int2 || oid === OID.int4 || oid === OID.oid || oid === OID.float4 || oid === OID.float8) {
        return Number.isFinite(Number(text)) ? text : JSON.stringify(text);
      }
      return JSON.stringify(decimalOf(text));
    case 'boolean':
      return text === 't' || text === 'true' ? 'true' : 'false';
    case 'bytes':
      return JSON.stringify(base64Of(text));
    case 'date':
      return JSON.stringify(isoText(text));
    case 'json':
      // Line breaks stand between tokens only, where a space serves as well; they would end a line of server-sent
      // events.
      return text.replace(/[\r\n]+/g, ' ');
    case 'text':
      return JSON.stringify(text);
  }
}

function listJson(list: readonly ArrayItem[], oid: number): string {
  const parts = list.map((item) =>
    item === null ? 'null' : typeof item === 'string' ? valueJson(item, oid) : listJson(item, oid),
  );
  return `[${parts.join(',')}]`;
}

/** ISO 8601 with all decimals; capture's session prints in UTC. */
function isoText(text: string): string {
  return text.replace(' ', 'T').replace(/\+00$/, 'Z');
}

import { DormouseError } from '../../base/index.ts';
import type { RelationDefinition, Row, TableName } from '../log/index.ts';
import { type ArrayItem, base64Of, decimalOf, elementOf, isoDate, parseArray } from '../log/index.ts';

/** A scalar field of a Prisma model, as the client's runtime data model describes it. */
export interface ModelField {
  readonly name: string;
  readonly column: string;
  readonly type: string;
  /** Prisma 6 sends it. Prisma 7 leaves it out, and the column's type is used. */
  readonly list: boolean | undefined;
}

export interface Model {
  readonly name: string;
  readonly table: TableName;
  readonly fields: readonly ModelField[];
}

const FIELDS_MAX = 2000;

function invalid(what: string): never {
  throw new DormouseError('request_invalid', { message: `The subscription is not understood: ${what}.` });
}
function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}

/** Parses a model of a runtime data model. Fails with `request_invalid`. */
export function parseModel(name: unknown, entry: unknown): Model {
  if (typeof name !== 'string' || name === '') invalid('it names no model');
  if (typeof entry !== 'object' || entry === null) invalid('it carries no model');
  const { dbName, schema, fields } = entry as { dbName?: unknown; schema?: unknown; fields?: unknown };
  if (!Array.isArray(fields) || fields.length > FIELDS_MAX) invalid('the model has no fields');
  const parsed: ModelField[] = [];
  for (const field of fields as unknown[]) {
    if (typeof field !== 'object' || field === null) invalid('a field is not an object');
    const { name: fieldName, dbName: column, kind, type, isList } = field as Record<string, unknown>;
    if (typeof fieldName !== 'string' || typeof type !== 'string') invalid('a field has no name or type');
    if (kind !== 'scalar' && kind !== 'enum') continue;
    parsed.push({
      name: fieldName as string,
      column: textOr(column, fieldName as string),
      type: type as string,
      list: typeof isList === 'boolean' ? isList : undefined,
    });
  }
  const modelName = name as string;
  return {
    name: modelName,
    table: { schema: textOr(schema, 'public'), name: textOr(dbName, modelName) },
    fields: parsed,
  };
}

/** The column of a model's field. */
export function columnOf(model: Model): (field: string) => string | undefined {
  return (field) => model.fields.find((each) => each.name === field)?.column;
}

type TaggedJson = null | boolean | number | string | { readonly $type: string; readonly value: string } | TaggedJson[];

function scalar(type: string, text: string): TaggedJson {
  switch (type) {
    case 'Boolean':
      return text === 't' || text === 'true';
    case 'Int':
    case 'Float': {
      const number = Number(decimalOf(text));
      // JSON has no NaN and no infinities.
      return Number.isFinite(number) ? number : text;
    }
    case 'BigInt':
      return { $type: 'BigInt', value: text };
    case 'Decimal':
      return { $type: 'Decimal', value: decimalOf(text) };
    case 'DateTime':
      return { $type: 'DateTime', value: isoDate(text) };
    case 'Bytes':
      return { $type: 'Bytes', value: base64Of(text) };
    case 'Json':
      return { $type: 'Json', value: text };
    default:
      return text;
  }
}

function items(type: string, list: readonly ArrayItem[]): TaggedJson[] {
  return list.map((item) => (item === null ? null : typeof item === 'string' ? scalar(type, item) : items(type, item)));
}

/**
 * A row by field names, with values tagged as in Prisma's JSON protocol. Values that the event does not carry are
 * absent.
 */
export function taggedRow(model: Model, relation: RelationDefinition, row: Row): Record<string, TaggedJson> {
  const out: Record<string, TaggedJson> = {};
  for (const field of model.fields) {
    const index = relation.columns.findIndex((column) => column.name === field.column);
    const column = relation.columns[index];
    const text = row[index];
    if (column === undefined || (typeof text !== 'string' && text !== null)) continue;
    if (field.list ?? elementOf(column) !== undefined) {
      // Prisma reads a NULL list as an empty one.
      out[field.name] = items(field.type, text === null ? [] : (parseArray(text) ?? []));
    } else {
      out[field.name] = text === null ? null : scalar(field.type, text);
    }
  }
  return out;
}

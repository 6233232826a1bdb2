import { DormouseStreamError } from './errors.ts';

/** The parts of a client's runtime data model that are used. Prisma 7 has fewer than 6. */
export interface RuntimeField {
  readonly name: string;
  readonly kind: string;
  readonly type: string;
  readonly dbName?: string | null;
  readonly isList?: boolean;
}
export interface RuntimeModel {
  readonly dbName?: string | null;
  readonly schema?: string | null;
  readonly fields: readonly RuntimeField[];
}
export interface RuntimeEnum {
  readonly values?: readonly { readonly name: string; readonly dbName?: string | null }[];
}
export interface RuntimeDataModel {
  readonly models: Readonly<Record<string, RuntimeModel>>;
  readonly enums?: Readonly<Record<string, RuntimeEnum>>;
}

export type DecimalClass = new (value: string) => unknown;

type Values = Readonly<Record<string, unknown>>;

interface Field {
  readonly name: string;
  readonly column: string;
  readonly type: string;
  readonly list: boolean;
  /** The schema's name for each label in the database, for enums in which they differ. */
  readonly names: ReadonlyMap<string, string> | undefined;
}

/** Translates between the rows that the platform sends and the objects that Prisma gives for a model. */
export class ModelCodec {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly #fields: readonly Field[];
  readonly #decimal: DecimalClass | undefined;

  constructor(dataModel: RuntimeDataModel, name: string, decimal: DecimalClass | undefined) {
    const model = dataModel.models[name];
    if (model === undefined) throw new DormouseStreamError('usage', `The Prisma schema has no model ${name}.`);
    this.name = name;
    this.schema = model.schema ?? 'public';
    this.table = model.dbName ?? name;
    this.#decimal = decimal;
    this.#fields = model.fields
      .filter((field) => field.kind === 'scalar' || field.kind === 'enum')
      .map((field) => ({
        name: field.name,
        column: field.dbName ?? field.name,
        type: field.type,
        list: field.isList === true,
        names: namesOf(dataModel.enums?.[field.type]),
      }));
  }

  /** A row by field names, with Prisma's types. A value that the row does not carry stays absent. */
  decode(row: Values): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    for (const field of this.#fields) {
      const value = row[field.column];
      if (value !== undefined) out[field.name] = this.#value(field, value);
    }
    return out;
  }

  /** True if a row carries every field of the model. */
  isWhole(row: Values): boolean {
    return this.#fields.every((field) => row[field.column] !== undefined);
  }

  /** `{create, update, delete}` by columns, with tagged values. Throws for a field that the model does not have. */
  encodeFilter(args: Values): Record<string, unknown> | undefined {
    const out: Record<string, unknown> = {};
    let any = false;
    for (const operation of ['create', 'update', 'delete'] as const) {
      const condition = args[operation];
      if (condition === undefined) continue;
      any = true;
      if (operation !== 'update') {
        out[operation] = this.#where(condition);
        continue;
      }
      const { after, ...rest } = (condition ?? {}) as { after?: unknown };
      out.update = { ...rest, ...(after === undefined ? {} : { after: this.#where(after) }) };
    }
    return any ? out : undefined;
  }

  #value(field: Field, value: unknown): unknown {
    if (Array.isArray(value) && field.type !== 'Json') return value.map((item) => this.#value(field, item));
    if (value === null) return field.list ? [] : null;
    switch (field.type) {
      case 'Int':
      case 'Float':
        return Number(value);
      case 'BigInt':
        return BigInt(value as string | number);
      case 'Decimal':
        return this.#decimal === undefined ? String(value) : new this.#decimal(String(value));
      case 'DateTime':
        return toDate(String(value));
      case 'Bytes':
        return bytesOf(String(value));
      default:
        return typeof value === 'string' ? (field.names?.get(value) ?? value) : value;
    }
  }

  #where(condition: unknown): unknown {
    if (typeof condition !== 'object' || condition === null || Array.isArray(condition)) return condition;
    const out: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(condition)) {
      if (value === undefined) continue;
      if (name === 'AND' || name === 'OR' || name === 'NOT') {
        out[name] = Array.isArray(value) ? value.map((each) => this.#where(each)) : this.#where(value);
        continue;
      }
      const field = this.#fields.find((each) => each.name === name);
      if (field === undefined) throw new DormouseStreamError('usage', `The model ${this.name} has no field ${name}.`);
      out[field.column] = field.type === 'Json' ? tag('Json', JSON.stringify(value)) : tagged(field, value);
    }
    return out;
  }
}

function namesOf(definition: RuntimeEnum | undefined): ReadonlyMap<string, string> | undefined {
  const mapped = definition?.values?.filter((value) => value.dbName != null) ?? [];
  return mapped.length === 0 ? undefined : new Map(mapped.map((value) => [value.dbName as string, value.name]));
}

function tag(type: string, value: string): { $type: string; value: string } {
  return { $type: type, value };
}

/** A value of a filter, or its operators with their values. */
function tagged(field: Field, value: unknown): unknown {
  if (typeof value === 'bigint') return tag('BigInt', String(value));
  if (value instanceof Date) return tag('DateTime', value.toISOString());
  if (ArrayBuffer.isView(value)) return tag('Bytes', base64Of(value as Uint8Array));
  if (Array.isArray(value)) return value.map((item) => tagged(field, item));
  if (typeof value === 'string') {
    for (const [label, name] of field.names ?? []) if (name === value) return label;
    return value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if ('toFixed' in value && typeof value.toFixed === 'function') return tag('Decimal', String(value.toFixed()));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .map(([name, each]) => [name, name === 'mode' ? each : tagged(field, each)]),
  );
}

const TIME = /^\d\d:\d\d:\d\d/;
const ZONE = /(Z|[+-]\d\d(:\d\d)?)$/;

/** Dates and times of Postgres as Prisma reads them: without a zone in UTC, without a day on 1970-01-01. */
function toDate(text: string): Date {
  if (TIME.test(text)) return toDate(`1970-01-01T${text}`);
  if (!text.includes('T')) return new Date(text);
  const zone = ZONE.exec(text)?.[0] ?? '';
  const clock = text.slice(0, text.length - zone.length);
  return new Date(clock + (zone === '' ? 'Z' : zone.length === 3 ? `${zone}:00` : zone));
}

function bytesOf(base64: string): Uint8Array {
  const binary = atob(base64);
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
function base64Of(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    binary += String.fromCharCode(byte);
  return btoa(binary);
}

import type { FieldType, ResultNode } from '@prisma/client-engine-runtime';
import { isExactFraction, isExactInteger, NULL } from './column-writers.ts';
import { isPlainString, skipSpace, stringEnd, valueEnd } from './json-scanner.ts';
import type { JsonWriter } from './json-writer.ts';
import { type Enums, looseValue } from './loose-values.ts';
import { NotCovered } from './not-covered.ts';
import { isOrderedName } from './ordered-names.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LOWER_N = 0x6e;
/** Members of one object whose places are kept; Postgres' functions take at most 100 arguments, chained by the compiler. */
const MEMBERS_MAX = 4096;

const BIGINT = Buffer.from('{"$type":"BigInt","value":');
const DECIMAL = Buffer.from('{"$type":"Decimal","value":');
const INSTANT = Buffer.from('{"$type":"DateTime","value":');

/** Writes a member's value; `escaped` tells of a string that has escapes in it. */
type Member = (out: JsonWriter, bytes: Uint8Array, from: number, to: number, escaped: boolean) => void;

/**
 * Writes a column that holds JSON which Postgres has built of related records: an object, a list of objects, or null.
 * Members are written in the order of the plan, whatever their order in the text.
 */
export class JsonColumn {
  readonly #node: Extract<ResultNode, { type: 'object' }>;
  readonly #names: readonly Buffer[];
  readonly #places: ReadonlyMap<string, number>;
  readonly #prefixes: readonly Buffer[];
  readonly #members: readonly Member[];
  /** Which member of the text each written one is read from. */
  readonly #sources: readonly number[];
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  /** The member at each place of the text, as it was last time. */
  #order: number[] = [];

  constructor(node: Extract<ResultNode, { type: 'object' }>, enums: Enums) {
    this.#node = node;
    const names: string[] = [];
    const sources: number[] = [];
    const prefixes: Buffer[] = [];
    const members: Member[] = [];
    for (const [name, field] of Object.entries(node.fields)) {
      if (field.type === 'affectedRows' || !isOrderedName(name)) throw new NotCovered();
      const source = field.type === 'field' ? field.dbName : field.serializedName;
      // An object without a name of its own reads the members of its parent.
      if (source === null) throw new NotCovered();
      if (!names.includes(source)) names.push(source);
      sources.push(names.indexOf(source));
      prefixes.push(Buffer.from(`${prefixes.length === 0 ? '{' : ','}${JSON.stringify(name)}:`));
      members.push(field.type === 'field' ? memberWriter(field.fieldType, enums) : nested(field, enums));
    }
    if (names.length > MEMBERS_MAX) throw new NotCovered();
    this.#names = names.map((name) => Buffer.from(name));
    this.#places = new Map(names.map((name, place) => [name, place]));
    this.#prefixes = prefixes;
    this.#members = members;
    this.#sources = sources;
    this.#from = new Int32Array(names.length);
    this.#to = new Int32Array(names.length);
  }

  write(out: JsonWriter, bytes: Uint8Array, from: number, to: number): void {
    const at = skipSpace(bytes, from);
    switch (bytes[at]) {
      case OPEN:
        this.#object(out, bytes, at, to);
        return;
      case OPEN_LIST:
        this.#list(out, bytes, at, to);
        return;
      case LOWER_N:
        out.raw(NULL);
        return;
      default:
        throw new NotCovered();
    }
  }

  #list(out: JsonWriter, bytes: Uint8Array, from: number, to: number): void {
    out.byte(OPEN_LIST);
    let at = skipSpace(bytes, from + 1);
    let first = true;
    while (bytes[at] !== CLOSE_LIST) {
      if (bytes[at] === OPEN) {
        if (!first) out.byte(COMMA);
        first = false;
        at = this.#object(out, bytes, at, to);
      } else if (bytes[at] === LOWER_N && this.#node.skipNulls) {
        at += 4;
      } else {
        throw new NotCovered();
      }
      at = skipSpace(bytes, at);
      if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
      else if (bytes[at] !== CLOSE_LIST) throw new NotCovered();
    }
    out.byte(CLOSE_LIST);
  }

  /** Finds the members of the object at `from`, writes them, and gives the place behind it. */
  #object(out: JsonWriter, bytes: Uint8Array, from: number, to: number): number {
    const froms = this.#from;
    const tos = this.#to;
    froms.fill(-1);
    let at = skipSpace(bytes, from + 1);
    let place = 0;
    while (bytes[at] !== CLOSE) {
      if (bytes[at] !== QUOTE) throw new NotCovered();
      // Objects of one list have their members in the same order: the name is mostly known before it is read.
      let member = this.#order[place] ?? -1;
      const name = this.#names[member];
      if (name !== undefined && bytes[at + name.length + 1] === QUOTE && startsWith(name, bytes, at + 1)) {
        at += name.length + 2;
      } else {
        const keyEnd = Math.abs(stringEnd(bytes, at, to));
        member = this.#memberAt(place, bytes, at + 1, keyEnd - 1);
        at = keyEnd;
      }
      place++;
      at = skipSpace(bytes, at);
      if (bytes[at] !== COLON) throw new NotCovered();
      at = skipSpace(bytes, at + 1);
      const end = valueEnd(bytes, at, to);
      if (member >= 0) {
        froms[member] = at;
        tos[member] = end;
      }
      at = skipSpace(bytes, end < 0 ? -end : end);
      if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
      else if (bytes[at] !== CLOSE) throw new NotCovered();
    }
    const sources = this.#sources;
    if (sources.length === 0) out.byte(OPEN);
    for (let index = 0; index < sources.length; index++) {
      const source = sources[index] as number;
      if (froms[source] === -1) throw new NotCovered();
      out.raw(this.#prefixes[index] as Buffer);
      const end = tos[source] as number;
      (this.#members[index] as Member)(out, bytes, froms[source] as number, end < 0 ? -end : end, end < 0);
    }
    out.byte(CLOSE);
    return at + 1;
  }

  /** Which member a key names, -1 for none. */
  #memberAt(place: number, bytes: Uint8Array, from: number, to: number): number {
    const text = textOf(bytes, from - 1, to + 1);
    const name = text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
    const found = this.#places.get(name) ?? -1;
    if (place < MEMBERS_MAX) this.#order[place] = found;
    return found;
  }
}

function startsWith(name: Buffer, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[from + i]) return false;
  return true;
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}

function nested(node: Extract<ResultNode, { type: 'object' }>, enums: Enums): Member {
  const column = new JsonColumn(node, enums);
  return (out, bytes, from, to) => column.write(out, bytes, from, to);
}

type IsPlain = (bytes: Uint8Array, from: number, to: number, escaped: boolean) => boolean;
const isPlainText: IsPlain = (bytes, from, to, escaped) =>
  bytes[from] === QUOTE && (!escaped || isPlainString(bytes, from, to));

function memberWriter(type: FieldType, enums: Enums): Member {
  const loose: Member = (out, bytes, from, to) =>
    out.text(looseValue(JSON.parse(textOf(bytes, from, to)), type, enums));
  if (type.arity === 'list') return loose;
  const plain = (isPlain: IsPlain, head?: Buffer): Member => {
    return (out, bytes, from, to, escaped) => {
      if (bytes[from] === LOWER_N) {
        out.raw(NULL);
        return;
      }
      if (!isPlain(bytes, from, to, escaped)) {
        loose(out, bytes, from, to, escaped);
        return;
      }
      if (head !== undefined) out.raw(head);
      out.raw(bytes, from, to);
      if (head !== undefined) out.byte(CLOSE);
    };
  };
  switch (type.type) {
    case 'string':
      return plain(isPlainText);
    case 'int':
      return plain(isExactInteger);
    case 'float':
      return plain((bytes, from, to) => isExactInteger(bytes, from, to) || isExactFraction(bytes, from, to));
    case 'boolean':
      return plain((bytes, from) => bytes[from] === 0x74 || bytes[from] === 0x66);
    case 'bigint':
      return plain(isPlainText, BIGINT);
    case 'decimal':
      return plain(isPlainText, DECIMAL);
    case 'datetime':
      return plain(isZonedInstant, INSTANT);
    default:
      return loose;
  }
}

/** `"2024-01-02T03:04:05.678+00:00"`, quotes included. */
function isZonedInstant(bytes: Uint8Array, from: number, to: number): boolean {
  if (to - from < 27 || bytes[from] !== QUOTE) return false;
  const sign = bytes[to - 7];
  if ((sign !== 0x2b && sign !== 0x2d) || bytes[to - 4] !== COLON) return false;
  return (
    bytes[from + 5] === 0x2d && bytes[from + 8] === 0x2d && bytes[from + 11] === 0x54 && bytes[from + 14] === COLON
  );
}

import type { ResultNode } from '@prisma/client-engine-runtime';
import { NeedsRuntime } from '../needs-runtime.ts';
import { SLICE_BYTES, type Slices } from '../pace.ts';
import { NULL } from './column-writers.ts';
import type { Enums } from './decoded-json.ts';
import { type MemberWriter, memberWriter } from './json-member.ts';
import { LONG_BYTES, type LongValues, longValues, skipSpace, stringEnd, valueEnd } from './json-scanner.ts';
import type { JsonWriter } from './json-writer.ts';
import { isOrderedName } from './ordered-names.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LOWER_N = 0x6e;
/**
 * Most members that an object may have here. A Postgres function takes at most 100 arguments; Prisma's compiler chains
 * several calls for larger objects.
 */
const MEMBERS_MAX = 4096;

/** How a member's value is written. */
type Member = JsonColumn | MemberWriter;

/**
 * Writes a column that holds related records as JSON, which Postgres built: an object, a list of objects, or null.
 *
 * Invariants:
 * - The text is valid JSON, because Postgres wrote it. It is scanned, not parsed: a member's bytes are copied where
 *   they have the form of the reply already.
 * - Members are written in the order of the plan, whatever their order is in the text. The names of the plan are the
 *   only ones that are written.
 * - Whatever the plan does not expect (a missing member, another kind of value, a null that must not be skipped)
 *   throws `NeedsRuntime`. Then the runtime writes the whole reply anew.
 * - The offsets of the current object's members are kept in this column's arrays, so a column writes one object at a
 *   time. Nested objects have columns of their own.
 */
export class JsonColumn {
  readonly #node: Extract<ResultNode, { type: 'object' }>;
  readonly #names: readonly Buffer[];
  readonly #positions: ReadonlyMap<string, number>;
  readonly #prefixes: readonly Buffer[];
  readonly #members: readonly Member[];
  /** For each member of the plan, the index of the name under which the text has it. */
  readonly #sources: readonly number[];
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  /** The names' indexes in the order in which the last object had them; -1 for a name that the plan does not read. */
  #order: number[] = [];

  constructor(node: Extract<ResultNode, { type: 'object' }>, enums: Enums) {
    this.#node = node;
    const names: string[] = [];
    const sources: number[] = [];
    const prefixes: Buffer[] = [];
    const members: Member[] = [];
    for (const [name, field] of Object.entries(node.fields)) {
      if (field.type === 'affectedRows' || !isOrderedName(name)) throw new NeedsRuntime();
      const source = field.type === 'field' ? field.dbName : field.serializedName;
      // An object without a name would read the members of its parent.
      if (source === null) throw new NeedsRuntime();
      if (!names.includes(source)) names.push(source);
      sources.push(names.indexOf(source));
      prefixes.push(Buffer.from(`${prefixes.length === 0 ? '{' : ','}${JSON.stringify(name)}:`));
      members.push(field.type === 'field' ? memberWriter(field.fieldType, enums) : new JsonColumn(field, enums));
    }
    if (names.length > MEMBERS_MAX) throw new NeedsRuntime();
    this.#names = names.map((name) => Buffer.from(name));
    this.#positions = new Map(names.map((name, position) => [name, position]));
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
        throw new NeedsRuntime();
    }
  }

  /** As `write`, in slices, for a column of any length. Between two slices no other reply may use the column. */
  *writing(out: JsonWriter, bytes: Uint8Array, from: number, to: number): Slices<void> {
    if (to - from <= SLICE_BYTES) this.write(out, bytes, from, to);
    else yield* this.#large(out, bytes, from, to, yield* longValues(bytes, from, to));
  }

  *#large(out: JsonWriter, bytes: Uint8Array, from: number, to: number, ends: LongValues): Slices<void> {
    const start = skipSpace(bytes, from);
    const first = bytes[start];
    if (to - start <= LONG_BYTES || (first !== OPEN && first !== OPEN_LIST)) {
      this.write(out, bytes, start, to);
      return;
    }
    if (first === OPEN) {
      yield* this.#largeObject(out, bytes, start, to, ends);
      return;
    }
    out.byte(OPEN_LIST);
    let sliceEnd = start + SLICE_BYTES;
    let isFirst = true;
    let at = skipSpace(bytes, start + 1);
    while (bytes[at] !== CLOSE_LIST) {
      if (this.#opens(bytes, at)) {
        if (!isFirst) out.byte(COMMA);
        isFirst = false;
        if (ends.has(at)) at = yield* this.#largeObject(out, bytes, at, to, ends);
        else at = this.#object(out, bytes, at, to);
      } else {
        at += NULL.length;
      }
      at = next(bytes, at);
      if (at > sliceEnd) {
        yield;
        sliceEnd = at + SLICE_BYTES;
      }
    }
    out.byte(CLOSE_LIST);
  }

  *#largeObject(out: JsonWriter, bytes: Uint8Array, from: number, to: number, ends: LongValues): Slices<number> {
    const behind = this.#find(bytes, from, to, ends);
    const sources = this.#sources;
    if (sources.length === 0) out.byte(OPEN);
    for (let index = 0; index < sources.length; index++) {
      const start = this.#from[sources[index] as number] as number;
      const member = this.#members[index];
      if (start >= 0 && member instanceof JsonColumn && ends.has(start)) {
        out.raw(this.#prefixes[index] as Buffer);
        yield* member.#large(out, bytes, start, this.#to[sources[index] as number] as number, ends);
      } else {
        this.#member(out, bytes, index);
      }
    }
    out.byte(CLOSE);
    return behind;
  }

  #list(out: JsonWriter, bytes: Uint8Array, from: number, to: number): void {
    out.byte(OPEN_LIST);
    let at = skipSpace(bytes, from + 1);
    let first = true;
    while (bytes[at] !== CLOSE_LIST) {
      if (this.#opens(bytes, at)) {
        if (!first) out.byte(COMMA);
        first = false;
        at = this.#object(out, bytes, at, to);
      } else {
        at += NULL.length;
      }
      at = next(bytes, at);
    }
    out.byte(CLOSE_LIST);
  }

  /** Whether an element of a list is an object. If not, it is a null, which the reply leaves out. */
  #opens(bytes: Uint8Array, at: number): boolean {
    if (bytes[at] === OPEN) return true;
    if (bytes[at] === LOWER_N && this.#node.skipNulls) return false;
    throw new NeedsRuntime();
  }

  /** Writes the object at `from`; gives the offset after it. */
  #object(out: JsonWriter, bytes: Uint8Array, from: number, to: number): number {
    const behind = this.#find(bytes, from, to, undefined);
    if (this.#sources.length === 0) out.byte(OPEN);
    for (let index = 0; index < this.#sources.length; index++) this.#member(out, bytes, index);
    out.byte(CLOSE);
    return behind;
  }

  #member(out: JsonWriter, bytes: Uint8Array, index: number): void {
    const source = this.#sources[index] as number;
    const from = this.#from[source] as number;
    if (from === -1) throw new NeedsRuntime();
    out.raw(this.#prefixes[index] as Buffer);
    const end = this.#to[source] as number;
    const member = this.#members[index] as Member;
    if (member instanceof JsonColumn) member.write(out, bytes, from, Math.abs(end));
    else member(out, bytes, from, Math.abs(end), end < 0);
  }

  /** Finds the members of the object at `from`; gives the offset after the object. */
  #find(bytes: Uint8Array, from: number, to: number, ends: LongValues | undefined): number {
    const froms = this.#from;
    const tos = this.#to;
    froms.fill(-1);
    let at = skipSpace(bytes, from + 1);
    let position = 0;
    while (bytes[at] !== CLOSE) {
      if (bytes[at] !== QUOTE) throw new NeedsRuntime();
      // The objects of one list have their members in the same order, so the name is compared with the one expected.
      let member = this.#order[position] ?? -1;
      const name = this.#names[member];
      if (name !== undefined && bytes[at + name.length + 1] === QUOTE && startsWith(name, bytes, at + 1)) {
        at += name.length + 2;
      } else {
        const keyEnd = Math.abs(stringEnd(bytes, at, to));
        member = this.#memberAt(position, bytes, at + 1, keyEnd - 1);
        at = keyEnd;
      }
      position++;
      at = skipSpace(bytes, at);
      if (bytes[at] !== COLON) throw new NeedsRuntime();
      at = skipSpace(bytes, at + 1);
      const end = ends?.get(at) ?? valueEnd(bytes, at, to);
      if (member >= 0) {
        froms[member] = at;
        tos[member] = end;
      }
      at = skipSpace(bytes, Math.abs(end));
      if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
      else if (bytes[at] !== CLOSE) throw new NeedsRuntime();
    }
    return at + 1;
  }

  /** The index of the name that a key holds, -1 for a name that the plan does not read. */
  #memberAt(position: number, bytes: Uint8Array, from: number, to: number): number {
    const text = textOf(bytes, from - 1, to + 1);
    const name = text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
    const found = this.#positions.get(name) ?? -1;
    if (position < MEMBERS_MAX) this.#order[position] = found;
    return found;
  }
}

/** The offset of a list's next element, or of the list's closing bracket. */
function next(bytes: Uint8Array, behind: number): number {
  const at = skipSpace(bytes, behind);
  if (bytes[at] === COMMA) return skipSpace(bytes, at + 1);
  if (bytes[at] !== CLOSE_LIST) throw new NeedsRuntime();
  return at;
}

function startsWith(name: Buffer, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[from + i]) return false;
  return true;
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}

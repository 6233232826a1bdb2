import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { ReplyFrame } from '../program/index.ts';
import type { TextScan } from '../request/index.ts';
import { isObject, type JsonObject } from '../request/index.ts';
import { jsonQuery, type QueryHead, replyFrameOf } from './json-query.ts';
import { isOddNumber, isOddTagged } from './odd-values.ts';

/** A query that was read in full: parsed and parameterized. */
export interface ReadQuery {
  /** The query's text, which is the whole body of its request. */
  readonly text: string;
  /** The query with its values taken out by Prisma's runtime. */
  readonly parameterized: unknown;
  readonly scope: Readonly<Record<string, unknown>>;
  readonly plan: QueryPlanNode;
}

/** The kinds of values that the runtime tells apart. Where a value of one kind is a parameter, every value of it is. */
type Kind = 'text' | 'int' | 'bigint' | 'float';

/** A place in the text whose value is a parameter, or an element of a parameter that is a list. */
interface Slot {
  readonly index: number;
  readonly kind: Kind;
  readonly name: string;
  readonly inList: boolean;
  /** The tag of a tagged value, such as `DateTime`. */
  readonly tag: string | undefined;
}

/** The template of a query's text, and the plan that all texts of this template have. */
export class QueryTemplate {
  readonly plan: QueryPlanNode;
  readonly head: QueryHead;
  readonly frame: ReplyFrame;
  /** Characters of the text, from which the memory is estimated. */
  readonly length: number;
  readonly #schemaHash: string;
  /** The pieces of text between the slots, with the values that are no parameters. One more than there are slots. */
  readonly #texts: readonly string[];
  readonly #slots: readonly Slot[];
  /** How many values a text has, parameters or not. */
  readonly #values: number;
  /** Parameters whose value is part of the template: a flag, an enum's value. */
  readonly #fixed: readonly (readonly [name: string, value: unknown])[];
  /** Pairs of parameters of one type whose values must differ: two equal values would be one parameter. */
  readonly #different: readonly (readonly [string, string])[];

  constructor(
    schemaHash: string,
    { text, plan }: ReadQuery,
    head: QueryHead,
    parts: Found & { readonly values: number; readonly texts: readonly string[] },
  ) {
    this.plan = plan;
    this.head = head;
    this.frame = replyFrameOf(head);
    this.length = text.length;
    this.#schemaHash = schemaHash;
    this.#texts = parts.texts;
    this.#slots = parts.slots;
    this.#values = parts.values;
    this.#fixed = parts.fixed;
    this.#different = parts.different;
  }

  /** The parameters of a text that fits this template; undefined for a text that does not fit. */
  match(schemaHash: string, scan: TextScan): Record<string, unknown> | undefined {
    if (scan.count !== this.#values || schemaHash !== this.#schemaHash) return undefined;
    const { text, from, to } = scan;
    const slots = this.#slots;
    let at = 0;
    for (let i = 0; i < slots.length; i++) {
      const { index } = slots[i] as Slot;
      const before = this.#texts[i] as string;
      if ((from[index] as number) - at !== before.length || !text.startsWith(before, at)) return undefined;
      at = to[index] as number;
    }
    const last = this.#texts[slots.length] as string;
    if (text.length - at !== last.length || !text.endsWith(last)) return undefined;
    return this.#scope(scan);
  }

  #scope({ text, escaped, from, to }: TextScan): Record<string, unknown> | undefined {
    const scope: Record<string, unknown> = {};
    for (const [name, value] of this.#fixed) scope[name] = value;
    for (let i = 0; i < this.#slots.length; i++) {
      const { index, kind, name, inList, tag } = this.#slots[i] as Slot;
      const literal = text.slice(from[index] as number, to[index] as number);
      const value = kind === 'text' ? textOf(literal, escaped) : numberOf(literal, kind);
      if (value === undefined || (tag !== undefined && isOddTagged(tag, value))) return undefined;
      const given = scope[name];
      if (inList) {
        if (given === undefined) scope[name] = [value];
        else (given as unknown[]).push(value);
      } else if (given === undefined) scope[name] = value;
      else if (given !== value) return undefined;
    }
    for (const [one, other] of this.#different) if (scope[one] === scope[other]) return undefined;
    return scope;
  }
}

/**
 * A string's value from the text between its quotes; undefined if the text is not JSON or has half a surrogate pair.
 */
function textOf(literal: string, escaped: boolean): string | undefined {
  if (!escaped || !literal.includes('\\')) return literal;
  try {
    const text = JSON.parse(`"${literal}"`) as string;
    return text.isWellFormed() ? text : undefined;
  } catch {
    return undefined;
  }
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** A number of the kind; undefined for a number of another kind and for text that is no JSON number. */
function numberOf(literal: string, kind: Kind): number | undefined {
  if (!NUMBER.test(literal)) return undefined;
  const value = Number(literal);
  return kindOf(value) === kind && !isOddNumber(value) ? value : undefined;
}

function kindOf(value: string | number): Kind {
  if (typeof value === 'string') return 'text';
  if (!Number.isInteger(value)) return 'float';
  return value >= -(2 ** 31) && value < 2 ** 31 ? 'int' : 'bigint';
}

/** The values of a query by what becomes of them. */
interface Found {
  readonly slots: readonly Slot[];
  readonly fixed: readonly (readonly [string, unknown])[];
  readonly different: readonly (readonly [string, string])[];
}

/** Thrown for a value that no template can stand for. */
class NotLearned extends Error {}

/** Makes the template of a query; undefined for a query that no template can stand for. `scan` has read the text. */
export function learnTemplate(schemaHash: string, read: ReadQuery, scan: TextScan): QueryTemplate | undefined {
  const body: unknown = JSON.parse(read.text);
  // Only a text as the client writes it: each key once, in an order that parsing keeps, without spaces.
  if (!isObject(body) || JSON.stringify(body) !== read.text) return undefined;
  try {
    const finder = new ValueFinder(read.scope);
    const { query: parameterized } = read.parameterized as JsonObject;
    for (const key of Object.keys(body)) finder.walk(body[key], key === 'query' ? parameterized : body[key]);
    const found = finder.found();
    if (finder.values.length !== scan.count) return undefined;
    const texts: string[] = [];
    let at = 0;
    for (const { index } of found.slots) {
      texts.push(read.text.slice(at, scan.from[index]));
      at = scan.to[index] as number;
    }
    texts.push(read.text.slice(at));
    const { modelName, action } = jsonQuery(body);
    const head = modelName === undefined ? { action } : { modelName, action };
    const template = new QueryTemplate(schemaHash, read, head, { ...found, values: scan.count, texts });
    // The template must give, for this very text, the parameters that reading it in full gave.
    const scope = template.match(schemaHash, scan);
    return scope !== undefined && JSON.stringify(sorted(scope)) === JSON.stringify(sorted(read.scope))
      ? template
      : undefined;
  } catch (error) {
    if (error instanceof NotLearned) return undefined;
    throw error;
  }
}

function sorted(scope: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(scope).sort(([one], [other]) => (one < other ? -1 : 1));
}

/** Walks a query beside its parameterized form, in the order of the text, and notes what became of each value. */
class ValueFinder {
  readonly values: (string | number)[] = [];
  readonly #scope: Readonly<Record<string, unknown>>;
  readonly #slots: Slot[] = [];
  readonly #fixed = new Map<string, unknown>();
  /** The type of each parameter: the runtime makes one parameter of equal values of one type. */
  readonly #types = new Map<string, string>();

  constructor(scope: Readonly<Record<string, unknown>>) {
    this.#scope = scope;
  }

  walk(value: unknown, made: unknown): void {
    const parameter = parameterOf(made);
    if (parameter !== undefined && parameterOf(value) === undefined) this.#parameter(value, parameter);
    else if (typeof value === 'string' || typeof value === 'number') this.values.push(value);
    else if (Array.isArray(value)) {
      for (const [index, element] of value.entries()) this.walk(element, Array.isArray(made) ? made[index] : undefined);
    } else if (isObject(value)) {
      for (const key of Object.keys(value)) {
        if (key === '__proto__') throw new NotLearned();
        this.walk(value[key], isObject(made) && Object.hasOwn(made, key) ? made[key] : undefined);
      }
    }
  }

  found(): Found {
    const names = [...this.#types];
    if (names.length !== Object.keys(this.#scope).length) throw new NotLearned();
    const different: (readonly [string, string])[] = [];
    for (const [at, [name, type]] of names.entries()) {
      for (const [other, otherType] of names.slice(at + 1)) {
        if (type !== otherType) continue;
        // Lists would have to be compared by their elements.
        if (type.startsWith('List')) throw new NotLearned();
        different.push([name, other]);
      }
    }
    return { slots: this.#slots, fixed: [...this.#fixed], different };
  }

  #parameter(value: unknown, { name, type, inner }: Parameter): void {
    const known = this.#types.get(name);
    const isList = Array.isArray(value);
    if (isList && known !== undefined) throw new NotLearned();
    this.#types.set(name, isList ? `List ${inner}` : type);
    if (isList) {
      // A list of enum values stays in the query with the schema's names, while a single value may be taken out by the
      // database's name.
      if (type !== 'List' || inner === 'Enum' || value.length === 0) throw new NotLearned();
      for (const element of value) this.#scalar(element, name, true);
    } else if (typeof value === 'boolean' || type === 'Enum') {
      // The value is part of the template's text.
      if (typeof value === 'string') this.values.push(value);
      this.#fixed.set(name, this.#scope[name]);
    } else {
      this.#scalar(value, name, false);
    }
  }

  #scalar(value: unknown, name: string, inList: boolean): void {
    if (typeof value === 'string' || typeof value === 'number') {
      this.#slots.push({ index: this.values.length, kind: kindOf(value), name, inList, tag: undefined });
      this.values.push(value);
      return;
    }
    // `{"$type":"DateTime","value":"…"}`: the type is part of the template's text, the value becomes the parameter.
    const keys = isObject(value) ? Object.keys(value) : [];
    if (!isObject(value) || keys.length !== 2 || keys[0] !== '$type' || typeof value.value !== 'string') {
      throw new NotLearned();
    }
    this.values.push(String(value.$type));
    this.#slots.push({ index: this.values.length, kind: 'text', name, inList, tag: String(value.$type) });
    this.values.push(value.value);
  }
}

interface Parameter {
  readonly name: string;
  readonly type: string;
  /** The type of a list's elements. */
  readonly inner: string | undefined;
}

function parameterOf(made: unknown): Parameter | undefined {
  if (!isObject(made) || made.$type !== 'Param' || !isObject(made.value)) return undefined;
  const { name, type, inner } = made.value;
  if (typeof name !== 'string' || typeof type !== 'string') return undefined;
  return { name, type, inner: isObject(inner) ? String(inner.type) : undefined };
}

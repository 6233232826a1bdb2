import type { QueryPlanDbQuery } from '@prisma/client-engine-runtime';
import type { ArgType } from '@prisma/driver-adapter-utils';
import type { ParameterValue, StatementResult } from '../../pool/index.ts';
import { BIND_VALUES_MAX } from '../prisma-runtime/index.ts';
import { type Argument, argumentValue, buildArgument, encodeValue, type Scope } from './argument.ts';
import { NeedsRuntime } from './needs-runtime.ts';
import type { Run } from './run.ts';

type Template = Extract<QueryPlanDbQuery, { type: 'templateSql' }>;
type Fragment = Template['fragments'][number];
type Tuple = Extract<Fragment, { type: 'parameterTuple' }>;
type TupleList = Extract<Fragment, { type: 'parameterTupleList' }>;

/**
 * Most characters of SQL texts that a statement keeps, one text per length of its lists. A text of more than half of
 * that is rendered for each run.
 */
const TEXTS_KEPT_MAX = 32_768;
/** Lists shorter than this are padded to a length that is a power of two, so that a few texts serve all lengths. */
const PADDED_LENGTH_MAX = 4096;

/** A parameter of a statement. */
interface Parameter {
  readonly argument: Argument;
  /** The type of the value or, for a list of tuples, the types of a tuple's elements in turn. */
  readonly types: readonly ArgType[];
  /** The encoded value, if it is a constant of the plan. */
  readonly constant: ParameterValue | undefined;
  /** The fragment of a list, which is rendered as one placeholder per value. */
  readonly list: Tuple | TupleList | undefined;
  /** Whether the list may be padded by repeating a value: it is the list of an `IN`. */
  readonly isPadded: boolean;
}

/** One SQL statement of a program. Its text is rendered once, or once per length of its lists. */
export class Statement {
  readonly #query: Template;
  /** The texts around the parameters: one more than there are parameters. */
  readonly #texts: string[] = [''];
  readonly #parameters: Parameter[] = [];
  /** The whole text, if the statement has no list. */
  readonly #fixed: string | undefined;
  readonly #rendered = new Map<string, string>();
  #renderedLength = 0;
  /** Whether the statement only reads, so that it may run beside others. */
  readonly reads: boolean;

  /** Adds the names of the request's parameters to `parameterNames`. Throws `NeedsRuntime`. */
  constructor(query: QueryPlanDbQuery, scope: Scope, parameterNames: Set<string>) {
    if (query.type !== 'templateSql') throw new NeedsRuntime();
    this.#query = query;
    const { fragments, args, argTypes, placeholderFormat } = query;
    if (placeholderFormat.prefix !== '$' || !placeholderFormat.hasNumbering) throw new NeedsRuntime();
    for (const fragment of fragments) {
      const last = this.#texts.length - 1;
      if (fragment.type === 'stringChunk') {
        this.#texts[last] += fragment.chunk;
        continue;
      }
      const type = argTypes[last];
      if (type === undefined || last >= args.length) throw new NeedsRuntime();
      const list = fragment.type === 'parameter' ? undefined : fragment;
      const types = type.arity === 'tuple' ? type.elements : [type];
      if ((type.arity === 'tuple') !== (list?.type === 'parameterTupleList')) throw new NeedsRuntime();
      const argument = buildArgument(args[last], scope, parameterNames);
      this.#parameters.push({
        argument,
        types,
        constant:
          argument.kind === 'constant' && list === undefined
            ? encodeValue(argument.value, types[0] as ArgType)
            : undefined,
        list,
        isPadded: list?.type === 'parameterTuple' && (this.#texts[last] as string).endsWith(' IN '),
      });
      this.#texts.push('');
    }
    if (this.#parameters.length !== args.length || args.length > BIND_VALUES_MAX) throw new NeedsRuntime();
    this.#fixed = this.#parameters.some(({ list }) => list !== undefined) ? undefined : this.#render([]);
    this.reads = /^\s*SELECT\b/i.test(this.#texts[0] as string);
  }

  /** Characters of the texts that are kept for the lengths of the lists. */
  get textsKept(): number {
    return this.#renderedLength;
  }

  /** Sends the statement. Throws `NeedsRuntime` before that, if there are more values than a statement may have. */
  execute(run: Run): Promise<StatementResult> {
    const values: ParameterValue[] = [];
    const sizes: number[] = [];
    for (const parameter of this.#parameters) {
      const { argument, types, constant, list } = parameter;
      if (constant !== undefined) values.push(constant);
      else if (list === undefined) values.push(encodeValue(argumentValue(argument, run), types[0] as ArgType));
      else sizes.push(bindList(values, argumentValue(argument, run), parameter));
      // The runtime splits such a statement into several, or refuses it in its own words.
      if (values.length > BIND_VALUES_MAX) throw new NeedsRuntime();
    }
    return run.statements.execute((this.#fixed ?? this.#textFor(sizes)) + run.comment, values, this.reads);
  }

  /** The statement with its values, for Prisma's runtime. */
  evaluated(run: Run): QueryPlanDbQuery {
    const args = this.#parameters.map(({ argument }) => argumentValue(argument, run)) as Template['args'];
    return { ...this.#query, args };
  }

  #textFor(sizes: readonly number[]): string {
    const key = sizes.join();
    let text = this.#rendered.get(key);
    if (text === undefined) {
      text = this.#render(sizes);
      if (text.length > TEXTS_KEPT_MAX / 2) return text;
      this.#renderedLength += text.length;
      if (this.#renderedLength > TEXTS_KEPT_MAX) {
        this.#rendered.clear();
        this.#renderedLength = text.length;
      }
      this.#rendered.set(key, text);
    }
    return text;
  }

  #render(sizes: readonly number[]): string {
    let sql = this.#texts[0] as string;
    let number = 1;
    let lists = 0;
    for (const [index, { list, types }] of this.#parameters.entries()) {
      if (list === undefined) {
        sql += `$${number++}`;
      } else {
        const items: string[] = [];
        const size = sizes[lists++] ?? 0;
        if (list.type === 'parameterTuple') {
          for (let i = 0; i < size; i++) items.push(`${list.itemPrefix}$${number++}${list.itemSuffix}`);
          sql += size === 0 ? '(NULL)' : `(${items.join(list.itemSeparator)})`;
        } else {
          for (let i = 0; i < size; i++) {
            const elements = types.map(() => `$${number++}`).join(list.itemSeparator);
            items.push(`${list.itemPrefix}${elements}${list.itemSuffix}`);
          }
          sql += items.join(list.groupSeparator);
        }
      }
      sql += this.#texts[index + 1] as string;
    }
    return sql;
  }
}

/** Adds the values of a list to `values`; gives the number of its items. */
function bindList(values: ParameterValue[], value: unknown, { types, list, isPadded }: Parameter): number {
  if (list?.type === 'parameterTupleList') {
    if (!Array.isArray(value) || value.length === 0) throw new NeedsRuntime();
    for (const tuple of value) {
      if (!Array.isArray(tuple) || tuple.length !== types.length) throw new NeedsRuntime();
      for (const [index, element] of tuple.entries()) values.push(encodeValue(element, types[index] as ArgType));
      if (values.length > BIND_VALUES_MAX) throw new NeedsRuntime();
    }
    return value.length;
  }
  const elements = Array.isArray(value) ? value : [value];
  for (const element of elements) values.push(encodeValue(element, types[0] as ArgType));
  let size = elements.length;
  if (isPadded && size > 2 && size < PADDED_LENGTH_MAX) {
    const full = 2 ** Math.ceil(Math.log2(size));
    for (const last = values[values.length - 1] as ParameterValue; size < full; size++) values.push(last);
  }
  return size;
}

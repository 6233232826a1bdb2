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

/** Characters of texts kept a statement, one text a length of its lists; a longer text is rendered each time. */
const TEXTS_KEPT_MAX = 32_768;
/** Lists up to this length are filled up to a power of two, so that a few texts serve them all. */
const FILLED_MAX = 4096;

/** A parameter of a statement, and where it stands in the text. */
interface Parameter {
  readonly argument: Argument;
  /** Of the value, or of the elements of a tuple in turn. */
  readonly types: readonly ArgType[];
  /** Encoded once, if the value is the plan's own. */
  readonly constant: ParameterValue | undefined;
  /** Stands for as many values as its list has. */
  readonly list: Tuple | TupleList | undefined;
  /** The tuple is the list of an `IN`, where a value may stand twice. */
  readonly fills: boolean;
}

/** One SQL statement of a plan, rendered once. */
export class Statement {
  readonly #query: Template;
  /** Text between the parameters: one more than there are. */
  readonly #texts: string[] = [''];
  readonly #parameters: Parameter[] = [];
  /** The whole text, where no list makes it vary. */
  readonly #fixed: string | undefined;
  readonly #rendered = new Map<string, string>();
  #renderedLength = 0;
  /** Whether it does nothing but read, so that it may run beside others. */
  readonly reads: boolean;

  constructor(query: QueryPlanDbQuery, scope: Scope, names: Set<string>) {
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
      const argument = buildArgument(args[last], scope, names);
      this.#parameters.push({
        argument,
        types,
        constant:
          argument.kind === 'constant' && list === undefined
            ? encodeValue(argument.value, types[0] as ArgType)
            : undefined,
        list,
        fills: list?.type === 'parameterTuple' && (this.#texts[last] as string).endsWith(' IN '),
      });
      this.#texts.push('');
    }
    if (this.#parameters.length !== args.length || args.length > BIND_VALUES_MAX) throw new NeedsRuntime();
    this.#fixed = this.#parameters.some(({ list }) => list !== undefined) ? undefined : this.#render([]);
    this.reads = /^\s*SELECT\b/i.test(this.#texts[0] as string);
  }

  /** Characters of the texts kept for the lengths of its lists. */
  get textsKept(): number {
    return this.#renderedLength;
  }

  /** Runs it. Throws `NeedsRuntime` for more values than one statement may have, before anything is sent. */
  execute(run: Run): Promise<StatementResult> {
    const values: ParameterValue[] = [];
    const sizes: number[] = [];
    for (const parameter of this.#parameters) {
      const { argument, types, constant, list } = parameter;
      if (constant !== undefined) values.push(constant);
      else if (list === undefined) values.push(encodeValue(argumentValue(argument, run), types[0] as ArgType));
      else sizes.push(bindList(values, argumentValue(argument, run), parameter));
      // The runtime splits such a statement, or refuses it in its own words.
      if (values.length > BIND_VALUES_MAX) throw new NeedsRuntime();
    }
    return run.statements.execute((this.#fixed ?? this.#textFor(sizes)) + run.comment, values, this.reads);
  }

  /** The same for Prisma's runtime, its values in it. */
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

/** Adds the values of a list; gives how many items it has. */
function bindList(values: ParameterValue[], value: unknown, { types, list, fills }: Parameter): number {
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
  if (fills && size > 2 && size < FILLED_MAX) {
    const full = 2 ** Math.ceil(Math.log2(size));
    for (const last = values[values.length - 1] as ParameterValue; size < full; size++) values.push(last);
  }
  return size;
}

import type { QueryPlanDbQuery } from '@prisma/client-engine-runtime';
import type { ArgType } from '@prisma/driver-adapter-utils';
import type { ParameterValue, StatementResult } from '../../pool/index.ts';
import { BIND_VALUES_MAX } from '../plan-execution.ts';
import { type Argument, argumentValue, compileArgument, encodeValue, type Scope } from './argument.ts';
import { NotCovered } from './not-covered.ts';
import type { Run } from './run.ts';

type Template = Extract<QueryPlanDbQuery, { type: 'templateSql' }>;
type Tuple = Extract<Template['fragments'][number], { type: 'parameterTuple' }>;

/** Texts kept a statement: one a length of its lists. */
const TEXTS_MAX = 64;
/** A longer text is rendered each time: Postgres' work on it is more. */
const TEXT_KEPT_MAX = 16_384;
/** Lists up to this length are filled up to a power of two, so that a few texts serve them all. */
const FILLED_MAX = 4096;

/** A parameter of a statement, and where it stands in the text. */
interface Parameter {
  readonly argument: Argument;
  readonly type: ArgType;
  /** Encoded once, if the value is the plan's own. */
  readonly constant: ParameterValue | undefined;
  readonly tuple: Tuple | undefined;
  /** The tuple is the list of an `IN`, where a value may stand twice. */
  readonly fills: boolean;
}

/** One SQL statement of a plan, rendered once. */
export class Statement {
  /** Text between the parameters: one more than there are. */
  readonly #texts: string[] = [''];
  readonly #parameters: Parameter[] = [];
  /** The whole text, where no list makes it vary. */
  readonly #fixed: string | undefined;
  readonly #rendered = new Map<string, string>();

  constructor(query: QueryPlanDbQuery, scope: Scope, names: Set<string>) {
    if (query.type !== 'templateSql') throw new NotCovered();
    const { fragments, args, argTypes, placeholderFormat } = query;
    if (placeholderFormat.prefix !== '$' || !placeholderFormat.hasNumbering) throw new NotCovered();
    for (const fragment of fragments) {
      const last = this.#texts.length - 1;
      if (fragment.type === 'stringChunk') {
        this.#texts[last] += fragment.chunk;
        continue;
      }
      if (fragment.type === 'parameterTupleList') throw new NotCovered();
      const type = argTypes[last];
      if (type === undefined || type.arity === 'tuple' || last >= args.length) throw new NotCovered();
      const argument = compileArgument(args[last], scope, names);
      const tuple = fragment.type === 'parameterTuple' ? fragment : undefined;
      this.#parameters.push({
        argument,
        type,
        constant: argument.kind === 'constant' && tuple === undefined ? encodeValue(argument.value, type) : undefined,
        tuple,
        fills: tuple !== undefined && (this.#texts[last] as string).endsWith(' IN '),
      });
      this.#texts.push('');
    }
    if (this.#parameters.length !== args.length || args.length > BIND_VALUES_MAX) throw new NotCovered();
    this.#fixed = this.#parameters.some(({ tuple }) => tuple !== undefined) ? undefined : this.#render([]);
  }

  /** Whether it does nothing but read, so that it may run twice. */
  get reads(): boolean {
    return /^\s*SELECT\b/i.test(this.#texts[0] as string);
  }

  async execute(run: Run): Promise<StatementResult> {
    const values: ParameterValue[] = [];
    const sizes: number[] = [];
    for (const { argument, type, constant, tuple, fills } of this.#parameters) {
      if (constant !== undefined) {
        values.push(constant);
      } else if (tuple === undefined) {
        values.push(encodeValue(argumentValue(argument, run), type));
      } else {
        const value = argumentValue(argument, run);
        const elements = Array.isArray(value) ? value : [value];
        for (const element of elements) values.push(encodeValue(element, type));
        let size = elements.length;
        if (fills && size > 2 && size < FILLED_MAX) {
          const full = 2 ** Math.ceil(Math.log2(size));
          for (const last = values[values.length - 1] as ParameterValue; size < full; size++) values.push(last);
        }
        sizes.push(size);
      }
    }
    // The runtime splits such a statement, or refuses it in its own words.
    if (values.length > BIND_VALUES_MAX) throw new NotCovered();
    const result = await run.statements.execute(this.#fixed ?? this.#textFor(sizes), values);
    run.lastResult = result;
    return result;
  }

  #textFor(sizes: readonly number[]): string {
    const key = sizes.join();
    let text = this.#rendered.get(key);
    if (text === undefined) {
      text = this.#render(sizes);
      if (text.length > TEXT_KEPT_MAX) return text;
      if (this.#rendered.size >= TEXTS_MAX) this.#rendered.clear();
      this.#rendered.set(key, text);
    }
    return text;
  }

  #render(sizes: readonly number[]): string {
    let sql = this.#texts[0] as string;
    let number = 1;
    let tuples = 0;
    for (const [index, { tuple }] of this.#parameters.entries()) {
      if (tuple === undefined) {
        sql += `$${number++}`;
      } else {
        const size = sizes[tuples++] ?? 0;
        const items: string[] = [];
        for (let i = 0; i < size; i++) items.push(`${tuple.itemPrefix}$${number++}${tuple.itemSuffix}`);
        sql += size === 0 ? '(NULL)' : `(${items.join(tuple.itemSeparator)})`;
      }
      sql += this.#texts[index + 1] as string;
    }
    return sql;
  }
}

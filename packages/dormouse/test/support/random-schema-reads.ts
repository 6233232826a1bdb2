import { type Field, idOf, type Model, type RandomSchema, ROWS, scalarOf, type Unique } from './random-schema.ts';
import type { Seeded } from './seeded.ts';

// Random reads of a random data model (random-schema.ts), in the JSON protocol of Prisma 6.

export type Arguments = Record<string, unknown>;

/** One query of the JSON protocol. */
export interface ModelQuery {
  readonly modelName: string;
  readonly action: string;
  readonly query: { readonly arguments: Arguments; readonly selection: Arguments };
}

const ALL: Arguments = { $scalars: true, $composites: true };
const NUMBERS: ReadonlySet<string> = new Set(['Int', 'BigInt', 'Float', 'Decimal']);
/** Types without an order, or without equality, in Postgres. */
const UNORDERED: ReadonlySet<string> = new Set(['xml', 'json', 'jsonb', 'jsons']);
const TEXTUAL: ReadonlySet<string | undefined> = new Set(['text', 'varchar', 'char']);

export class ModelReads {
  readonly random: Seeded;
  readonly #schema: RandomSchema;

  constructor(schema: RandomSchema, random: Seeded) {
    this.#schema = schema;
    this.random = random;
  }

  next(): ModelQuery {
    const { random } = this;
    const model = random.pick(this.#schema.models);
    const query = (action: string, args: Arguments, selection: Arguments): ModelQuery => ({
      modelName: model.name,
      action,
      query: { arguments: args, selection },
    });
    const strategy = { relationLoadStrategy: random.pick(['join', 'query']) };
    switch (random.pick(['many', 'many', 'many', 'many', 'unique', 'unique', 'first', 'count', 'aggregate', 'group'])) {
      case 'many':
        return query('findMany', { ...this.page(model, 1), ...strategy }, this.selection(model, 3));
      case 'unique': {
        const action = random.pick(['findUnique', 'findUniqueOrThrow']);
        const more = this.chance(0.2) ? this.where(model, 0) : {};
        return query(action, { where: { ...more, ...this.key(model) }, ...strategy }, this.selection(model, 3));
      }
      case 'first': {
        const action = random.pick(['findFirst', 'findFirstOrThrow']);
        const { take: _all, ...page } = this.page(model, 2);
        const take = this.chance(0.3) ? { take: random.pick([1, -1]) } : {};
        return query(action, { ...page, ...take, ...strategy }, this.selection(model, 1));
      }
      case 'count':
        return query('aggregate', this.#cut(model), { _count: { arguments: {}, selection: this.#counted(model) } });
      case 'aggregate':
        return query('aggregate', this.#cut(model), this.#aggregates(model));
      default:
        return this.#groups(model, query);
    }
  }

  chance(share: number): boolean {
    return this.random.next() < share;
  }

  /** Some of them, at least one if there is one. */
  some<T>(from: readonly T[], most = 3): T[] {
    if (from.length === 0) return [];
    const count = 1 + this.random.below(Math.min(most, from.length));
    return [...new Set(Array.from({ length: count }, () => this.random.pick(from)))];
  }

  /** A record of the model by one of its keys, found or not. */
  key(
    model: Model,
    number: number = this.random.below(ROWS + 2),
    unique: Unique = this.random.pick(model.uniques),
  ): Arguments {
    return keyOf(unique, number);
  }

  page(model: Model, depth: number): Arguments {
    const args: Arguments = { orderBy: this.#orderBy(model) };
    if (this.chance(0.6)) args.where = this.where(model, depth);
    if (this.chance(0.3)) args.take = this.random.below(8) - 3;
    if (this.chance(0.2)) args.skip = this.random.below(3);
    if (this.chance(0.15)) args.cursor = this.key(model);
    if (this.chance(0.15)) args.distinct = this.some(steady(model)).map(({ name }) => name);
    return args;
  }

  /** A random selection of a model: scalars, and relations up to `depth` levels below. */
  selection(model: Model, depth: number): Arguments {
    const chosen: Arguments = {};
    if (this.chance(0.5)) Object.assign(chosen, ALL);
    else if (this.chance(0.4)) {
      Object.assign(chosen, ALL);
      for (const { name } of this.some(model.fields.slice(1))) chosen[name] = false;
    } else for (const { name } of this.some(model.fields, 5)) chosen[name] = true;
    if (depth === 0) return chosen;
    for (const { name, to, many } of model.relations) {
      if (!this.chance(0.4)) continue;
      chosen[name] = { arguments: many ? this.page(to, 0) : {}, selection: this.selection(to, depth - 1) };
    }
    const lists = model.relations.filter(({ many }) => many);
    if (lists.length > 0 && this.chance(0.2)) {
      const counted = this.some(lists).map(({ name, to }) => [
        name,
        this.chance(0.5) ? true : { arguments: { where: this.where(to, 0) }, selection: ALL },
      ]);
      chosen._count = { arguments: {}, selection: Object.fromEntries(counted) };
    }
    return chosen;
  }

  where(model: Model, depth: number): Arguments {
    const parts: Arguments[] = [this.#condition(model)];
    if (this.chance(0.2)) parts.push(this.#condition(model));
    if (this.chance(0.25)) {
      const several = [this.#condition(model), this.#condition(model)];
      parts.push(
        this.random.pick<Arguments>([{ OR: several }, { AND: several }, { NOT: several[0] }, { NOT: several }]),
      );
    }
    if (depth > 0 && model.relations.length > 0 && this.chance(0.4)) {
      const { name, to, many, optional } = this.random.pick(model.relations);
      const inner = this.where(to, depth - 1);
      if (many) parts.push({ [name]: { [this.random.pick(['some', 'every', 'none'])]: inner } });
      else if (optional && this.chance(0.3)) parts.push({ [name]: this.random.pick([{ is: null }, { isNot: null }]) });
      else parts.push({ [name]: { [this.random.pick(['is', 'isNot'])]: inner } });
    }
    return Object.assign({}, ...parts);
  }

  #condition(model: Model): Arguments {
    const field = this.random.pick(steady(model).filter(({ like, asked }) => like !== 'xml' && asked.length > 0));
    return { [field.name]: this.#filter(model, field) };
  }

  #filter(model: Model, field: Field): unknown {
    const { random } = this;
    const { asked, arity, like } = field;
    const value = random.pick(asked);
    const several = this.some(asked);
    if (arity === '[]') {
      const values = asked[0] as readonly unknown[];
      return random.pick([
        { has: values[0] },
        { hasSome: values },
        { hasEvery: values.slice(0, 1) },
        { isEmpty: true },
        { equals: value },
      ]);
    }
    if (scalarOf(field) === 'Json') {
      return random.pick([
        { equals: value },
        { not: value },
        { path: ['a'], equals: { $type: 'Json', value: '1' } },
        { path: ['b'], array_contains: { $type: 'Json', value: '[null]' } },
        { path: ['quote'], string_contains: '"' },
        { not: { $type: 'Enum', value: 'JsonNull' } },
      ]);
    }
    const filters: unknown[] = [value, { equals: value }, { not: value }];
    if (arity === '?') filters.push(null, { not: null });
    if (scalarOf(field) !== 'Boolean') filters.push({ in: several }, { notIn: several }, { in: [] });
    if (!['Boolean', 'Mood', 'Bytes'].includes(scalarOf(field)) && like !== 'uuid') {
      filters.push({ gt: value }, { lte: value }, { gte: value, not: random.pick(asked) }, { not: { lt: value } });
      const others = steady(model).filter((other) => other.type === field.type && other.arity !== '[]');
      filters.push({ gte: { $type: 'FieldRef', value: { _ref: random.pick(others).name, _container: model.name } } });
    }
    if (TEXTUAL.has(like)) {
      const part = random.pick(['a', 'p', '%', '_', '\\', '"', 'É', '']);
      filters.push(
        { contains: part },
        { startsWith: part },
        { endsWith: part, mode: 'insensitive' },
        { not: { contains: part } },
      );
    }
    return random.pick(filters);
  }

  #orderBy(model: Model): Arguments[] {
    const { random } = this;
    const way = (): unknown => random.pick(['asc', 'desc']);
    const orders: Arguments[] = [];
    if (this.chance(0.5)) {
      const { name, arity } = random.pick(steady(model).filter(({ like }) => !UNORDERED.has(like ?? '')));
      const nulls = arity === '?' && this.chance(0.5);
      orders.push({ [name]: nulls ? { sort: way(), nulls: random.pick(['first', 'last']) } : way() });
    }
    if (model.relations.length > 0 && this.chance(0.2)) {
      const { name, to, many } = random.pick(model.relations);
      const { name: by } = idOf(to).fields[0] as Field;
      orders.push({ [name]: many ? { _count: way() } : { [by]: way() } });
    }
    // The key is always the last criterion: without it two right engines may answer in different orders.
    return [...orders, ...idOf(model).fields.map(({ name }) => ({ [name]: way() }))];
  }

  #cut(model: Model): Arguments {
    const args: Arguments = this.chance(0.6) ? { where: this.where(model, 1) } : {};
    if (this.chance(0.3)) Object.assign(args, { orderBy: this.#orderBy(model), take: 1 + this.random.below(5) });
    return args;
  }

  #counted(model: Model): Arguments {
    const names = this.some(model.fields).map(({ name }) => [name, true]);
    return this.chance(0.5) ? { _all: true } : { _all: true, ...Object.fromEntries(names) };
  }

  #aggregates(model: Model): Arguments {
    const numbers = model.fields.filter((field) => isNumber(field));
    const compared = model.fields.filter(
      (field) =>
        field.arity !== '[]' &&
        ['Int', 'BigInt', 'Float', 'Decimal', 'String', 'DateTime'].includes(scalarOf(field)) &&
        !['xml', 'bit', 'varbit', 'uuid'].includes(field.like ?? '') &&
        !field.type.includes('@db.Uuid'),
    );
    const of = (fields: readonly Field[]): { arguments: Arguments; selection: Arguments } => ({
      arguments: {},
      selection: Object.fromEntries(this.some(fields).map(({ name }) => [name, true])),
    });
    const chosen: Arguments = { _count: { arguments: {}, selection: this.#counted(model) } };
    if (numbers.length > 0) Object.assign(chosen, { _sum: of(numbers), _avg: of(numbers) });
    if (compared.length > 0) Object.assign(chosen, { _min: of(compared), _max: of(compared) });
    return chosen;
  }

  #groups(model: Model, query: (action: string, args: Arguments, selection: Arguments) => ModelQuery): ModelQuery {
    const groupable = model.fields.filter(({ like }) => !UNORDERED.has(like ?? ''));
    const by = this.some(groupable, 2).map(({ name }) => name);
    const args: Arguments = { by, orderBy: by.map((name) => ({ [name]: this.random.pick(['asc', 'desc']) })) };
    if (this.chance(0.5)) args.where = this.where(model, 1);
    if (this.chance(0.3)) args.take = 1 + this.random.below(4);
    const number = model.fields.find((field) => isNumber(field));
    if (number !== undefined && this.chance(0.3)) {
      args.having = { [number.name]: { [this.random.pick(['_count', '_count', '_sum'])]: { gte: 1 } } };
      if (scalarOf(number) === 'Decimal') args.having = { [number.name]: { _count: { gt: 1 } } };
    }
    return query('groupBy', args, {
      ...Object.fromEntries(by.map((name) => [name, true])),
      ...this.#aggregates(model),
    });
  }
}

/** Fields whose values are the same when the same records are created again. */
const steady = (model: Model): Field[] => model.fields.filter(({ made }) => !made);

const isNumber = (field: Field): boolean =>
  field.arity !== '[]' && NUMBERS.has(scalarOf(field)) && !['oid', 'money'].includes(field.like ?? '');

/** How a query names the record whose key is made from a number. */
export function keyOf({ name, fields }: Unique, number: number): Arguments {
  const values = Object.fromEntries(fields.map((field) => [field.name, field.keyed(number)]));
  return fields.length === 1 ? values : { [name]: values };
}

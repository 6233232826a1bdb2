import type { Field, Model, RandomSchema, Relation } from './random-schema.ts';
import { ROWS, scalarOf } from './random-schema.ts';
import { type Arguments, type ModelQuery, ModelReads } from './random-schema-reads.ts';
import type { Seeded } from './seeded.ts';

// Random writes to a random data model (random-schema.ts), nested ones among them, in the JSON protocol of Prisma 6.

export class ModelWrites {
  readonly #schema: RandomSchema;
  readonly #reads: ModelReads;
  readonly #random: Seeded;

  constructor(schema: RandomSchema, random: Seeded) {
    this.#schema = schema;
    this.#random = random;
    this.#reads = new ModelReads(schema, random);
  }

  next(): ModelQuery {
    const random = this.#random;
    const reads = this.#reads;
    const model = random.pick(this.#schema.models);
    const query = (action: string, args: Arguments, selection: Arguments): ModelQuery => ({
      modelName: model.name,
      action,
      query: { arguments: args, selection },
    });
    const existing = (): Arguments => reads.key(model, random.below(ROWS));
    const count = { count: true };
    const rows = (): Arguments[] =>
      Array.from({ length: 1 + random.below(3) }, (_, place) => this.#row(model, ROWS + 1 + place - random.below(2)));
    switch (random.below(13)) {
      case 0:
      case 1:
        return query('createOne', { data: this.#creation(model, 2) }, reads.selection(model, 1));
      case 2:
      case 3:
      case 4:
      case 5:
        return query('updateOne', { where: existing(), data: this.#change(model, 2) }, reads.selection(model, 1));
      case 6: {
        const args = { where: reads.key(model), create: this.#creation(model, 1), update: this.#change(model, 1) };
        return query('upsertOne', args, reads.selection(model, 1));
      }
      case 7:
        return query('deleteOne', { where: existing() }, reads.selection(model, 1));
      case 8:
        return query('createMany', { data: rows(), skipDuplicates: reads.chance(0.5) }, count);
      case 9:
        return query('createManyAndReturn', { data: rows(), skipDuplicates: reads.chance(0.5) }, this.#scalars());
      case 10:
        return query('updateMany', { where: reads.where(model, 1), data: this.#scalarChange(model) }, count);
      case 11: {
        const args = { where: reads.where(model, 1), data: this.#scalarChange(model) };
        return query('updateManyAndReturn', args, this.#scalars());
      }
      default:
        return query('deleteMany', { where: reads.where(model, 1) }, count);
    }
  }

  #scalars(): Arguments {
    return { $scalars: true, $composites: true };
  }

  /** A record's own values, without its references. */
  #values(model: Model, number: number): Arguments {
    const values: Arguments = {};
    for (const field of model.fields) {
      if (field.refers) continue;
      const isKey = field.like === undefined;
      if (field.optional && !this.#reads.chance(isKey ? 0.7 : 0.4)) continue;
      values[field.name] = isKey ? field.keyed(number) : this.#value(field);
    }
    return values;
  }

  #value(field: Field): unknown {
    if (field.arity === '?' && this.#reads.chance(0.2)) {
      return scalarOf(field) === 'Json' ? { $type: 'Enum', value: this.#random.pick(['DbNull', 'JsonNull']) } : null;
    }
    return this.#random.pick(field.asked);
  }

  /** A record as createMany takes it: with the fields of its references. */
  #row(model: Model, number: number): Arguments {
    const values = this.#values(model, number);
    for (const { fields, optional } of model.relations) {
      if (fields.length === 0 || (optional && this.#reads.chance(0.5))) continue;
      const other = this.#random.below(ROWS);
      for (const field of fields) values[field.name] = field.keyed(other);
    }
    return values;
  }

  /** A record to create; `from` is the relation by which it is created, which it has by that. */
  #creation(model: Model, depth: number, from?: Relation): Arguments {
    const number = ROWS + this.#random.below(4) - (this.#reads.chance(0.1) ? 3 : 0);
    const data = this.#values(model, number);
    for (const relation of model.relations) {
      if (isBack(relation, from)) continue;
      const mandatory = relation.fields.length > 0 && !relation.optional;
      if (!mandatory && !this.#reads.chance(0.25)) continue;
      const nested = this.#nestedCreation(relation, depth);
      data[relation.name] = nested;
    }
    return uncounted(model, data);
  }

  #nestedCreation(relation: Relation, depth: number): Arguments {
    const { to, many } = relation;
    const connect = this.#reads.key(to, this.#random.below(ROWS));
    if (depth === 0) return { connect };
    const create = (): Arguments => this.#creation(to, depth - 1, relation);
    switch (this.#random.below(4)) {
      case 0:
        return { create: many && this.#reads.chance(0.4) ? [create(), create()] : create() };
      case 1:
        return { connectOrCreate: { where: this.#reads.key(to), create: create() } };
      default:
        return { connect: many && this.#reads.chance(0.4) ? [connect, this.#reads.key(to, 0)] : connect };
    }
  }

  /** Changes of a record's own values. */
  #scalarChange(model: Model): Arguments {
    const data: Arguments = {};
    for (const field of this.#reads.some(model.fields.filter(({ refers, asked }) => !refers && asked.length > 0))) {
      const scalar = scalarOf(field);
      const number =
        ['Int', 'BigInt', 'Float', 'Decimal'].includes(scalar) && field.arity !== '[]' && field.like !== 'oid';
      if (field.like === undefined && !this.#reads.chance(0.3)) continue;
      if (number && this.#reads.chance(0.4)) {
        data[field.name] = {
          [this.#random.pick(['increment', 'decrement', 'multiply', 'set'])]: this.#random.pick([0, 1, 3]),
        };
      } else if (field.arity === '[]') {
        const value = field.asked[0];
        data[field.name] = this.#random.pick([{ set: value }, { push: value }, value]);
      } else data[field.name] = this.#reads.chance(0.3) ? { set: this.#value(field) } : this.#value(field);
      if (scalar === 'Json') data[field.name] = this.#value(field);
    }
    return data;
  }

  /** `from` is the relation by which it is changed, which it cannot change itself. */
  #change(model: Model, depth: number, from?: Relation): Arguments {
    const data = this.#scalarChange(model);
    if (model.relations.length === 0 || depth === 0) return data;
    for (const relation of this.#reads.some(model.relations, 2)) {
      if (!isBack(relation, from) && this.#reads.chance(0.7)) data[relation.name] = this.#nestedChange(relation, depth);
    }
    return uncounted(model, data);
  }

  #nestedChange(relation: Relation, depth: number): Arguments {
    const { to, many, optional, loose } = relation;
    const random = this.#random;
    const reads = this.#reads;
    const key = (): Arguments => reads.key(to, random.below(ROWS));
    const change = (): Arguments => this.#change(to, depth - 1, relation);
    const create = (): Arguments => this.#creation(to, depth - 1, relation);
    const either: (() => Arguments)[] = [
      () => ({ create: create() }),
      () => ({ connect: key() }),
      () => ({ connectOrCreate: { where: reads.key(to), create: create() } }),
    ];
    if (!many) {
      return random.pick([
        ...either,
        () => ({ update: reads.chance(0.5) ? change() : { where: reads.where(to, 0), data: change() } }),
        () => ({ upsert: { create: create(), update: change() } }),
        ...(loose ? [() => ({ disconnect: true })] : []),
        ...(optional ? [() => ({ delete: true })] : []),
      ])();
    }
    return random.pick([
      ...either,
      () => ({ create: [create(), create()] }),
      ...(loose
        ? [() => ({ disconnect: [key(), key()] }), () => ({ set: reads.chance(0.3) ? [] : [key(), key()] })]
        : []),
      () => ({ update: { where: key(), data: change() } }),
      () => ({ updateMany: { where: reads.where(to, 0), data: this.#scalarChange(to) } }),
      () => ({ upsert: { where: key(), create: create(), update: change() } }),
      () => ({ delete: key() }),
      () => ({ deleteMany: reads.where(to, 0) }),
      () => ({ connect: [key(), key()] }),
    ])();
  }
}

/** Whether a relation is the other side of the one that led here. */
const isBack = (relation: Relation, from: Relation | undefined): boolean =>
  from !== undefined && relation.name === from.back && relation.to.relations.includes(from);

/** Prisma takes no value for a counted id beside the records that a record refers to. */
function uncounted({ fields, relations }: Model, data: Arguments): Arguments {
  if (!relations.some((relation) => relation.fields.length > 0 && data[relation.name] !== undefined)) return data;
  const counted = fields.filter(({ attributes }) => attributes.includes('autoincrement'));
  return Object.fromEntries(Object.entries(data).filter(([name]) => !counted.some((field) => field.name === name)));
}

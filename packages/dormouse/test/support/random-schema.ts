import { COLUMNS, type Column } from './every-type.ts';
import type { Seeded } from './seeded.ts';

// Random data models: fields of every type, keys of one column or two, relations of every kind, and SQL of rows that
// satisfy them. The same seed gives the same model. A relation points to the same model or to an earlier one, so that
// rows can be inserted in order.

/**
 * The rows that each table has; a key is made from its row's number, so that what refers to it is made from the number
 * alone.
 */
export const ROWS = 10;

/** A type that a key can have. */
interface KeyKind {
  readonly prisma: string;
  /** Gives each number a value of its own, in the protocol's form. */
  asked(number: number): unknown;
}

const day = (number: number): string => new Date(Date.UTC(2024, 0, 1 + number)).toISOString();
const tagged = ($type: string, value: string): unknown => ({ $type, value });
const KEY_KINDS: readonly KeyKind[] = [
  { prisma: 'Int', asked: (n) => n },
  { prisma: 'Int', asked: (n) => n },
  { prisma: 'Int @db.SmallInt', asked: (n) => n - 3 },
  { prisma: 'BigInt', asked: (n) => tagged('BigInt', String(9_007_199_254_740_990n + BigInt(n))) },
  { prisma: 'String', asked: (n) => `key "${n}" é` },
  { prisma: 'String @db.VarChar(40)', asked: (n) => `${n}, \\${n}` },
  { prisma: 'String @db.Uuid', asked: (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` },
  { prisma: 'Decimal @db.Decimal(12, 3)', asked: (n) => tagged('Decimal', `${n}.5`) },
  { prisma: 'DateTime @db.Timestamp(3)', asked: (n) => tagged('DateTime', day(n)) },
  { prisma: 'DateTime @db.Timestamptz(6)', asked: (n) => tagged('DateTime', day(n)) },
  { prisma: 'DateTime @db.Date', asked: (n) => tagged('DateTime', day(n)) },
  { prisma: 'Bytes', asked: (n) => tagged('Bytes', Buffer.from([0, 255, n]).toString('base64')) },
  { prisma: 'Float', asked: (n) => n + 0.5 },
];

/** Values of columns that the questions about every type leave out. */
const dateTime = (value: string): unknown => tagged('DateTime', value);
const list = (...values: unknown[]): readonly unknown[] => [values, []];
const ASKED: Readonly<Record<string, readonly unknown[]>> = {
  oid: [0, 5],
  real: [0.1, -1.5],
  amount: [tagged('Decimal', '1'), tagged('Decimal', '-2.5')],
  money: [tagged('Decimal', '3')],
  varchar: ['plain', 'null', 'a,b;{c}'],
  char: ['x', ''],
  inet: ['10.0.0.1'],
  xml: ['<a/>'],
  bit: ['101'],
  varbit: ['1', ''],
  jsonb: [tagged('Json', '{"a":1,"b":[true,null,"x"]}'), tagged('Json', '[]'), tagged('Json', '"text"')],
  json: [tagged('Json', '{"a": 1}'), tagged('Json', '1.50')],
  at6: [dateTime('2024-01-02T03:04:05.123Z')],
  timetz: [dateTime('1970-01-01T03:04:05Z')],
  ints: list(1, -2, 3),
  bigs: list(tagged('BigInt', '9007199254740993')),
  floats: list(0.5, -1),
  decimals: list(tagged('Decimal', '1.5')),
  bools: list(true, false),
  texts: list('a', 'b c', 'd"e'),
  bytess: list(tagged('Bytes', 'AP8=')),
  jsons: list(tagged('Json', '{"a":1}')),
  ats: list(dateTime('2024-01-02T03:04:05.678Z')),
  moods: list('GOOD'),
};
const DEFAULTS: Readonly<Record<string, readonly string[]>> = {
  small: ['7'],
  int: ['42', '0'],
  big: ['12'],
  float: ['0.1'],
  decimal: ['1.5'],
  amount: ['0.0001'],
  bool: ['true', 'false'],
  text: ['"with \\"quotes\\""', 'cuid()', 'uuid()', 'nanoid()', 'ulid()'],
  varchar: ['"plain"', 'cuid(2)'],
  uuid: ['uuid()', 'uuid(7)', 'dbgenerated("gen_random_uuid()")'],
  bytes: ['"AP8Q"'],
  jsonb: ['"{\\"a\\": 1}"'],
  at: ['now()', '"2024-01-02T03:04:05.678Z"'],
  atz: ['now()'],
  mood: ['GOOD', 'BAD'],
  ints: ['[1, 2]', '[]'],
  texts: ['["a", "b c"]'],
  moods: ['[BAD, GOOD]'],
};

export interface Field {
  readonly name: string;
  /** In the table. */
  readonly column: string;
  /** The type without `?` or `[]`: `Int`, `DateTime @db.Date`. */
  readonly type: string;
  readonly arity: '' | '?' | '[]';
  readonly attributes: string;
  /** The column of every-type.ts that the field has; undefined for keys and references. */
  readonly like: string | undefined;
  /** Whether a record can be created without it. */
  readonly optional: boolean;
  /** Whether it holds a reference. */
  readonly refers: boolean;
  /** Whether its value is not the same when the same record is created again. */
  readonly made: boolean;
  /** The values that questions have, in the protocol's form. */
  readonly asked: readonly unknown[];
  /** Its value in a key that is made from a number. */
  keyed(number: number): unknown;
  /** SQL of its value in a row. */
  sql(row: number): string;
}

/** The scalar type of a field: `Int`. */
export const scalarOf = (field: Field): string => field.type.split(' ')[0] as string;

export interface Relation {
  readonly name: string;
  readonly to: Model;
  readonly many: boolean;
  /** Whether this side of the relation is optional. */
  readonly optional: boolean;
  /** Whether the reference is optional. */
  readonly loose: boolean;
  /** The fields that hold the reference, if this side holds it. */
  readonly fields: readonly Field[];
  /** The name of this relation on the other side. */
  readonly back: string;
}

/** Fields that identify a record, and the name by which a query calls them together. */
export interface Unique {
  readonly name: string;
  readonly fields: readonly Field[];
}

export interface Model {
  readonly name: string;
  readonly table: string;
  readonly fields: Field[];
  /** The first is the id. */
  readonly uniques: Unique[];
  readonly relations: Relation[];
  readonly blocks: string[];
}

export const idOf = (model: Model): Unique => model.uniques[0] as Unique;

export interface RandomSchema {
  readonly text: string;
  readonly models: readonly Model[];
  /** Tables; a table comes after those that it refers to. */
  readonly tables: readonly string[];
  /** SQL of the tables' sequences. */
  readonly sequences: readonly string[];
  /** SQL of rows. */
  readonly rows: string;
}

const quoted = (name: string): string => `"${name}"`;

/** A value of the protocol as SQL. */
function literal(value: unknown): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'object') return `'${String(value).replaceAll("'", "''")}'`;
  const { $type, value: text } = value as { $type: string; value: string };
  return $type === 'Bytes' ? `'\\x${Buffer.from(text, 'base64').toString('hex')}'` : `'${text}'`;
}

class SchemaMaker {
  readonly #random: Seeded;
  readonly #models: Model[] = [];
  readonly #joinTables: { readonly name: string; readonly a: Model; readonly b: Model }[] = [];
  readonly #sequences: string[] = [];
  #relations = 0;

  constructor(random: Seeded) {
    this.#random = random;
  }

  make(): RandomSchema {
    const names = ['Ant', 'Bee', 'Cat', 'Dog', 'Elk', 'Fox'].slice(0, 2 + this.#random.below(5));
    for (const name of names) this.#model(name);
    for (const [place, model] of this.#models.entries()) {
      if (place > 0) this.#relate(model, this.#models[this.#random.below(place)] as Model);
      if (this.#chance(0.5)) this.#relate(model, this.#models[this.#random.below(place + 1)] as Model);
    }
    const models = this.#models;
    const insert = models.map(({ table, fields }) => {
      const rows = Array.from({ length: ROWS }, (_, row) => `(${fields.map((field) => field.sql(row)).join(', ')})`);
      const columns = fields.map(({ column }) => quoted(column)).join(', ');
      return `INSERT INTO ${quoted(table)} (${columns}) VALUES ${rows.join(',\n')}`;
    });
    for (const { name, a, b } of this.#joinTables) {
      const keyOf = (model: Model, row: number): string => (idOf(model).fields[0] as Field).sql(row);
      const pairs = new Set(Array.from({ length: ROWS }, () => this.#random.below(ROWS ** 2)));
      const values = [...pairs].map((pair) => `(${keyOf(a, pair % ROWS)}, ${keyOf(b, Math.floor(pair / ROWS))})`);
      insert.push(`INSERT INTO ${quoted(name)} ("A", "B") VALUES ${values.join(', ')}`);
    }
    return {
      text: `${HEAD}${models.map((model) => this.#text(model)).join('\n')}`,
      models,
      tables: [...models.map(({ table }) => table), ...this.#joinTables.map(({ name }) => name)].map(quoted),
      sequences: this.#sequences,
      rows: insert.join(';\n'),
    };
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }

  #text({ name, table, fields, blocks }: Model): string {
    const lines = fields.map(
      ({ name: field, column, type, arity, attributes }) =>
        `  ${field} ${type.replace(/^\w+/, (scalar) => scalar + arity)}${attributes}${column === field ? '' : ` @map("${column}")`}`,
    );

    if (table !== name) blocks.push(`@@map("${table}")`);
    return `model ${name} {\n${[...lines, ...blocks.map((line) => `  ${line}`)].join('\n')}\n}`;
  }

  #model(name: string): void {
    const table = this.#chance(0.3) ? `${name.toLowerCase()}s of all` : name;
    const model: Model = { name, table, fields: [], uniques: [], relations: [], blocks: [] };
    this.#models.push(model);
    this.#unique(model, 'id', this.#chance(0.25) ? 2 : 1);
    for (const column of COLUMNS) if (this.#chance(0.3)) this.#plain(model, column);
    if (this.#chance(0.6)) this.#unique(model, 'sole', this.#chance(0.4) ? 2 : 1);
  }

  #column(name: string): string {
    return this.#chance(0.25) ? `the ${name}` : name;
  }

  /** A key of its own, one column or two. */
  #unique(model: Model, called: 'id' | 'sole', count: number): void {
    const fields = Array.from({ length: count }, (_, place): Field => {
      const name = count === 1 ? called : `${called}${place}`;
      const kind = this.#random.pick(KEY_KINDS);
      const optional = called === 'sole' && this.#chance(0.3);
      // Of a key of two the first comes again.
      const number = (row: number): number => (place < count - 1 ? row % 3 : row);
      const column = this.#column(name);
      const counted = called === 'id' && count === 1 && kind.prisma === 'Int' && this.#chance(0.5);
      if (counted) {
        const sequence = `pg_get_serial_sequence('${quoted(model.table)}', '${column}')`;
        this.#sequences.push(sequence);
      }
      const sole = count === 1 ? (called === 'id' ? ' @id' : ' @unique') : '';
      const absent = new Set(Array.from({ length: ROWS }, (_, row) => row).filter(() => optional && this.#chance(0.3)));
      return {
        name,
        column,
        type: kind.prisma,
        arity: optional ? '?' : '',
        attributes: `${sole}${counted ? ' @default(autoincrement())' : ''}`,
        like: undefined,
        optional: optional || counted,
        refers: false,
        made: false,
        asked: [0, 1, 2, 5, ROWS - 1, ROWS + 1].map((row) => kind.asked(number(row))),
        keyed: (row) => kind.asked(number(row)),
        sql: (row) => (absent.has(row) ? 'NULL' : literal(kind.asked(number(row)))),
      };
    });
    model.fields.push(...fields);
    let name = fields.map((field) => field.name).join('_');
    if (count > 1) {
      const names = fields.map((field) => field.name).join(', ');
      const named = this.#chance(0.3);
      if (named) name = `${called}Pair`;
      model.blocks.push(`@@${called === 'id' ? 'id' : 'unique'}([${names}]${named ? `, name: "${name}"` : ''})`);
    }
    // Nothing finds a record by a key with a part that is not there.
    if (count === 1 || fields.every(({ arity }) => arity === '')) model.uniques.push({ name, fields });
  }

  #plain(model: Model, { name, prisma, values, sql, asked = ASKED[name] ?? [] }: Column): void {
    const [, scalar = '', mark, rest = ''] = /^(\w+)(\?|\[\])(.*)$/.exec(prisma) ?? [];
    const optional = mark === '?' && this.#chance(0.6);
    const preset = this.#chance(0.5) ? DEFAULTS[name] : undefined;
    let attributes = preset === undefined ? '' : ` @default(${this.#random.pick(preset)})`;
    if (name === 'at' && preset === undefined && this.#chance(0.5)) attributes = ' @updatedAt';
    // The values in which a text is as long as it can be are for the columns of every-type.ts.
    const picked = Array.from({ length: ROWS }, () => {
      if (optional && this.#chance(0.3)) return 'NULL';
      return `(${this.#random.pick(values)})::${sql}`;
    });
    model.fields.push({
      name,
      column: this.#column(name),
      type: `${scalar}${rest}`,
      arity: mark === '[]' ? '[]' : optional ? '?' : '',
      attributes,
      like: name,
      optional: optional || attributes !== '' || mark === '[]',
      refers: false,
      made: /\(|updatedAt/.test(attributes.replace('@default(', '')),
      asked,
      keyed: () => asked[0],
      sql: (row) => picked[row] ?? 'NULL',
    });
  }

  #relate(from: Model, to: Model): void {
    const number = this.#relations++;
    const self = from === to;
    const label = `Link${number}`;
    const name = `${to.name.toLowerCase()}${number}`;
    const back = `${from.name.toLowerCase()}Of${number}`;
    const manyToMany = [from, to].every((each) => idOf(each).fields.length === 1) && this.#chance(0.25);
    if (manyToMany) {
      from.relations.push({ name, to, many: true, optional: true, loose: true, fields: [], back });
      to.relations.push({ name: back, to: from, many: true, optional: true, loose: true, fields: [], back: name });
      from.blocks.push(`${name} ${to.name}[] @relation("${label}")`);
      to.blocks.push(`${back} ${from.name}[] @relation("${label}")`);
      const [a, b] = from.name < to.name ? [from, to] : [to, from];
      this.#joinTables.push({ name: `_${label}`, a, b });
      return;
    }
    const targets = to.uniques.filter(({ fields }) => fields.every(({ arity }) => arity === ''));
    const target = this.#random.pick(targets);
    const optional = self || this.#chance(0.5);
    const single = this.#chance(0.3);
    const shuffled = Array.from({ length: ROWS }, (_, row) => (row * 3 + number) % ROWS);
    const rows = shuffled.map((row) => {
      if (optional && this.#chance(0.3)) return undefined;
      return single ? row : this.#random.below(Math.ceil(ROWS / 2));
    });
    const fields = target.fields.map((of, place): Field => {
      const field = `${name}Key${place}`;
      return {
        name: field,
        column: this.#column(field),
        type: of.type,
        arity: optional ? '?' : '',
        attributes: single && target.fields.length === 1 ? ' @unique' : '',
        like: undefined,
        optional,
        refers: true,
        made: false,
        asked: of.asked,
        keyed: (row) => of.keyed(row),
        sql: (row) => {
          const other = rows[row];
          return other === undefined ? 'NULL' : literal(of.keyed(other));
        },
      };
    });
    from.fields.push(...fields);
    const own = fields.map((field) => field.name).join(', ');
    if (single && fields.length > 1) from.blocks.push(`@@unique([${own}])`);
    const actions = ['Cascade', 'Restrict', 'NoAction', ...(optional ? ['SetNull'] : [])];
    const onDelete = this.#chance(0.7) ? `, onDelete: ${this.#random.pick(actions)}` : '';
    const onUpdate = this.#chance(0.3) ? `, onUpdate: ${this.#random.pick(actions)}` : '';
    const references = target.fields.map((field) => field.name).join(', ');
    from.blocks.push(
      `${name} ${to.name}${optional ? '?' : ''} @relation("${label}", fields: [${own}], references: [${references}]${onDelete}${onUpdate})`,
    );
    to.blocks.push(`${back} ${from.name}${single ? '?' : '[]'} @relation("${label}")`);
    from.relations.push({ name, to, many: false, optional, loose: optional, fields, back });
    to.relations.push({ name: back, to: from, many: !single, optional: true, loose: optional, fields: [], back: name });
  }
}

const HEAD = `
generator client {
  provider        = "prisma-client-js"
  previewFeatures = ["relationJoins"]
}
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
enum Mood {
  GOOD
  BAD @map("rather \\"bad\\"")
}
`;

export function randomSchema(random: Seeded): RandomSchema {
  return new SchemaMaker(random).make();
}

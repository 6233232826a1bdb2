import fc from 'fast-check';
import type { Seeded } from './seeded.ts';

// A data model with every type that a field can have, on three models that hang from one another, values of every form
// that Postgres can hold, and random questions in the JSON protocol of Prisma 6, which needs no generated client.

/** A column: how the schema declares it, and SQL of values that it can hold. */
export interface Column {
  readonly name: string;
  readonly prisma: string;
  readonly sql: string;
  readonly values: readonly string[];
  /** Values for conditions, as the protocol writes them. */
  readonly asked?: readonly unknown[];
}

const dateTime = (value: string): unknown => ({ $type: 'DateTime', value });
const TEXTS = [
  `''`,
  `'plain'`,
  `'with "quotes" and \\ backslash'`,
  `E'line\\nbreak\\ttab\\rreturn\\x08bell\\x0c'`,
  `E'\\x01\\x1f\\x7f'`,
  `'ünïcödé 漢字 🦫'`,
  `E'\\u2028\\u2029'`,
  `'{"looks": "like json"}'`,
  `'null'`,
  `repeat('long ', 60)`,
  `'a,b;{c}'`,
];
const JSONS = [
  `'{"a": 1, "b": [true, null, "x"]}'`,
  `'[]'`,
  `'"text"'`,
  `'1.50'`,
  `'12345678901234567890'`,
  `'null'`,
  `'{"quote": "\\"", "u": "\\u00e9\\u2028", "slash": "a/b", "tab": "\\t"}'`,
];

export const COLUMNS: readonly Column[] = [
  { name: 'small', prisma: 'Int? @db.SmallInt', sql: 'int2', values: ['0', '-32768', '7'], asked: [0, 7] },
  { name: 'int', prisma: 'Int?', sql: 'int4', values: ['0', '-2147483648', '42'], asked: [0, 42, -1] },
  { name: 'oid', prisma: 'Int? @db.Oid', sql: 'oid', values: ['0', '2147483647'] },
  {
    name: 'big',
    prisma: 'BigInt?',
    sql: 'int8',
    values: ['0', '-9223372036854775808', '9007199254740993', '12'],
    asked: [{ $type: 'BigInt', value: '12' }],
  },
  {
    name: 'float',
    prisma: 'Float?',
    sql: 'float8',
    values: [
      '0',
      `'-0'`,
      `'NaN'`,
      `'Infinity'`,
      `'-Infinity'`,
      '0.1',
      '1e300',
      '1e-7',
      '123456.789',
      '-5',
      '1e15',
      '1e21',
    ],
    asked: [0.1, -5],
  },
  { name: 'real', prisma: 'Float? @db.Real', sql: 'float4', values: ['0.1', `'NaN'`, '16777216', '-1.5', '1e-6'] },
  {
    name: 'decimal',
    prisma: 'Decimal?',
    sql: 'numeric',
    values: ['0', '1.50', '-0.000000000000000000001', '123456789012345678901234567890.123456789', `'NaN'`, '100'],
    asked: [{ $type: 'Decimal', value: '1.5' }],
  },
  { name: 'amount', prisma: 'Decimal? @db.Decimal(14, 4)', sql: 'numeric(14,4)', values: ['1', '-2.5', '0.0001'] },
  { name: 'money', prisma: 'Decimal? @db.Money', sql: 'money', values: ['1234.5', '-3', '0'] },
  { name: 'bool', prisma: 'Boolean?', sql: 'bool', values: ['true', 'false'], asked: [true, false] },
  { name: 'text', prisma: 'String?', sql: 'text', values: TEXTS, asked: ['plain', '', 'ünïcödé 漢字 🦫'] },
  { name: 'varchar', prisma: 'String? @db.VarChar(400)', sql: 'varchar(400)', values: TEXTS },
  { name: 'char', prisma: 'String? @db.Char(6)', sql: 'char(6)', values: [`'x'`, `''`, `'"\\ é'`] },
  {
    name: 'uuid',
    prisma: 'String? @db.Uuid',
    sql: 'uuid',
    values: [`'7b7f3c4e-4a3e-4c0e-9b0a-0a8b1c2d3e4f'`],
    asked: ['7b7f3c4e-4a3e-4c0e-9b0a-0a8b1c2d3e4f'],
  },
  { name: 'inet', prisma: 'String? @db.Inet', sql: 'inet', values: [`'10.0.0.1'`, `'::1/64'`] },
  { name: 'xml', prisma: 'String? @db.Xml', sql: 'xml', values: [`'<a b="c">&amp;</a>'`] },
  { name: 'bit', prisma: 'String? @db.Bit(3)', sql: 'bit(3)', values: [`B'101'`] },
  { name: 'varbit', prisma: 'String? @db.VarBit(8)', sql: 'varbit(8)', values: [`B'1'`, `B''`] },
  {
    name: 'bytes',
    prisma: 'Bytes?',
    sql: 'bytea',
    values: [`''`, `'\\x00ff10'`, `'\\xdeadbeef0102'`],
    asked: [{ $type: 'Bytes', value: 'AP8Q' }],
  },
  { name: 'jsonb', prisma: 'Json?', sql: 'jsonb', values: JSONS },
  { name: 'json', prisma: 'Json? @db.Json', sql: 'json', values: JSONS },
  {
    name: 'at',
    prisma: 'DateTime?',
    sql: 'timestamp(3)',
    values: [`'2024-01-02 03:04:05.678'`, `'2024-01-02 03:04:05'`, `'1969-12-31 23:59:59.999'`, `'infinity'`],
    asked: [dateTime('2024-01-02T03:04:05.678Z')],
  },
  {
    name: 'at6',
    prisma: 'DateTime? @db.Timestamp(6)',
    sql: 'timestamp(6)',
    values: [`'2024-01-02 03:04:05.123456'`, `'0044-03-15 00:00:00 BC'`, `'12000-01-01 00:00:00'`],
  },
  {
    name: 'atz',
    prisma: 'DateTime? @db.Timestamptz(6)',
    sql: 'timestamptz(6)',
    values: [`'2024-01-02 03:04:05.123456+02'`, `'1900-01-01 00:00:00+00'`, `'-infinity'`],
    asked: [dateTime('2024-01-02T01:04:05.123Z')],
  },
  {
    name: 'date',
    prisma: 'DateTime? @db.Date',
    sql: 'date',
    values: [`'2024-02-29'`, `'0001-01-01'`, `'10000-01-01'`],
    asked: [dateTime('2024-02-29T00:00:00Z')],
  },
  {
    name: 'time',
    prisma: 'DateTime? @db.Time(6)',
    sql: 'time(6)',
    values: [`'03:04:05'`, `'23:59:59.999999'`],
    asked: [dateTime('1970-01-01T03:04:05Z')],
  },
  {
    name: 'timetz',
    prisma: 'DateTime? @db.Timetz(6)',
    sql: 'timetz(6)',
    values: [`'03:04:05+02'`, `'00:00:00.5-11:30'`],
  },
  { name: 'mood', prisma: 'Mood?', sql: '"Mood"', values: [`'GOOD'`, `'rather "bad"'`], asked: ['GOOD', 'BAD'] },
  { name: 'ints', prisma: 'Int[]', sql: 'int4[]', values: [`'{}'`, `'{1,-2,3}'`] },
  { name: 'bigs', prisma: 'BigInt[]', sql: 'int8[]', values: [`'{}'`, `'{9007199254740993}'`] },
  { name: 'floats', prisma: 'Float[]', sql: 'float8[]', values: [`'{0.5,-1,1e20}'`, `'{NaN}'`] },
  { name: 'decimals', prisma: 'Decimal[]', sql: 'numeric[]', values: [`'{1.50,2}'`] },
  { name: 'bools', prisma: 'Boolean[]', sql: 'bool[]', values: [`'{t,f}'`] },
  {
    name: 'texts',
    prisma: 'String[]',
    sql: 'text[]',
    values: [`'{}'`, `'{a,"b c","d\\"e"}'`, `ARRAY['x,y', 'é', E'\\n']`],
  },
  { name: 'bytess', prisma: 'Bytes[]', sql: 'bytea[]', values: [`ARRAY['\\x00ff'::bytea]`] },
  { name: 'jsons', prisma: 'Json[]', sql: 'jsonb[]', values: [`ARRAY['{"a": 1}'::jsonb, '2']`] },
  { name: 'ats', prisma: 'DateTime[]', sql: 'timestamp(3)[]', values: [`ARRAY['2024-01-02 03:04:05.678'::timestamp]`] },
  { name: 'moods', prisma: 'Mood[]', sql: '"Mood"[]', values: [`ARRAY['GOOD']::"Mood"[]`, `'{}'`] },
];

const FIELDS = COLUMNS.map(
  ({ name, prisma }) => `  ${name} ${prisma}${name === 'text' ? ' @map("the text")' : ''}`,
).join('\n');
const TABLE = COLUMNS.map(({ name, sql }) => `"${name === 'text' ? 'the text' : name}" ${sql}`).join(', ');

export const EVERY_TYPE_SCHEMA: string = `
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
model Root {
  id   Int @id
  kids Kid[]
  twin Twin?
${FIELDS}
}
model Kid {
  org    String
  num    BigInt
  rootId Int?   @map("root_id")
  root   Root?  @relation(fields: [rootId], references: [id])
  leaves Leaf[]
${FIELDS}
  @@id([org, num])
}
model Leaf {
  id     String  @id
  kidOrg String?
  kidNum BigInt?
  kid    Kid?    @relation(fields: [kidOrg, kidNum], references: [org, num])
${FIELDS}
}
model Twin {
  rootId Int    @id
  root   Root   @relation(fields: [rootId], references: [id])
  word   String @unique
}
`;

const ROOTS = 12;
const KIDS = 25;
const LEAVES = 40;

/** The tables, and rows in which each value occurs, NULL beside it. */
export function everyTypeSql(random: Seeded): string {
  const names = COLUMNS.map(({ name }) => `"${name === 'text' ? 'the text' : name}"`).join(', ');
  const values = (row: number): string =>
    COLUMNS.map(({ values: known, sql }) => {
      if (row > 0 && random.below(4) === 0) return 'NULL';
      const value = known[row % known.length] as string;
      return `(${random.below(2) === 0 ? value : random.pick(known)})::${sql}`;
    }).join(', ');
  const insert = (table: string, keys: string, count: number, key: (row: number) => string): string =>
    Array.from(
      { length: count },
      (_, row) => `INSERT INTO "${table}" (${keys}, ${names}) VALUES (${key(row)}, ${values(row)});`,
    ).join('\n');
  const org = (row: number): string => (row % 2 === 0 ? `'a"\\c'` : `'b é'`);
  return `
CREATE TYPE "Mood" AS ENUM ('GOOD', 'rather "bad"');
CREATE TABLE "Root" (id int PRIMARY KEY, ${TABLE});
CREATE TABLE "Kid" (org text, num int8, root_id int REFERENCES "Root", ${TABLE}, PRIMARY KEY (org, num));
CREATE TABLE "Leaf" (id text PRIMARY KEY, "kidOrg" text, "kidNum" int8, ${TABLE}, FOREIGN KEY ("kidOrg", "kidNum") REFERENCES "Kid");
CREATE TABLE "Twin" ("rootId" int PRIMARY KEY REFERENCES "Root", word text NOT NULL UNIQUE);
${insert('Root', 'id', ROOTS, (row) => String(row))}
${insert('Kid', 'org, num, root_id', KIDS, (row) => `${org(row)}, ${row}, ${row % 7 === 6 ? 'NULL' : random.below(ROOTS / 2)}`)}
${insert(
  'Leaf',
  'id, "kidOrg", "kidNum"',
  LEAVES,
  (row) =>
    `'leaf ${row}', ${
      row % 9 === 8
        ? 'NULL, NULL'
        : (
            () => {
              const kid = random.below(KIDS / 2);
              return `${org(kid)}, ${kid}`;
            }
          )()
    }`,
)}
INSERT INTO "Twin" SELECT id, 'word ' || id FROM "Root" WHERE id % 3 = 0;`;
}

type Arguments = Record<string, unknown>;
const SCALARS = COLUMNS.map(({ name }) => name);
const direction = fc.constantFrom('asc', 'desc');
const KEYS: Readonly<Record<string, readonly string[]>> = {
  Root: ['id'],
  Kid: ['org', 'num'],
  Leaf: ['id'],
  Twin: ['rootId'],
};
const RELATIONS: Readonly<Record<string, Readonly<Record<string, readonly [model: string, many: boolean]>>>> = {
  Root: { kids: ['Kid', true], twin: ['Twin', false] },
  Kid: { root: ['Root', false], leaves: ['Leaf', true] },
  Leaf: { kid: ['Kid', false] },
  Twin: { root: ['Root', false] },
};
export const SAMPLE_MODELS: readonly string[] = ['Root', 'Kid', 'Leaf'];

const condition = fc
  .constantFrom(...COLUMNS.filter(({ asked }) => asked !== undefined))
  .chain(({ name, asked = [] }) => {
    const value = fc.constantFrom(...asked);
    return fc
      .oneof(
        value,
        fc.record({ equals: value }),
        fc.record({ not: value }),
        fc.record({ in: fc.array(value, { maxLength: 5 }) }),
        fc.record({ notIn: fc.array(value, { maxLength: 3 }) }),
        fc.constant(null),
        fc.constant({ not: null }),
      )
      .map((test): Arguments => ({ [name]: test }));
  });
const where = (model: string): fc.Arbitrary<Arguments> =>
  fc.oneof(
    condition,
    condition,
    fc.constant({}),
    model === 'Twin' ? fc.constant({}) : fc.tuple(condition, condition).map(([a, b]): Arguments => ({ OR: [a, b] })),
  );

function ordered(model: string): fc.Arbitrary<Arguments[]> {
  const keys = fc.tuple(...(KEYS[model] ?? []).map((key) => direction.map((way): Arguments => ({ [key]: way }))));
  return keys;
}

/**
 * What is selected of a model: all scalars or some, and relations up to `depth` below. Of related records, lists of
 * BigInt are selected now and then only: Prisma's compiler makes text of them in a join, which its runtime refuses
 * ("values.map is not a function").
 */
function selection(model: string, depth: number, related = false): fc.Arbitrary<Arguments> {
  const scalarNames = related ? SCALARS.filter((name) => name !== 'bigs') : SCALARS;
  const scalars: fc.Arbitrary<Arguments> =
    model === 'Twin'
      ? fc.constant({ $scalars: true, $composites: true })
      : fc.oneof(
          fc.constant({ $scalars: true, $composites: true, ...(related ? { bigs: false } : {}) }),
          fc
            .subarray(scalarNames, { minLength: 1, maxLength: 6 })
            .map((names): Arguments => Object.fromEntries(names.map((name) => [name, true]))),
        );
  if (depth === 0) return scalars;
  const relations = Object.entries(RELATIONS[model] ?? {}).map(([name, [to, many]]) =>
    fc.option(
      fc
        .tuple(
          fc.oneof({ weight: 9, arbitrary: selection(to, depth - 1, true) }, selection(to, depth - 1)),
          many ? manyArguments(to, false) : fc.constant<Arguments>({}),
        )
        .map(([inner, args]): Arguments => ({ [name]: { arguments: args, selection: inner } })),
      { nil: {} as Arguments },
    ),
  );
  return fc.tuple(scalars, ...relations).map((parts): Arguments => Object.assign({}, ...parts));
}

function manyArguments(model: string, root: boolean): fc.Arbitrary<Arguments> {
  const optional: Record<string, fc.Arbitrary<unknown>> = {
    take: fc.integer({ min: -3, max: 5 }),
    skip: fc.integer({ min: 0, max: 2 }),
    ...(model === 'Twin' ? {} : { where: where(model) }),
    ...(model === 'Twin'
      ? {}
      : { distinct: fc.subarray(['bool', 'mood', 'small', 'text', 'at'], { minLength: 1, maxLength: 2 }) }),
    ...(model === 'Root' ? { cursor: fc.record({ id: fc.integer({ min: 0, max: ROOTS }) }) } : {}),
    ...(model === 'Leaf'
      ? { cursor: fc.record({ id: fc.integer({ min: 0, max: LEAVES }).map((row) => `leaf ${row}`) }) }
      : {}),
    ...(root ? { relationLoadStrategy: fc.constantFrom('join', 'query') } : {}),
  };
  return fc
    .tuple(ordered(model), fc.subarray(Object.keys(optional), { maxLength: 3 }))
    .chain(([orderBy, names]) =>
      fc
        .record(Object.fromEntries(names.map((name) => [name, optional[name] as fc.Arbitrary<unknown>])))
        .map((more): Arguments => ({ orderBy, ...more })),
    );
}

/** One query of the JSON protocol. */
export interface SampleQuery {
  readonly modelName: string;
  readonly action: string;
  readonly query: { readonly arguments: Arguments; readonly selection: Arguments };
}

const uniqueOf = (model: string): fc.Arbitrary<Arguments> => {
  if (model === 'Root') return fc.record({ id: fc.integer({ min: 0, max: ROOTS }) });
  if (model === 'Leaf') return fc.record({ id: fc.integer({ min: 0, max: LEAVES }).map((row) => `leaf ${row}`) });
  return fc.integer({ min: 0, max: KIDS }).map(
    (row): Arguments => ({
      org_num: { org: row % 2 === 0 ? 'a"\\c' : 'b é', num: { $type: 'BigInt', value: String(row) } },
    }),
  );
};
const query = (modelName: string, action: string, args: Arguments, selected: Arguments): SampleQuery => ({
  modelName,
  action,
  query: { arguments: args, selection: selected },
});
const model = fc.constantFrom(...SAMPLE_MODELS);

export const sampleRead: fc.Arbitrary<SampleQuery> = model.chain((name) =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(manyArguments(name, true), selection(name, 3))
        .map(([args, selected]) => query(name, 'findMany', args, selected)),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          uniqueOf(name),
          selection(name, 2),
          fc.constantFrom('findUnique', 'findUniqueOrThrow'),
          fc.constantFrom('join', 'query'),
        )
        .map(([unique, selected, action, relationLoadStrategy]) =>
          query(name, action, { where: unique, relationLoadStrategy }, selected),
        ),
    },
    fc
      .tuple(where(name), ordered(name), selection(name, 1), fc.constantFrom('findFirst', 'findFirstOrThrow'))
      .map(([condition_, orderBy, selected, action]) => query(name, action, { where: condition_, orderBy }, selected)),
    where(name).map((condition_) =>
      query(
        name,
        'aggregate',
        { where: condition_ },
        {
          _count: { arguments: {}, selection: { _all: true, int: true } },
          _sum: { arguments: {}, selection: { int: true, amount: true } },
          _avg: { arguments: {}, selection: { int: true, amount: true, small: true } },
          _min: { arguments: {}, selection: { date: true, text: true, big: true } },
          _max: { arguments: {}, selection: { at: true, mood: true } },
        },
      ),
    ),
  ),
);

const data = fc
  .subarray(
    COLUMNS.filter(({ asked }) => asked !== undefined),
    { maxLength: 6 },
  )
  .chain((columns) =>
    fc.record(Object.fromEntries(columns.map(({ name, asked = [] }) => [name, fc.constantFrom(...asked, null)]))),
  );
const lists = fc.record(
  {
    ints: fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 3 }),
    texts: fc.array(fc.constantFrom('a', '"', 'é,'), { maxLength: 3 }),
  },
  { requiredKeys: [] },
);
const newKey = (name: string): fc.Arbitrary<Arguments> =>
  name === 'Root'
    ? fc.record({ id: fc.integer({ min: ROOTS - 1, max: ROOTS + 3 }) })
    : fc.record({ id: fc.integer({ min: LEAVES - 1, max: LEAVES + 3 }).map((row) => `leaf ${row}`) });
const ALL: Arguments = { $scalars: true, $composites: true };

/** Writes whose effect depends only on their arguments. */
/** Several findUnique that differ in their keys only, as a client's loader sends them. */
export const sampleKeyed: fc.Arbitrary<SampleQuery[]> = model.chain((name) =>
  fc
    .tuple(
      fc.array(uniqueOf(name), { minLength: 2, maxLength: 6 }),
      selection(name, 1),
      fc.constantFrom('findUnique', 'findUniqueOrThrow'),
    )
    .map(([keys, selected, action]) => keys.map((where) => query(name, action, { where }, selected))),
);

export const sampleWrite: fc.Arbitrary<SampleQuery> = fc.constantFrom('Root', 'Leaf').chain((name) =>
  fc.oneof(
    fc
      .tuple(newKey(name), data, lists)
      .map(([key, values, more]) => query(name, 'createOne', { data: { ...key, ...values, ...more } }, ALL)),
    fc
      .tuple(uniqueOf(name), data, lists)
      .map(([unique, values, more]) => query(name, 'updateOne', { where: unique, data: { ...values, ...more } }, ALL)),
    fc
      .tuple(uniqueOf(name), newKey(name), data)
      .map(([unique, key, values]) =>
        query(name, 'upsertOne', { where: unique, create: { ...key, ...values }, update: values }, ALL),
      ),
    uniqueOf(name).map((unique) => query(name, 'deleteOne', { where: unique }, ALL)),
    fc
      .tuple(where(name), data)
      .map(([condition_, values]) => query(name, 'updateMany', { where: condition_, data: values }, { count: true })),
    fc
      .constant(name)
      .chain(() => where(name))
      .map((condition_) => query(name, 'deleteMany', { where: condition_ }, { count: true })),
    fc
      .tuple(where(name), data)
      .map(([condition_, values]) => query(name, 'updateManyAndReturn', { where: condition_, data: values }, ALL)),
  ),
);

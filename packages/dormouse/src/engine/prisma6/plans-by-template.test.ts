import { createRequire } from 'node:module';
import { parameterizeQuery, type QueryPlanNode } from '@prisma/client-engine-runtime';
import { ParamGraph } from '@prisma/param-graph';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Metadata } from '../compiler/metadata.ts';
import { buildParameterGraph } from '../compiler/parameter-graph.ts';
import { MemoryBudget } from '../memory-budget.ts';
import { PlansByTemplate } from './plans-by-template.ts';

const SCHEMA = `
datasource db {
  provider = "postgresql"
}
enum Role {
  USER
  ADMIN @map("admin")
}
model User {
  id      Int      @id
  email   String   @unique
  big     BigInt
  ratio   Float
  price   Decimal
  at      DateTime
  raw     Bytes
  data    Json
  role    Role
  roles   Role[]
  flag    Boolean
  tags    String[]
  posts   Post[]
}
model Post {
  id     Int    @id
  title  String
  author User   @relation(fields: [userId], references: [id])
  userId Int
}
`;

interface Bindings {
  get_dmmf(parameters: string): string;
}
const { get_dmmf } = createRequire(import.meta.url)('@prisma/prisma-schema-wasm') as Bindings;
const metadata = JSON.parse(get_dmmf(JSON.stringify({ prismaSchema: [['a.prisma', SCHEMA]] }))) as Metadata;
const graph = ParamGraph.fromData(buildParameterGraph(metadata), (name) =>
  name === 'Role' ? { USER: 'USER', ADMIN: 'admin' } : undefined,
);

type Query = Parameters<typeof parameterizeQuery>[0];

/** Reads a query in full, as the planner does: the values are taken out, and the shape is left. */
function read(query: unknown): { shape: string; parameterized: unknown; scope: Record<string, unknown> } {
  const { parameterizedQuery, placeholderValues } = parameterizeQuery(query as Query, graph);
  return { shape: JSON.stringify(parameterizedQuery), parameterized: parameterizedQuery, scope: placeholderValues };
}

function isRead(query: unknown): boolean {
  try {
    return read(query) !== undefined;
  } catch {
    return false;
  }
}

const plans = new Map<string, QueryPlanNode>();
function planOf(shape: string): QueryPlanNode {
  const plan = plans.get(shape) ?? { type: 'unit' };
  plans.set(shape, plan);
  return plan;
}

let texts: PlansByTemplate;
beforeEach(() => {
  texts = new PlansByTemplate(new MemoryBudget(2 ** 24));
});

function learn(query: unknown, text: string = JSON.stringify(query)): void {
  const { shape, parameterized, scope } = read(query);
  texts.note('h', { text, parameterized, scope, plan: planOf(shape) });
}

/** Whether a template fits the query's text. Its plan and parameters must be those of reading the query in full. */
function found(query: unknown): boolean {
  const known = texts.find('h', JSON.stringify(query));
  if (known === undefined) return false;
  const { shape, scope } = read(query);
  expect(known.plan).toBe(planOf(shape));
  expect(known.scope).toEqual(scope);
  return true;
}

const selection = { $composites: true, $scalars: true };
const many = (where: object, more: object = {}): object => ({
  modelName: 'User',
  action: 'findMany',
  query: { arguments: { where, ...more }, selection },
});
const tagged = (type: string, value: string): object => ({ $type: type, value });

describe('a text that fits a known template', () => {
  it.each([
    ['a number', { id: { gt: 1 } }, { id: { gt: 20 } }],
    ['a text', { email: 'a' }, { email: 'say "hello"\n\\ é €' }],
    ['an escape', { email: 'a\nb' }, { email: 'plain' }],
    ['one of several values', { id: 1, email: 'a', ratio: 0.5 }, { id: 7, email: '', ratio: -1.25e-7 }],
    [
      'a tagged value',
      { at: tagged('DateTime', '2020-01-01T00:00:00.000Z') },
      { at: tagged('DateTime', '2024-02-29T23:59:59.999Z') },
    ],
    [
      'a tagged number',
      { big: tagged('BigInt', '1'), price: tagged('Decimal', '1.5') },
      {
        big: tagged('BigInt', '9007199254740993'),
        price: tagged('Decimal', '-3'),
      },
    ],
    ['a list', { id: { in: [1, 2, 3] } }, { id: { in: [3, 3, 1] } }],
    ['a list of texts', { email: { in: ['a', 'b'] } }, { email: { in: ['[', '"'] } }],
    ['given twice', { OR: [{ id: 1 }, { id: 2 }, { id: 1 }] }, { OR: [{ id: 5 }, { id: 6 }, { id: 5 }] }],
    ['beside an enum value that is part of the template', { role: 'ADMIN', id: 1 }, { role: 'ADMIN', id: 2 }],
    ['beside a flag that is part of the template', { flag: true, id: 1 }, { flag: true, id: 2 }],
  ])('a text that fits a known template has its values cut out where the value is %s', (_, first, second) => {
    learn(many(first));
    expect(found(many(first))).toBe(true);
    expect(found(many(second))).toBe(true);
  });

  it('a text that fits a known template is found with values below relations and in writes', () => {
    const nested = (id: number, title: string): object => ({
      modelName: 'User',
      action: 'findUnique',
      query: {
        arguments: { where: { id } },
        selection: {
          $scalars: true,
          posts: { arguments: { take: 3, where: { id: { gt: id + 1 }, title: { contains: title } } }, selection },
        },
      },
    });
    learn(nested(1, 'a'));
    expect(found(nested(5, 'b'))).toBe(true);
    const create = (id: number, data: string): object => ({
      modelName: 'User',
      action: 'createOne',
      query: {
        arguments: {
          data: { id, email: 'e', data: tagged('Json', data), flag: false, role: 'USER', tags: ['x', 'y'] },
        },
        selection,
      },
    });
    learn(create(1, '{"a":1}'));
    expect(found(create(2, '[null,"\\u0000"]'))).toBe(true);
  });
});

describe('a text does not fit a template', () => {
  it.each([
    ['a number beyond its type', { id: 1 }, { id: 3_000_000_000 }],
    ['a fraction', { ratio: 1 }, { ratio: 1.5 }],
    ['null', { email: 'a' }, { email: null }],
    ['another operator', { id: { gt: 1 } }, { id: { lt: 1 } }],
    ['equal values', { OR: [{ id: 1 }, { id: 2 }] }, { OR: [{ id: 1 }, { id: 1 }] }],
    ['different values', { OR: [{ id: 1 }, { id: 1 }] }, { OR: [{ id: 1 }, { id: 2 }] }],
    ['another enum value', { role: 'ADMIN' }, { role: 'USER' }],
    ['another flag', { flag: true }, { flag: false }],
    ['a longer list', { id: { in: [1, 2] } }, { id: { in: [1, 2, 3] } }],
    ['a list of other kinds', { ratio: { in: [1, 2] } }, { ratio: { in: [1, 2.5] } }],
    ['another tag', { big: tagged('BigInt', '1') }, { big: tagged('Decimal', '1') }],
    ['a text in place of a number', { id: 1 }, { id: '1' }],
    ['half a surrogate pair', { email: 'a' }, { email: '\ud800' }],
    ['a number that a double does not hold', { big: 3_000_000_000 }, { big: 1e20 }],
  ])('a text that differs from a template by %s does not fit the template', (_, first, second) => {
    learn(many(first));
    expect(found(many(second))).toBe(false);
  });

  it.each([
    ['DateTime', 'at', '2020-01-01T00:00:00.000Z', ['x', '2024-02-30T00:00:00.000Z', '2020-01-01', 'infinity']],
    ['BigInt', 'big', '1', ['', '1.5', '01', '9223372036854775808', 'x']],
    ['Decimal', 'price', '1.5', ['NaN', '1e5', '0x10', ' 1', 'Infinity']],
    ['Json', 'data', '{"a":1}', ['{', 'x', '1e5', '{"a":"\\ud800"}', '{"a": 1}']],
  ] as const)(
    'a text does not fit a template when the text has a %s in a form that the client does not write',
    (type, field, form, odd) => {
      const equal = (value: string): object => many({ [field]: { equals: tagged(type, value) } });
      learn(equal(form));
      expect(found(equal(form))).toBe(true);
      for (const value of odd) expect(found(equal(value)), value).toBe(false);
    },
  );

  it('a text that differs from a template in a part that is no parameter does not fit the template', () => {
    learn(many({ id: 1 }, { orderBy: { id: 'asc' } }));
    expect(found(many({ id: 1 }, { orderBy: { id: 'desc' } }))).toBe(false);
    expect(found({ ...many({ id: 1 }, { orderBy: { id: 'asc' } }), modelName: 'Post' })).toBe(false);
    expect(texts.find('another schema', JSON.stringify(many({ id: 1 }, { orderBy: { id: 'asc' } })))).toBeUndefined();
  });

  it.each([
    ['a key twice', '{"id":1,"id":2}', '{"id":1,"id":2}'],
    ['spaces', '{ "id":1}', '{ "id":2}'],
    ['a number that is none', '{"id":1}', '{"id":01}'],
    ['half a number', '{"id":1}', '{"id":-}'],
    ['a broken escape', '{"email":"a\\n"}', '{"email":"\\x"}'],
    ['a control character', '{"email":"a"}', '{"email":"\u0001"}'],
    ['keys that are indices', '{"2":1,"1":1}', '{"2":1,"1":2}'],
  ])('a text that is not as the client writes JSON does not fit a template: %s', (_, first, second) => {
    const textOf = (where: string): string => JSON.stringify(many({ WHERE: 0 })).replace('{"WHERE":0}', () => where);
    learn(JSON.parse(textOf(first)), textOf(first));
    // Such a text is read in full, or refused.
    expect(texts.find('h', textOf(second))).toBeUndefined();
  });
});

it('the plan and parameters of a template are those of reading the text in full', () => {
  const word = fc.constantFrom('a', 'b', '"', '\\', 'USER', 'ADMIN', 'asc', '1', 'é', '');
  const scalar = fc.oneof(
    fc.constantFrom(0, 1, 2, 2 ** 31, -(2 ** 31), 0.5, 1e21, true, false, null),
    word,
    fc.record({ $type: fc.constantFrom('DateTime', 'Decimal', 'BigInt', 'Json', 'Enum', 'Param', 'X'), value: word }),
  );
  const value = fc.oneof(
    { weight: 3, arbitrary: scalar },
    { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
    {
      weight: 2,
      arbitrary: fc.dictionary(fc.constantFrom('equals', 'in', 'not', 'gt', 'path', '$type'), scalar, { maxKeys: 2 }),
    },
  );
  const field = fc.constantFrom('id', 'email', 'big', 'ratio', 'price', 'at', 'data', 'role', 'roles', 'flag', 'tags');
  const where = fc.dictionary(field, value, { maxKeys: 3 });
  const action = fc.constantFrom('findMany', 'findFirst', 'createOne', 'updateMany');
  const query = fc
    .record({ action, where, data: where })
    .map((given) => ({
      modelName: 'User',
      action: given.action,
      query: {
        arguments: given.action === 'findMany' ? { where: given.where } : { where: given.where, data: given.data },
        selection,
      },
    }))
    // Reading in full refuses a tag that it does not know.
    .filter(isRead);
  let hits = 0;
  fc.assert(
    fc.property(
      fc.array(query, { minLength: 1, maxLength: 6 }),
      fc.array(query, { maxLength: 6 }),
      (learned, asked) => {
        for (const each of learned) learn(each);
        for (const each of [...learned, ...asked]) if (found(each)) hits++;
      },
    ),
    { numRuns: 400 },
  );
  expect(hits).toBeGreaterThan(400);
});

it('PlansByTemplate holds no more bytes than its bound', () => {
  texts = new PlansByTemplate(new MemoryBudget(100_000));
  for (let index = 0; index < 500; index++) learn(many({ [`field${index}`]: index }));
  expect(texts.weight).toBeLessThanOrEqual(100_000);
  expect(found(many({ field499: 499 }))).toBe(true);
  expect(found(many({ field0: 0 }))).toBe(false);
});

it('PlansByTemplate stops learning texts of one hash that differ each time', () => {
  for (let index = 0; index < 300; index++) learn(many({ unknown: index }));
  expect(texts.weight).toBeLessThan(100_000);
  expect(found(many({ id: 1 }))).toBe(false);
});

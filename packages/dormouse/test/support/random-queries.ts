import fc from 'fast-check';

// Random queries over the library (library.ts): valid by construction, so that two engines can be asked the same.

type Arguments = Record<string, unknown>;
const optional = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Arguments> =>
  fc.record(fields, { requiredKeys: [] });

/** At most two of the fields: no record meets many conditions at once. */
const sparse = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Arguments> =>
  fc
    .subarray(Object.keys(fields), { maxLength: 2 })
    .chain((keys) => fc.record(Object.fromEntries(keys.map((key) => [key, fields[key] as fc.Arbitrary<unknown>]))));

const word = fc.constantFrom('a', 'A', 'da', 'Brian', 'e', '%', '_', 'x', 'Eve', 'example', 'C', '');
const int = fc.constantFrom(-1, 0, 1, 2, 3, 5, 30, 50, 70, 100);
const id = fc.integer({ min: 0, max: 7 });
const day = fc.integer({ min: 0, max: 14 }).map((number) => new Date(Date.UTC(2024, 0, number, 12)));
const float = fc.constantFrom(0, 2, 3.25, 4.5);
const role = fc.constantFrom('MEMBER', 'EDITOR', 'ADMIN');
const direction = fc.constantFrom('asc', 'desc');

const textFilter = fc.oneof(
  word,
  optional({ contains: word, startsWith: word, not: word }),
  optional({ endsWith: word, mode: fc.constant('insensitive') }),
  optional({ gte: word, lt: word }),
  fc.record({ in: fc.array(word, { maxLength: 3 }) }),
  fc.record({ notIn: fc.array(word, { maxLength: 3 }) }),
);
const nullable = (filter: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 4, arbitrary: filter }, fc.constant(null), fc.constant({ not: null }));
const numberFilter = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof(
    value,
    optional({ gt: value, lte: value }),
    optional({ gte: value, lt: value, not: value }),
    fc.record({ in: fc.array(value, { maxLength: 4 }) }),
    fc.record({ not: optional({ gt: value }) }),
  );
const listFilter = fc.oneof(
  fc.record({ has: fc.constantFrom('math', 'c', 'none') }),
  fc.record({ hasSome: fc.subarray(['math', 'poetry', 'c']) }),
  fc.record({ hasEvery: fc.subarray(['math', 'poetry']) }),
  fc.record({ isEmpty: fc.boolean() }),
);

function logic(
  fields: Record<string, fc.Arbitrary<unknown>>,
  deeper: fc.Arbitrary<Arguments> | undefined,
): fc.Arbitrary<Arguments> {
  if (deeper === undefined) return sparse(fields);
  return sparse({
    ...fields,
    AND: fc.array(deeper, { maxLength: 2 }),
    OR: fc.array(deeper, { minLength: 1, maxLength: 2 }),
    NOT: deeper,
  });
}

function some(to: (depth: number) => fc.Arbitrary<Arguments>, depth: number): Record<string, fc.Arbitrary<unknown>> {
  if (depth === 0) return {};
  const where = to(depth - 1);
  return { some: where, every: where, none: where };
}
const many = (to: (depth: number) => fc.Arbitrary<Arguments>, depth: number): fc.Arbitrary<unknown> =>
  fc.oneof(...Object.entries(some(to, depth)).map(([name, where]) => fc.record({ [name]: where })));
const one = (to: (depth: number) => fc.Arbitrary<Arguments>, depth: number): fc.Arbitrary<unknown> =>
  fc.oneof(fc.record({ is: to(depth - 1) }), fc.record({ isNot: to(depth - 1) }), to(depth - 1));

export function whereUser(depth = 2): fc.Arbitrary<Arguments> {
  return logic(
    {
      id: numberFilter(id),
      name: nullable(textFilter),
      email: textFilter,
      role: fc.oneof(role, fc.record({ in: fc.array(role, { maxLength: 2 }) }), fc.record({ not: role })),
      tags: listFilter,
      createdAt: numberFilter(day),
      managerId: nullable(numberFilter(id)),
      ...(depth > 0
        ? {
            posts: many(wherePost, depth),
            reviews: many(wherePost, depth),
            reports: many(whereUser, depth),
            manager: fc.oneof(one(whereUser, depth), fc.constant(null)),
          }
        : {}),
    },
    depth > 0 ? whereUser(0) : undefined,
  );
}

export function wherePost(depth = 2): fc.Arbitrary<Arguments> {
  return logic(
    {
      id: numberFilter(id),
      title: textFilter,
      published: fc.oneof(fc.boolean(), fc.record({ not: fc.boolean() })),
      views: numberFilter(int),
      rating: nullable(numberFilter(float)),
      writtenAt: nullable(numberFilter(day)),
      ...(depth > 0
        ? {
            author: one(whereUser, depth),
            reviewer: fc.oneof(one(whereUser, depth), fc.constant(null)),
            categories: many(() => optional({ name: textFilter }), depth),
            labels: many(() => optional({ note: nullable(textFilter) }), depth),
          }
        : {}),
    },
    depth > 0 ? wherePost(0) : undefined,
  );
}

const nulls = fc.record({ sort: direction, nulls: fc.constantFrom('first', 'last') });
// The id is always the last criterion: without it two right engines may answer in different orders.
const ordered = (fields: fc.Arbitrary<Arguments>): fc.Arbitrary<Arguments[]> =>
  fc.tuple(fc.array(fields, { maxLength: 2 }), direction).map(([first, last]) => [...first, { id: last }]);
const orderUser = ordered(
  fc.oneof(
    fc.record({ name: fc.oneof(direction, nulls) }),
    fc.record({ role: direction }),
    fc.record({ createdAt: direction }),
    fc.record({ posts: fc.record({ _count: direction }) }),
    fc.record({ manager: fc.record({ email: direction }) }),
  ),
);
const orderPost = ordered(
  fc.oneof(
    fc.record({ views: direction }),
    fc.record({ rating: nulls }),
    fc.record({ published: direction }),
    fc.record({ author: fc.record({ email: direction }) }),
  ),
);
const page = { take: fc.integer({ min: -3, max: 4 }), skip: fc.integer({ min: 0, max: 2 }) };

const postFields = optional({
  id: fc.constant(true),
  title: fc.constant(true),
  views: fc.constant(true),
  rating: fc.constant(true),
  writtenAt: fc.constant(true),
});

/** What comes along with a user: relations, nested, filtered, ordered and cut. */
function bringUser(depth: number): fc.Arbitrary<Arguments> {
  return optional({
    profile: fc.boolean(),
    manager: fc.oneof(fc.boolean(), fc.record({ select: fc.constant({ id: true, name: true }) })),
    reports: fc.oneof(fc.boolean(), fc.record({ orderBy: orderUser, where: whereUser(0) })),
    posts: fc.record({ orderBy: orderPost, ...(depth > 0 ? { include: bringPost(depth - 1) } : {}) }).chain((base) =>
      optional({
        where: wherePost(1),
        take: fc.integer({ min: 1, max: 2 }),
        skip: fc.integer({ min: 0, max: 1 }),
      }).map((more) => ({ ...base, ...more })),
    ),
    memberships: fc.record({
      orderBy: fc.constant({ org: 'asc' }),
      include: fc.constant({ invoices: { orderBy: { id: 'asc' } } }),
    }),
    _count: fc.record({
      select: fc.record({
        posts: fc.oneof(fc.constant(true), fc.record({ where: wherePost(0) })),
        reports: fc.boolean(),
      }),
    }),
  });
}
function bringPost(depth: number): fc.Arbitrary<Arguments> {
  return optional({
    author: depth > 0 ? fc.record({ include: bringUser(depth - 1) }) : fc.boolean(),
    reviewer: fc.boolean(),
    categories: fc.record({ orderBy: fc.constant({ name: 'asc' }), where: optional({ name: textFilter }) }),
    labels: fc.record({ orderBy: fc.constant({ labelId: 'asc' }), include: fc.constant({ label: true }) }),
    _count: fc.record({ select: fc.constant({ categories: true, labels: true }) }),
  });
}

/** One read: model, operation, arguments. */
export interface RandomRead {
  readonly model: 'user' | 'post';
  readonly operation: string;
  readonly args: Arguments;
}

const strategy = fc.constantFrom('query', 'join');
const read = (model: RandomRead['model'], operation: string, args: fc.Arbitrary<Arguments>): fc.Arbitrary<RandomRead> =>
  args.map((each) => ({ model, operation, args: each }));
const merged = (...parts: fc.Arbitrary<Arguments>[]): fc.Arbitrary<Arguments> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all));
// Prisma 6's own engine panics at an empty filter of a sum.
const sumFilter = fc.oneof(
  fc.record({ gte: int }),
  fc.record({ lt: int, not: int }),
  fc.record({ in: fc.array(int, { minLength: 1, maxLength: 3 }) }),
);

export const randomRead: fc.Arbitrary<RandomRead> = fc.oneof(
  {
    weight: 4,
    arbitrary: read(
      'user',
      'findMany',
      merged(
        fc.record({ orderBy: orderUser, relationLoadStrategy: strategy }),
        optional({ where: whereUser(), ...page, cursor: fc.record({ id: fc.integer({ min: 1, max: 5 }) }) }),
        fc.oneof(optional({ include: bringUser(2) }), fc.constant({})),
      ),
    ),
  },
  {
    weight: 4,
    arbitrary: read(
      'post',
      'findMany',
      merged(
        fc.record({ orderBy: orderPost, relationLoadStrategy: strategy }),
        optional({ where: wherePost(), ...page }),
        fc.oneof(
          optional({ include: bringPost(1) }),
          postFields.map((select) => ({ select: { id: true, ...select } })),
        ),
      ),
    ),
  },
  read('user', 'findFirst', merged(fc.record({ where: whereUser(), orderBy: orderUser }))),
  read('user', 'findUniqueOrThrow', fc.record({ where: fc.record({ id, role }) })),
  read(
    'user',
    'count',
    optional({ where: whereUser(), take: fc.integer({ min: 1, max: 3 }), skip: fc.integer({ min: 0, max: 2 }) }),
  ),
  read(
    'post',
    'aggregate',
    merged(
      optional({ where: wherePost() }),
      fc.constant({ _count: { _all: true, rating: true }, _sum: { views: true }, _avg: { views: true, rating: true } }),
      fc.constant({ _min: { title: true, writtenAt: true, rating: true }, _max: { title: true, views: true } }),
    ),
  ),
  read(
    'post',
    'groupBy',
    merged(
      fc.constant({
        by: ['authorId', 'published'],
        _count: { _all: true },
        _max: { rating: true },
        _sum: { views: true },
      }),
      fc.record({ orderBy: fc.tuple(direction, direction).map(([a, p]) => [{ authorId: a }, { published: p }]) }),
      optional({ where: wherePost(1), having: fc.record({ views: fc.record({ _sum: sumFilter }) }) }),
    ),
  ),
);

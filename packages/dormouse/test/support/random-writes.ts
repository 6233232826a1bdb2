import fc from 'fast-check';
import { wherePost, whereUser } from './random-queries.ts';

// Random writes to the library (library.ts). Every write names its ids, because writes that are rolled back would make
// the sequences of two databases differ.

type Arguments = Record<string, unknown>;

/** One write: model, operation, arguments. */
export interface RandomWrite {
  readonly model: 'user' | 'post' | 'membership' | 'label';
  readonly operation: string;
  readonly args: Arguments;
}

const userId = fc.integer({ min: 1, max: 7 });
const postId = fc.integer({ min: 1, max: 8 });
const categoryId = fc.integer({ min: 1, max: 4 });
const freshId = fc.integer({ min: 20, max: 40 });
const email = fc.constantFrom('ada@example.com', 'eve@example.org', 'new@example.com', 'other@example.com');
const title = fc.constantFrom('Notes', 'C', 'UNIX', 'Fresh', 'Second', 'x'.repeat(61));
const updatedAt = fc.constant(new Date('2024-05-05T05:05:05Z'));
const createdAt = fc.constant(new Date('2024-04-04T04:04:04Z'));

/** At most two of the changes: each more makes failing likelier, and a failure hides the others. */
const sparse = (fields: Record<string, fc.Arbitrary<unknown>>, maxLength = 2): fc.Arbitrary<Arguments> =>
  fc
    .subarray(Object.keys(fields), { maxLength })
    .chain((keys) => fc.record(Object.fromEntries(keys.map((key) => [key, fields[key] as fc.Arbitrary<unknown>]))));
const merged = (...parts: fc.Arbitrary<Arguments>[]): fc.Arbitrary<Arguments> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all));

const number = fc.oneof(
  fc.integer({ min: 0, max: 99 }),
  fc.record({ increment: fc.integer({ min: -5, max: 5 }) }),
  fc.record({ multiply: fc.constantFrom(0, 2, 3) }),
  fc.record({ set: fc.integer({ min: 0, max: 9 }) }),
);

const newPost = merged(
  fc.record({ id: freshId, title }),
  sparse({ views: fc.integer({ min: 0, max: 9 }), published: fc.boolean() }),
);
const categories = sparse(
  {
    connect: fc.array(fc.record({ id: categoryId }), { maxLength: 2 }),
    disconnect: fc.array(fc.record({ id: categoryId }), { maxLength: 2 }),
    set: fc.array(fc.record({ id: categoryId }), { maxLength: 2 }),
    create: fc.record({ id: freshId, name: fc.constantFrom('science', 'fresh') }),
    connectOrCreate: fc
      .constantFrom('science', 'made')
      .chain((name) =>
        fc.record({ where: fc.constant({ name }), create: fc.record({ id: freshId, name: fc.constant(name) }) }),
      ),
    update: fc.record({
      where: fc.record({ id: categoryId }),
      data: fc.record({ name: fc.constantFrom('science', 'renamed') }),
    }),
    deleteMany: fc.record({ name: fc.constantFrom('history', 'none') }),
  },
  1,
);
const postChange = sparse({
  title,
  views: number,
  rating: fc.oneof(fc.constant(null), fc.constantFrom(1.5, 2.25)),
  published: fc.boolean(),
  categories,
  reviewer: fc.oneof(fc.record({ connect: fc.record({ id: userId }) }), fc.constant({ disconnect: true })),
  author: fc.record({ connect: fc.record({ id: userId }) }),
});
const profile = fc.oneof(
  fc.record({ create: fc.record({ id: freshId, bio: fc.constant('made') }) }),
  fc.record({ update: fc.record({ bio: fc.constant('changed') }) }),
  fc.record({
    upsert: fc.record({
      create: fc.record({ id: freshId, bio: fc.constant('up') }),
      update: fc.record({ bio: fc.constant('set') }),
    }),
  }),
  fc.constant({ delete: true }),
  fc.record({ connect: fc.record({ id: fc.integer({ min: 1, max: 3 }) }) }),
);
const posts = sparse(
  {
    create: fc.array(newPost, { minLength: 1, maxLength: 2 }),
    createMany: fc.record({ data: fc.array(newPost, { maxLength: 2 }), skipDuplicates: fc.boolean() }),
    connect: fc.record({ id: postId }),
    update: fc.record({ where: fc.record({ id: postId }), data: postChange }),
    updateMany: fc.record({ where: wherePost(0), data: fc.record({ views: number }) }),
    upsert: fc.record({ where: fc.record({ id: postId }), create: newPost, update: postChange }),
    delete: fc.record({ id: postId }),
    deleteMany: wherePost(0),
  },
  1,
);
const userChange = sparse(
  {
    name: fc.oneof(fc.constant(null), fc.constantFrom('Zoe', 'Ada')),
    email,
    role: fc.constantFrom('MEMBER', 'ADMIN'),
    tags: fc.oneof(fc.record({ push: fc.constant('pushed') }), fc.record({ set: fc.constant(['set']) })),
    posts,
    profile,
    manager: fc.oneof(fc.record({ connect: fc.record({ id: userId }) }), fc.constant({ disconnect: true })),
    reports: fc.oneof(
      fc.record({ set: fc.array(fc.record({ id: userId }), { maxLength: 2 }) }),
      fc.record({ connect: fc.record({ id: userId }) }),
    ),
  },
  3,
);
const touched = (change: fc.Arbitrary<Arguments>): fc.Arbitrary<Arguments> => merged(fc.record({ updatedAt }), change);
const newUser = merged(
  fc.record({ id: freshId, email, createdAt, updatedAt }),
  sparse({
    name: fc.constant('New'),
    posts: fc.record({ create: newPost }),
    profile: fc.record({ create: fc.record({ id: freshId, bio: fc.constant('b') }) }),
  }),
);

const write = (
  model: RandomWrite['model'],
  operation: string,
  args: fc.Arbitrary<Arguments>,
): fc.Arbitrary<RandomWrite> => args.map((each) => ({ model, operation, args: each }));
const brings = fc.constant({ include: { posts: { orderBy: { id: 'asc' } }, profile: true } });
const member = fc.record({ member: fc.record({ org: fc.constantFrom('acme', 'cog'), userId }) });

export const randomWrite: fc.Arbitrary<RandomWrite> = fc.oneof(
  write('user', 'create', merged(fc.record({ data: newUser }), brings)),
  {
    weight: 4,
    arbitrary: write(
      'user',
      'update',
      merged(fc.record({ where: fc.record({ id: userId }), data: touched(userChange) }), brings),
    ),
  },
  write(
    'user',
    'upsert',
    merged(fc.record({ where: fc.record({ email }), create: newUser, update: touched(userChange) }), brings),
  ),
  write(
    'user',
    'updateMany',
    fc.record({ where: whereUser(1), data: fc.record({ name: fc.constant('Many'), updatedAt }) }),
  ),
  write('user', 'delete', fc.record({ where: fc.record({ id: userId }) })),
  { weight: 2, arbitrary: write('post', 'update', fc.record({ where: fc.record({ id: postId }), data: postChange })) },
  write(
    'post',
    'create',
    merged(
      fc.record({ data: merged(newPost, fc.record({ author: fc.record({ connect: fc.record({ id: userId }) }) })) }),
    ),
  ),
  write(
    'post',
    'createMany',
    fc.record({
      data: fc.array(merged(newPost, fc.record({ authorId: userId })), { maxLength: 3 }),
      skipDuplicates: fc.boolean(),
    }),
  ),
  write('post', 'deleteMany', fc.record({ where: wherePost(1) })),
  write('post', 'delete', fc.record({ where: fc.record({ id: postId }) })),
  write(
    'membership',
    'upsert',
    fc.record({
      where: member,
      create: fc.record({ org: fc.constant('cog'), userId }),
      update: fc.record({ level: number }),
    }),
  ),
  write('label', 'delete', fc.record({ where: fc.record({ name: fc.constantFrom('old', 'new', 'none') }) })),
);

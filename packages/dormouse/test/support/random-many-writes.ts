import fc from 'fast-check';
import { wherePost } from './random-queries.ts';
import type { RandomWrite } from './random-writes.ts';

// Writes of many records that give them back, and those deep below others, over the library (library.ts). Prisma 6's
// own engine and the platform are compared by random-writes.ts; these are for comparing two ways of running one plan.

const userId = fc.integer({ min: 1, max: 7 });
const freshId = fc.integer({ min: 20, max: 40 });
const postId = fc.integer({ min: 1, max: 8 });
const title = fc.constantFrom('Notes', 'C', 'Fresh', 'Second', 'é"\\');
const strategy = fc.constantFrom('query', 'join');
const write = (
  model: RandomWrite['model'],
  operation: string,
  args: fc.Arbitrary<Record<string, unknown>>,
): fc.Arbitrary<RandomWrite> => args.map((each) => ({ model, operation, args: each }));

const manyPosts = fc.array(
  fc.record(
    { id: freshId, title, authorId: userId, views: fc.integer({ min: 0, max: 9 }), reviewerId: userId },
    { requiredKeys: ['id', 'title', 'authorId'] },
  ),
  { minLength: 1, maxLength: 4 },
);
const bring = fc.constantFrom(
  {},
  { include: { author: true } },
  { include: { author: true, reviewer: true } },
  {
    select: { id: true, views: true },
  },
);
const label = fc.record({
  label: fc.record({
    connectOrCreate: fc
      .constantFrom('old', 'made')
      .map((name) => ({ where: { name }, create: { id: `label-${name}`, name } })),
  }),
  note: fc.constantFrom('first', null),
});

export const randomManyWrite: fc.Arbitrary<RandomWrite> = fc.oneof(
  write(
    'post',
    'createManyAndReturn',
    fc.tuple(manyPosts, fc.boolean(), bring).map(([data, skipDuplicates, more]) => ({ data, skipDuplicates, ...more })),
  ),
  write(
    'post',
    'updateManyAndReturn',
    fc
      .tuple(wherePost(1), fc.integer({ min: 0, max: 9 }), bring)
      .map(([where, views, more]) => ({ where, data: { views: { increment: views } }, ...more })),
  ),
  write('post', 'updateMany', fc.record({ where: wherePost(1), data: fc.constant({ views: { multiply: 2 } }) })),
  {
    weight: 2,
    arbitrary: write(
      'post',
      'update',
      fc
        .tuple(
          postId,
          fc.constantFrom('create', 'deleteMany', 'set'),
          fc.array(label, { minLength: 1, maxLength: 2 }),
          strategy,
        )
        .map(([id, how, labels, relationLoadStrategy]) => ({
          where: { id },
          data: {
            labels:
              how === 'create'
                ? { create: labels }
                : how === 'set'
                  ? { set: [{ postId_labelId: { postId: id, labelId: 'label-old' } }] }
                  : { deleteMany: {} },
          },
          relationLoadStrategy,
          include: { labels: { orderBy: { labelId: 'asc' }, include: { label: true } }, author: true },
        })),
    ),
  },
  write(
    'user',
    'delete',
    fc.tuple(userId, strategy).map(([id, relationLoadStrategy]) => ({
      where: { id },
      relationLoadStrategy,
      include: { profile: true, memberships: { orderBy: { org: 'asc' } }, _count: { select: { posts: true } } },
    })),
  ),
  write(
    'user',
    'update',
    fc.tuple(userId, strategy, userId, freshId).map(([id, relationLoadStrategy, other, fresh]) => ({
      where: { id },
      relationLoadStrategy,
      data: {
        updatedAt: new Date('2024-05-05T05:05:05Z'),
        reports: { disconnect: [{ id: other }], connect: [{ id: (other % 5) + 1 }] },
        posts: {
          create: [{ id: fresh, title: 'Deep', categories: { create: [{ id: fresh, name: `made ${fresh}` }] } }],
          updateMany: [{ where: { views: { gt: 40 } }, data: { views: { decrement: 1 } } }],
        },
      },
      include: {
        posts: { orderBy: { id: 'asc' }, include: { categories: true } },
        reports: { orderBy: { id: 'asc' } },
      },
    })),
  ),
);

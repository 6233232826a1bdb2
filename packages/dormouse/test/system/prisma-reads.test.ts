import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose } from '../support/clients.ts';
import { seedLibrary } from '../support/library.ts';
import { startTargets, type Targets } from '../support/target.ts';

let targets: Targets;
beforeAll(async () => {
  targets = await startTargets();
});
afterAll(() => targets?.stop());

describe.each(CLIENT_VERSIONS)('reading through the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  let Prisma: Loose;
  beforeAll(async () => {
    const target = targets.of(version);
    prisma = target.open();
    Prisma = target.module.Prisma;
    await seedLibrary(prisma, Prisma);
  });

  const users = async (where: object, more: object = {}): Promise<number[]> =>
    (await prisma.user.findMany({ where, orderBy: { id: 'asc' }, select: { id: true }, ...more })).map(
      (row: Loose) => row.id,
    );
  const posts = async (where: object, more: object = {}): Promise<number[]> =>
    (await prisma.post.findMany({ where, orderBy: { id: 'asc' }, select: { id: true }, ...more })).map(
      (row: Loose) => row.id,
    );

  describe('one record', () => {
    it('findUnique finds a record by every kind of unique', async () => {
      expect(await prisma.user.findUnique({ where: { id: 1 } })).toEqual({
        ...{ id: 1, email: 'ada@example.com', name: 'Ada', role: 'ADMIN', tags: ['math', 'poetry'], scores: [3, 5, 8] },
        ...{ settings: { theme: 'dark', nested: { depth: 2 }, list: [1, 2, 3] }, managerId: null },
        ...{ createdAt: new Date('2024-01-01T12:00:00Z'), updatedAt: expect.any(Date) },
      });
      expect((await prisma.user.findUnique({ where: { email: 'dora@example.com' } })).id).toBe(4);
      expect((await prisma.post.findUnique({ where: { authorId_title: { authorId: 2, title: 'UNIX' } } })).id).toBe(5);
      expect(await prisma.membership.findUnique({ where: { member: { org: 'acme', userId: 2 } } })).toEqual({
        org: 'acme',
        userId: 2,
        level: 1,
      });
      expect((await prisma.invoice.findUnique({ where: { number: 9007199254740993n } })).id).toBe('i2');
      expect(await prisma.user.findUnique({ where: { id: 99 } })).toBeNull();
    });

    it('findUnique finds a record that also meets a condition', async () => {
      expect(await prisma.user.findUnique({ where: { id: 1, role: 'ADMIN' }, select: { id: true } })).toEqual({
        id: 1,
      });
      expect(await prisma.user.findUnique({ where: { id: 1, role: 'MEMBER' } })).toBeNull();
    });

    it('the OrThrow forms throw P2025 when no record is found', async () => {
      expect((await prisma.user.findUniqueOrThrow({ where: { id: 2 } })).name).toBe('Brian');
      expect((await prisma.user.findFirstOrThrow({ where: { name: 'Brian' } })).id).toBe(2);
      await expect(prisma.user.findUniqueOrThrow({ where: { id: 99 } })).rejects.toMatchObject({ code: 'P2025' });
      await expect(prisma.user.findFirstOrThrow({ where: { name: 'Nobody' } })).rejects.toMatchObject({
        code: 'P2025',
      });
    });

    it('findFirst returns the first record by order, or null', async () => {
      expect((await prisma.post.findFirst({ orderBy: { views: 'desc' } })).title).toBe('Notes');
      expect(
        (await prisma.post.findFirst({ where: { published: true }, orderBy: { views: 'asc' }, skip: 1 })).title,
      ).toBe('Engines');
      expect(await prisma.post.findFirst({ where: { title: 'none' } })).toBeNull();
    });

    it('relations are loaded through the fluent form', async () => {
      expect((await prisma.post.findUnique({ where: { id: 4 } }).author()).name).toBe('Brian');
      expect(
        (await prisma.user.findUnique({ where: { id: 1 } }).posts({ orderBy: { id: 'asc' } })).map((p: Loose) => p.id),
      ).toEqual([1, 2, 3]);
      expect(await prisma.user.findUnique({ where: { id: 99 } }).posts()).toBeNull();
    });
  });

  describe('conditions', () => {
    it('conditions on strings find the right records', async () => {
      expect(await users({ email: { endsWith: '.org' } })).toEqual([5]);
      expect(await users({ email: { startsWith: 'b' } })).toEqual([2]);
      expect(await users({ email: { contains: 'o@ex' } })).toEqual([3]);
      expect(await users({ name: { contains: 'A' } })).toEqual([1]);
      expect(await users({ name: { contains: 'a', mode: 'insensitive' } })).toEqual([1, 2, 4]);
      expect(await users({ name: { equals: 'DORA', mode: 'insensitive' } })).toEqual([4]);
      expect(await users({ name: { startsWith: '100%_' } })).toEqual([5]);
      expect(await users({ name: { in: ['Ada', 'Brian', 'Nobody'] } })).toEqual([1, 2]);
      expect(await users({ name: { in: [] } })).toEqual([]);
      expect(await users({ name: { notIn: ['Ada'] } })).toEqual([2, 4, 5]);
      expect(await users({ name: { not: 'Ada' } })).toEqual([2, 4, 5]);
      expect(await users({ name: null })).toEqual([3]);
      expect(await users({ name: { not: null } })).toEqual([1, 2, 4, 5]);
      expect(await users({ name: { gt: 'B', lte: 'Brian' } })).toEqual([2]);
      expect(await users({ name: { not: { startsWith: 'B' } } })).toEqual([1, 4, 5]);
    });

    it('conditions on numbers, decimals and bigints find the right records', async () => {
      expect(await posts({ views: { gte: 50 } })).toEqual([1, 2, 4]);
      expect(await posts({ views: { gt: 5, lt: 70 } })).toEqual([2, 5]);
      expect(await posts({ rating: { equals: 4.5 } })).toEqual([1, 4]);
      expect(await posts({ rating: { not: 4.5 } })).toEqual([2, 5]);
      const invoices = async (where: object): Promise<string[]> =>
        (await prisma.invoice.findMany({ where, orderBy: { id: 'asc' } })).map((row: Loose) => row.id);
      expect(await invoices({ amount: { lt: '0.001' } })).toEqual(['i2', 'i3']);
      expect(await invoices({ amount: new Prisma.Decimal('10.5') })).toEqual(['i1']);
      expect(await invoices({ number: { gt: 9007199254740992n } })).toEqual(['i2']);
      expect(await invoices({ number: { in: [1n, 4n] } })).toEqual(['i1', 'i4']);
    });

    it('conditions on dates, booleans and enums find the right records', async () => {
      expect(await users({ createdAt: { gte: new Date('2024-01-03T12:00:00Z'), lt: '2024-01-05T00:00:00Z' } })).toEqual(
        [3, 4],
      );
      expect(await posts({ writtenAt: new Date('2024-01-12T12:00:00Z') })).toEqual([4]);
      expect(await posts({ published: false })).toEqual([3, 6]);
      expect(await users({ role: 'EDITOR' })).toEqual([2, 5]);
      expect(await users({ role: { in: ['ADMIN', 'EDITOR'] } })).toEqual([1, 2, 5]);
      expect(await users({ role: { not: 'ADMIN' } })).toEqual([2, 3, 4, 5]);
    });

    it('combined conditions find the right records', async () => {
      expect(await users({ AND: [{ role: 'EDITOR' }, { name: 'Brian' }] })).toEqual([2]);
      expect(await users({ OR: [{ id: 1 }, { name: null }] })).toEqual([1, 3]);
      expect(await users({ OR: [] })).toEqual([]);
      expect(await users({ AND: [] })).toEqual([1, 2, 3, 4, 5]);
      expect(await users({ NOT: { role: 'EDITOR' } })).toEqual([1, 3, 4]);
      expect(await users({ NOT: [{ role: 'EDITOR' }, { role: 'ADMIN' }] })).toEqual([3, 4]);
      expect(await users({ AND: { OR: [{ id: { lt: 3 } }, { id: 5 }] }, NOT: { id: 1 } })).toEqual([2, 5]);
    });

    it('conditions on scalar lists find the right records', async () => {
      expect(await users({ tags: { has: 'math' } })).toEqual([1, 4]);
      expect(await users({ tags: { hasEvery: ['poetry', 'math'] } })).toEqual([1]);
      expect(await users({ tags: { hasSome: ['c', 'poetry'] } })).toEqual([1, 2, 5]);
      expect(await users({ tags: { isEmpty: true } })).toEqual([3]);
      expect(await users({ tags: { equals: ['math'] } })).toEqual([4]);
      expect(await users({ scores: { has: 5 } })).toEqual([1, 4]);
    });

    it('conditions on Json find the right records', async () => {
      expect(await users({ settings: { path: ['theme'], equals: 'dark' } })).toEqual([1]);
      expect(await users({ settings: { path: ['nested', 'depth'], gte: 2 } })).toEqual([1]);
      expect(await users({ settings: { path: ['theme'], string_starts_with: 'li' } })).toEqual([2]);
      expect(await users({ settings: { path: ['theme'], string_contains: 'ar' } })).toEqual([1]);
      expect(await users({ settings: { path: ['list'], array_contains: [2] } })).toEqual([1]);
      expect(await users({ settings: { path: ['list'], array_starts_with: 1 } })).toEqual([1]);
      expect(await users({ settings: { path: ['list'], array_ends_with: 3 } })).toEqual([1]);
      expect(await users({ settings: { equals: { theme: 'light' } } })).toEqual([2]);
      expect(await users({ settings: { equals: Prisma.JsonNull } })).toEqual([4]);
      expect(await users({ settings: { equals: Prisma.DbNull } })).toEqual([3, 5]);
      expect(await users({ settings: { equals: Prisma.AnyNull } })).toEqual([3, 4, 5]);
    });

    it('conditions on relations find the right records', async () => {
      expect(await users({ posts: { some: { published: true } } })).toEqual([1, 2]);
      expect(await users({ posts: { every: { published: true } } })).toEqual([2, 3, 5]);
      expect(await users({ posts: { none: {} } })).toEqual([3, 5]);
      expect(await users({ posts: { some: { categories: { some: { name: 'code' } } } } })).toEqual([2]);
      expect(await users({ profile: { is: { bio: 'Countess' } } })).toEqual([1]);
      expect(await users({ profile: { isNot: { bio: 'Countess' } } })).toEqual([2, 3, 4, 5]);
      expect(await users({ profile: null })).toEqual([3, 4, 5]);
      expect(await users({ manager: { name: 'Ada' } })).toEqual([2, 3]);
      expect(await users({ manager: { manager: { id: 1 } } })).toEqual([4]);
      expect(await users({ manager: { is: null } })).toEqual([1, 5]);
      expect(await users({ reports: { some: {} } })).toEqual([1, 2]);
      expect(await posts({ reviewer: { isNot: null } })).toEqual([1, 4, 6]);
      expect(await posts({ labels: { some: { label: { name: 'old' } } } })).toEqual([1, 5]);
      expect(await users({ memberships: { some: { invoices: { some: { amount: { gt: 1 } } } } } })).toEqual([1]);
    });

    it('a condition can compare a field with another field', async () => {
      expect(await posts({ views: { gt: prisma.post.fields.authorId }, authorId: 4 })).toEqual([6]);
      expect(await posts({ reviewerId: { lt: prisma.post.fields.authorId } })).toEqual([4, 6]);
    });
  });

  describe('order, pages and distinct', () => {
    it('records are ordered by one field, by several, and by nulls', async () => {
      const by = async (orderBy: unknown): Promise<number[]> =>
        (await prisma.post.findMany({ orderBy, select: { id: true } })).map((row: Loose) => row.id);
      expect(await by({ views: 'desc' })).toEqual([1, 4, 2, 5, 6, 3]);
      expect(await by([{ published: 'desc' }, { rating: 'desc' }, { id: 'desc' }])).toEqual([4, 1, 2, 5, 6, 3]);
      expect(await by([{ rating: { sort: 'asc', nulls: 'first' } }, { id: 'asc' }])).toEqual([3, 6, 5, 2, 1, 4]);
      expect(await by([{ rating: { sort: 'desc', nulls: 'last' } }, { id: 'asc' }])).toEqual([1, 4, 2, 5, 3, 6]);
    });

    it('records are ordered by relations', async () => {
      const by = async (orderBy: unknown): Promise<number[]> =>
        (await prisma.user.findMany({ orderBy, select: { id: true } })).map((row: Loose) => row.id);
      expect(await by([{ posts: { _count: 'desc' } }, { id: 'asc' }])).toEqual([1, 2, 4, 3, 5]);
      expect(
        (await prisma.post.findMany({ orderBy: [{ author: { email: 'desc' } }, { id: 'asc' }] })).map(
          (p: Loose) => p.id,
        ),
      ).toEqual([6, 4, 5, 1, 2, 3]);
    });

    it('records are paged by take, skip and cursor, forwards and backwards', async () => {
      expect(await posts({}, { take: 2 })).toEqual([1, 2]);
      expect(await posts({}, { take: 2, skip: 3 })).toEqual([4, 5]);
      expect(await posts({}, { take: -2 })).toEqual([5, 6]);
      expect(await posts({}, { take: 0 })).toEqual([]);
      expect(await posts({}, { cursor: { id: 3 }, take: 2 })).toEqual([3, 4]);
      expect(await posts({}, { cursor: { id: 3 }, skip: 1, take: 2 })).toEqual([4, 5]);
      expect(await posts({}, { cursor: { id: 3 }, take: -2 })).toEqual([2, 3]);
      expect(await posts({}, { cursor: { authorId_title: { authorId: 2, title: 'C' } }, take: 2 })).toEqual([4, 5]);
      expect(await posts({}, { cursor: { id: 99 } })).toEqual([]);
    });

    it('records inside a relation are paged', async () => {
      const found = await prisma.user.findMany({
        where: { id: { in: [1, 2] } },
        orderBy: { id: 'asc' },
        select: { id: true, posts: { orderBy: { views: 'desc' }, take: 1, skip: 1, select: { title: true } } },
      });
      expect(found).toEqual([
        { id: 1, posts: [{ title: 'Engines' }] },
        { id: 2, posts: [{ title: 'UNIX' }] },
      ]);
    });

    it('distinct returns distinct records', async () => {
      const rows = await prisma.user.findMany({
        distinct: ['role'],
        orderBy: [{ role: 'asc' }, { id: 'asc' }],
        select: { id: true, role: true },
      });
      expect(rows).toEqual([
        { id: 3, role: 'MEMBER' },
        { id: 2, role: 'EDITOR' },
        { id: 1, role: 'ADMIN' },
      ]);
      expect(
        await prisma.post.findMany({
          distinct: ['authorId', 'published'],
          orderBy: { id: 'asc' },
          select: { id: true },
          take: 3,
        }),
      ).toEqual([{ id: 1 }, { id: 3 }, { id: 4 }]);
    });
  });

  describe('relations loaded with a record', () => {
    const strategies = ['query', 'join'] as const;

    it.each(strategies)('nested include, select and omit load relations by %s', async (relationLoadStrategy) => {
      const found = await prisma.user.findMany({
        relationLoadStrategy,
        where: { id: { in: [1, 3] } },
        orderBy: { id: 'asc' },
        omit: { createdAt: true, updatedAt: true, settings: true, scores: true, tags: true, role: true },
        include: {
          profile: { select: { bio: true } },
          manager: { select: { name: true } },
          posts: {
            where: { published: true },
            orderBy: { id: 'asc' },
            select: {
              title: true,
              rating: true,
              writtenAt: true,
              reviewer: { select: { email: true } },
              categories: { orderBy: { name: 'asc' }, select: { name: true } },
              labels: { orderBy: { labelId: 'asc' }, select: { note: true, label: { select: { name: true } } } },
            },
          },
          memberships: {
            orderBy: { org: 'asc' },
            select: { org: true, invoices: { orderBy: { id: 'asc' }, select: { number: true, amount: true } } },
          },
        },
      });
      expect(found).toEqual([
        {
          id: 1,
          email: 'ada@example.com',
          name: 'Ada',
          managerId: null,
          manager: null,
          profile: { bio: 'Countess' },
          posts: [
            {
              title: 'Notes',
              rating: 4.5,
              writtenAt: new Date('2024-01-10T12:00:00Z'),
              reviewer: { email: 'brian@example.com' },
              categories: [{ name: 'history' }, { name: 'science' }],
              labels: [
                { note: null, label: { name: 'new' } },
                { note: 'first', label: { name: 'old' } },
              ],
            },
            {
              title: 'Engines',
              rating: 3.25,
              writtenAt: new Date('2024-01-11T12:00:00Z'),
              reviewer: null,
              categories: [{ name: 'science' }],
              labels: [],
            },
          ],
          memberships: [
            {
              org: 'acme',
              invoices: [
                { number: 1n, amount: new Prisma.Decimal('10.5') },
                { number: 9007199254740993n, amount: new Prisma.Decimal('0.0001') },
              ],
            },
            { org: 'bolt', invoices: [{ number: 3n, amount: new Prisma.Decimal('-99.99') }] },
          ],
        },
        {
          ...{ id: 3, email: 'cleo@example.com', name: null, managerId: 1, manager: { name: 'Ada' } },
          ...{ profile: null, posts: [], memberships: [] },
        },
      ]);
    });

    it.each(strategies)('counts of relations are correct by %s', async (relationLoadStrategy) => {
      const found = await prisma.user.findMany({
        relationLoadStrategy,
        where: { id: { lte: 3 } },
        orderBy: { id: 'asc' },
        select: {
          id: true,
          _count: { select: { posts: true, reports: true, reviews: { where: { published: true } } } },
        },
      });
      expect(found).toEqual([
        { id: 1, _count: { posts: 3, reports: 2, reviews: 1 } },
        { id: 2, _count: { posts: 2, reports: 1, reviews: 1 } },
        { id: 3, _count: { posts: 0, reports: 0, reviews: 0 } },
      ]);
    });

    it.each(strategies)(
      'scalars of every kind inside a relation keep their values by %s',
      async (relationLoadStrategy) => {
        const found = await prisma.profile.findUnique({
          relationLoadStrategy,
          where: { id: 1 },
          select: {
            avatar: true,
            user: { select: { role: true, tags: true, scores: true, settings: true, createdAt: true } },
          },
        });
        expect(found).toEqual({
          avatar: null,
          user: {
            role: 'ADMIN',
            tags: ['math', 'poetry'],
            scores: [3, 5, 8],
            settings: { theme: 'dark', nested: { depth: 2 }, list: [1, 2, 3] },
            createdAt: new Date('2024-01-01T12:00:00Z'),
          },
        });
      },
    );

    it('a view and its relation can be read', async () => {
      expect(
        await prisma.authorStats.findMany({
          orderBy: { authorId: 'asc' },
          include: { user: { select: { name: true } } },
        }),
      ).toEqual([
        { authorId: 1, posts: 3, views: 150, user: { name: 'Ada' } },
        { authorId: 2, posts: 2, views: 100, user: { name: 'Brian' } },
        { authorId: 4, posts: 1, views: 5, user: { name: 'dora' } },
      ]);
      expect((await prisma.user.findUnique({ where: { id: 2 }, select: { stats: true } })).stats).toEqual({
        authorId: 2,
        posts: 2,
        views: 100,
      });
    });
  });

  describe('aggregation', () => {
    it('count counts all, matching and non-null records', async () => {
      expect(await prisma.user.count()).toBe(5);
      expect(await prisma.user.count({ where: { role: 'EDITOR' } })).toBe(2);
      expect(await prisma.user.count({ take: 3, skip: 1 })).toBe(3);
      expect(await prisma.user.count({ select: { _all: true, name: true, managerId: true } })).toEqual({
        _all: 5,
        name: 4,
        managerId: 3,
      });
    });

    it('aggregate computes counts, sums, averages, minima and maxima', async () => {
      expect(
        await prisma.post.aggregate({
          where: { published: true },
          _count: { _all: true, reviewerId: true },
          _sum: { views: true, rating: true },
          _avg: { views: true },
          _min: { title: true, writtenAt: true },
          _max: { views: true },
        }),
      ).toEqual({
        _count: { _all: 4, reviewerId: 2 },
        _sum: { views: 250, rating: 14.25 },
        _avg: { views: 62.5 },
        _min: { title: 'C', writtenAt: new Date('2024-01-10T12:00:00Z') },
        _max: { views: 100 },
      });
      const money = await prisma.invoice.aggregate({ _sum: { amount: true, number: true }, _avg: { amount: true } });
      expect(String(money._sum.amount)).toBe('-82.4899');
      expect(money._sum.number).toBe(9007199254741001n);
      expect(money._avg.amount.toNumber()).toBeCloseTo(-20.622475, 9);
      expect(await prisma.post.aggregate({ where: { id: 99 }, _sum: { views: true }, _count: true })).toEqual({
        _sum: { views: null },
        _count: 0,
      });
    });

    it('groupBy groups records, with having and order', async () => {
      expect(
        await prisma.post.groupBy({
          by: ['authorId'],
          _count: { _all: true },
          _sum: { views: true },
          orderBy: { authorId: 'asc' },
        }),
      ).toEqual([
        { authorId: 1, _count: { _all: 3 }, _sum: { views: 150 } },
        { authorId: 2, _count: { _all: 2 }, _sum: { views: 100 } },
        { authorId: 4, _count: { _all: 1 }, _sum: { views: 5 } },
      ]);
      expect(
        await prisma.post.groupBy({
          by: ['authorId', 'published'],
          where: { authorId: { not: 4 } },
          having: { views: { _avg: { gt: 40 } } },
          _avg: { views: true },
          orderBy: { _avg: { views: 'desc' } },
        }),
      ).toEqual([
        { authorId: 1, published: true, _avg: { views: 75 } },
        { authorId: 2, published: true, _avg: { views: 50 } },
      ]);
      expect(
        await prisma.user.groupBy({
          by: ['role'],
          _count: true,
          orderBy: [{ _count: { role: 'desc' } }, { role: 'asc' }],
          take: 2,
        }),
      ).toEqual([
        { role: 'MEMBER', _count: 2 },
        { role: 'EDITOR', _count: 2 },
      ]);
    });
  });

  describe('queries at the same time', () => {
    it('findUniques of one tick each resolve with their own record', async () => {
      const found = await Promise.all(
        [5, 1, 99, 3, 1].map((id) => prisma.user.findUnique({ where: { id }, select: { email: true } })),
      );
      expect(found).toEqual([
        { email: 'eve@example.org' },
        { email: 'ada@example.com' },
        null,
        { email: 'cleo@example.com' },
        { email: 'ada@example.com' },
      ]);
    });

    it('composite keys, several shapes and an OrThrow can share a batch', async () => {
      const found = await Promise.allSettled([
        prisma.membership.findUnique({ where: { member: { org: 'acme', userId: 1 } } }),
        prisma.membership.findUnique({ where: { member: { org: 'bolt', userId: 1 } } }),
        prisma.membership.findUnique({ where: { member: { org: 'bolt', userId: 2 } } }),
        prisma.user.findUnique({ where: { id: 1 }, select: { name: true } }),
        prisma.user.findUnique({ where: { id: 2 }, include: { profile: true } }),
        prisma.user.findUniqueOrThrow({ where: { id: 99 }, select: { id: true } }),
        prisma.user.findUniqueOrThrow({ where: { id: 4 }, select: { id: true } }),
      ]);
      expect(found.map((each) => (each.status === 'fulfilled' ? each.value : each.reason.code))).toEqual([
        { org: 'acme', userId: 1, level: 3 },
        { org: 'bolt', userId: 1, level: 2 },
        null,
        { name: 'Ada' },
        expect.objectContaining({ id: 2, profile: { id: 2, userId: 2, bio: 'Programmer', avatar: null } }),
        'P2025',
        { id: 4 },
      ]);
    });

    it('200 different queries in parallel get their own replies', async () => {
      const found = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          prisma.post.findMany({ where: { views: { gte: index } }, orderBy: { id: 'asc' }, select: { views: true } }),
        ),
      );
      const views = [100, 50, 0, 70, 30, 5];
      for (const [index, rows] of found.entries()) {
        expect(rows.map((row: Loose) => row.views)).toEqual(views.filter((each) => each >= index));
      }
    });
  });
});

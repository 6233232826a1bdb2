import assert from 'node:assert/strict';
import type { Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { plain } from '../support/plain.ts';
import { USES } from '../support/shop.ts';

/**
 * What an application asks of its client, of each kind once and again: the answers do not hang on the client's version.
 */
export async function exercise(prisma: Loose, Prisma: Loose): Promise<void> {
  for (let use = 0; use < USES; use++) {
    await emptyTables(prisma);
    await writes(prisma, use);
    await reads(prisma);
    await values(prisma, Prisma);
    await transactions(prisma);
    await failures(prisma, Prisma);
  }
}

async function writes(prisma: Loose, use: number): Promise<void> {
  const user = await prisma.user.create({
    data: {
      email: 'ada@example.com',
      tags: ['a', 'b'],
      posts: { create: [{ title: 'one', views: use }, { title: 'two' }] },
      profile: { create: { bio: 'b', avatar: new Uint8Array([1, 254]) } },
    },
    include: { posts: { orderBy: { id: 'asc' } }, profile: true },
  });
  assert.deepEqual(
    user.posts.map(({ title, views }: Loose) => [title, views]),
    [
      ['one', use],
      ['two', 0],
    ],
  );
  assert.deepEqual([...user.profile.avatar], [1, 254]);
  assert.deepEqual(await prisma.account.createMany({ data: [1, 2, 3].map((id) => ({ id, owner: `o${id}` })) }), {
    count: 3,
  });
  assert.deepEqual(await prisma.account.createManyAndReturn({ data: [{ id: 4, owner: 'o4' }], select: { id: true } }), [
    { id: 4 },
  ]);
  const upsert = { where: { id: 5 }, create: { id: 5, owner: 'new' }, update: { owner: 'old' } };
  assert.equal((await prisma.account.upsert(upsert)).owner, 'new');
  assert.equal((await prisma.account.upsert(upsert)).owner, 'old');
  assert.deepEqual(await prisma.account.updateMany({ where: { id: { gt: 3 } }, data: { balance: { increment: 7 } } }), {
    count: 2,
  });
  assert.equal((await prisma.account.delete({ where: { id: 5 } })).balance, 7);
  assert.deepEqual(await prisma.account.deleteMany({ where: { id: 4 } }), { count: 1 });
}

async function reads(prisma: Loose): Promise<void> {
  for (const relationLoadStrategy of ['join', 'query']) {
    const [found] = await prisma.user.findMany({
      relationLoadStrategy,
      where: { posts: { some: { title: 'one' } } },
      select: {
        email: true,
        posts: { select: { title: true }, orderBy: { title: 'desc' } },
        _count: { select: { posts: true } },
      },
    });
    assert.deepEqual(found, {
      email: 'ada@example.com',
      posts: [{ title: 'two' }, { title: 'one' }],
      _count: { posts: 2 },
    });
  }
  assert.deepEqual(
    await Promise.all([1, 2, 9].map((id) => prisma.account.findUnique({ where: { id }, select: { owner: true } }))),
    [{ owner: 'o1' }, { owner: 'o2' }, null],
  );
  assert.deepEqual(
    await prisma.account.findMany({
      where: { id: { in: [1, 3] } },
      orderBy: { id: 'desc' },
      take: 1,
      select: { id: true },
    }),
    [{ id: 3 }],
  );
  assert.deepEqual(await prisma.account.aggregate({ _count: true, _max: { id: true } }), {
    _count: 3,
    _max: { id: 3 },
  });
  const groups = await prisma.post.groupBy({ by: ['published'], _count: true });
  assert.deepEqual(groups, [{ published: false, _count: 2 }]);
  assert.equal(await prisma.post.count({ where: { author: { is: { email: 'ada@example.com' } } } }), 2);
}

async function values(prisma: Loose, Prisma: Loose): Promise<void> {
  const given = {
    big: 9223372036854775807n,
    decimal: new Prisma.Decimal('-12345678901234567890.123456789'),
    float: 0.1,
    bytes: new Uint8Array([0, 255]),
    json: { a: [1, null, 'é'] },
    timestamp: new Date('2024-02-29T23:59:59.999Z'),
    role: 'ADMIN',
    ints: [1, -2],
  };
  const { id } = await prisma.sample.create({ data: { required: 'x', ...given }, select: { id: true } });
  const select = Object.fromEntries(Object.keys(given).map((name) => [name, true]));
  assert.deepEqual(plain(await prisma.sample.findUnique({ where: { id }, select })), plain(given));
  // Prisma 7.0 itself sends a decimal of a raw query as a number: one that is exact as that.
  const decimal = new Prisma.Decimal('1.25');
  const [row] = await prisma.$queryRaw`SELECT ${given.big}::int8 AS big, ${decimal}::numeric AS decimal,
    ${given.timestamp}::timestamptz AS at, ${given.json}::jsonb AS json, ${[1, 2]}::int[] AS ints`;
  assert.deepEqual(plain(row), {
    ...{ big: plain(given.big), decimal: plain(decimal), at: plain(given.timestamp), json: given.json },
    ints: [1, 2],
  });
  assert.equal(await prisma.$executeRawUnsafe('UPDATE accounts SET balance = $1 WHERE id = $2', 5, 1), 1);
}

async function transactions(prisma: Loose): Promise<void> {
  const [count, changed] = await prisma.$transaction(
    [prisma.account.count(), prisma.account.update({ where: { id: 1 }, data: { balance: 9 } })],
    { isolationLevel: 'Serializable' },
  );
  assert.deepEqual([count, changed.balance], [3, 9]);
  const inside = await prisma.$transaction(
    async (tx: Loose) => {
      await tx.account.update({ where: { id: 1 }, data: { balance: { decrement: 4 } } });
      return tx.account.findUnique({ where: { id: 1 }, select: { balance: true } });
    },
    { maxWait: 10_000, timeout: 20_000 },
  );
  assert.deepEqual(inside, { balance: 5 });
  const mine = new Error('mine');
  await assert.rejects(
    prisma.$transaction(async (tx: Loose) => {
      await tx.account.deleteMany();
      throw mine;
    }),
    (thrown) => thrown === mine,
  );
  assert.equal(await prisma.account.count(), 3);
}

async function failures(prisma: Loose, Prisma: Loose): Promise<void> {
  const code = async (asked: Promise<unknown>): Promise<string | undefined> => {
    const error = await asked.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof Prisma.PrismaClientKnownRequestError, String(error));
    return (error as { code: string }).code;
  };
  assert.equal(await code(prisma.account.create({ data: { id: 1, owner: 'again' } })), 'P2002');
  assert.equal(await code(prisma.post.create({ data: { title: 't', authorId: 999 } })), 'P2003');
  assert.equal(await code(prisma.account.update({ where: { id: 99 }, data: { owner: 'x' } })), 'P2025');
  assert.equal(await code(prisma.account.findUniqueOrThrow({ where: { id: 99 } })), 'P2025');
  assert.equal(await code(prisma.post.create({ data: { title: 'x'.repeat(200), authorId: 1 } })), 'P2000');
  assert.equal(await code(prisma.$queryRaw`SELECT nobody`), 'P2010');
  await assert.rejects(prisma.account.findMany({ where: { nobody: 1 } }), Prisma.PrismaClientValidationError);
}

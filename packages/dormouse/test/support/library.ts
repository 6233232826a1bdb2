import type { Loose } from './clients.ts';

/** Empties every table and starts every sequence again, so that ids are known. */
export async function emptyTables(prisma: Loose): Promise<void> {
  await prisma.$executeRawUnsafe(
    'TRUNCATE users, posts, "Profile", "Category", "_CategoryToPost", "Label", post_labels, memberships, invoices, samples, accounts RESTART IDENTITY CASCADE',
  );
}

/** The small library that the reading suites ask about: five people, six posts, and the records that refer to them. */
export async function seedLibrary(prisma: Loose, Prisma: Loose): Promise<void> {
  await emptyTables(prisma);
  const day = (number: number): Date => new Date(Date.UTC(2024, 0, number, 12));
  const updatedAt = day(20);
  await prisma.user.createMany({
    data: [
      {
        ...{ id: 1, email: 'ada@example.com', name: 'Ada', role: 'ADMIN', tags: ['math', 'poetry'], scores: [3, 5, 8] },
        ...{ settings: { theme: 'dark', nested: { depth: 2 }, list: [1, 2, 3] }, updatedAt, createdAt: day(1) },
      },
      {
        ...{ id: 2, email: 'brian@example.com', name: 'Brian', role: 'EDITOR', tags: ['c'], scores: [1] },
        ...{ settings: { theme: 'light' }, updatedAt, createdAt: day(2), managerId: 1 },
      },
      { id: 3, email: 'cleo@example.com', role: 'MEMBER', tags: [], updatedAt, createdAt: day(3), managerId: 1 },
      {
        ...{ id: 4, email: 'dora@example.com', name: 'dora', role: 'MEMBER', tags: ['math'], scores: [5, 5] },
        ...{ settings: Prisma.JsonNull, updatedAt, createdAt: day(4), managerId: 2 },
      },
      {
        id: 5,
        email: 'eve@example.org',
        name: '100%_Eve',
        role: 'EDITOR',
        tags: ['poetry', 'c'],
        updatedAt,
        createdAt: day(5),
      },
    ],
  });
  await prisma.profile.createMany({
    data: [
      { id: 1, userId: 1, bio: 'Countess' },
      { id: 2, userId: 2, bio: 'Programmer' },
    ],
  });
  await prisma.category.createMany({
    data: [
      { id: 1, name: 'science' },
      { id: 2, name: 'history' },
      { id: 3, name: 'code' },
    ],
  });
  const posts = [
    { id: 1, title: 'Notes', authorId: 1, published: true, views: 100, rating: 4.5, reviewerId: 2, writtenAt: day(10) },
    { id: 2, title: 'Engines', authorId: 1, published: true, views: 50, rating: 3.25, writtenAt: day(11) },
    { id: 3, title: 'Draft', authorId: 1 },
    { id: 4, title: 'C', authorId: 2, published: true, views: 70, rating: 4.5, reviewerId: 1, writtenAt: day(12) },
    { id: 5, title: 'UNIX', authorId: 2, published: true, views: 30, rating: 2, writtenAt: day(13) },
    { id: 6, title: 'Hello', authorId: 4, views: 5, reviewerId: 2 },
  ];
  await prisma.post.createMany({ data: posts });
  const filed: readonly (readonly [number, readonly number[]])[] = [
    [1, [1, 2]],
    [2, [1]],
    [4, [3]],
    [5, [3]],
  ];
  for (const [id, categories] of filed) {
    await prisma.post.update({
      where: { id },
      data: { categories: { connect: categories.map((each) => ({ id: each })) } },
    });
  }
  await prisma.label.createMany({
    data: [
      { id: 'label-old', name: 'old' },
      { id: 'label-new', name: 'new' },
    ],
  });
  await prisma.postLabel.createMany({
    data: [
      { postId: 1, labelId: 'label-old', note: 'first' },
      { postId: 1, labelId: 'label-new' },
      { postId: 5, labelId: 'label-old' },
    ],
  });
  await prisma.membership.createMany({
    data: [
      { org: 'acme', userId: 1, level: 3 },
      { org: 'acme', userId: 2, level: 1 },
      { org: 'bolt', userId: 1, level: 2 },
    ],
  });
  await prisma.invoice.createMany({
    data: [
      { id: 'i1', number: 1n, amount: '10.5', org: 'acme', userId: 1 },
      { id: 'i2', number: 9007199254740993n, amount: '0.0001', org: 'acme', userId: 1 },
      { id: 'i3', number: 3n, amount: '-99.99', org: 'bolt', userId: 1 },
      { id: 'i4', number: 4n, amount: '7' },
    ],
  });
}

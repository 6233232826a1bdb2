import { openClient } from './client.ts';
import { seed } from './content.ts';
import { watchPosts } from './events.ts';
import { findDatabase } from './find-database.ts';
import { makeTables } from './tables.ts';
import { Timing } from './timing.ts';

async function blog(): Promise<void> {
  const database = await findDatabase();
  const timing = new Timing();
  const prisma = openClient(database.prismaUrl, timing.fetch);

  const made = await makeTables(database.postgresUrl);
  const posts = await seed(prisma);
  console.log(`Blog in the database ${database.name}${made ? ' (new)' : ''}: ${posts} posts.`);

  const events = await watchPosts(prisma);

  // The front page: the newest posts with their authors.
  const frontPage = {
    where: { published: true },
    orderBy: { createdAt: 'desc' },
    take: 10,
    include: { author: true, _count: { select: { comments: true } } },
  } as const;
  const newest = () => prisma.post.findMany(frontPage);

  await timing.measure('awake', newest);
  await timing.measure('awake, again', newest);
  if (database.sleep) {
    await database.sleep('suspend');
    await timing.measure('after it was frozen', newest);
    await database.sleep('stop');
    await timing.measure('after it was stopped', newest);
  }

  // A different moment in each run, so that the first answer cannot come from the cache of an earlier one.
  const until = new Date();
  const cached = (cacheStrategy: { ttl: number; swr?: number }) =>
    prisma.post.findMany({ ...frontPage, where: { published: true, createdAt: { lte: until } }, cacheStrategy });
  await timing.measure('cached for a minute, first', () => cached({ ttl: 60 }));
  await timing.measure('cached for a minute, again', () => cached({ ttl: 60 }));
  // Fresh for a second, then served stale while one refresh runs in the background.
  const stale = () => cached({ ttl: 1, swr: 60 });
  await stale();
  await timing.measureOnce('cached for a second, later', 'swr', stale, 10_000);

  const author = await timing.measure('one user by email', () =>
    prisma.user.findUniqueOrThrow({ where: { email: 'ada@example.com' } }),
  );
  const post = await timing.measure('a new post with a comment', () =>
    prisma.post.create({
      data: {
        title: 'Woken by a write',
        body: 'It took a millisecond.',
        authorId: author.id,
        comments: { create: { text: 'First!', authorId: author.id } },
      },
    }),
  );
  await timing.measure('publish it', () => prisma.post.update({ where: { id: post.id }, data: { published: true } }));
  await timing.measure('delete it', () => prisma.post.delete({ where: { id: post.id } }));

  console.log('\nWhere the time went, in milliseconds (· was not passed):\n');
  console.log(timing.table());
  if (!database.sleep) console.log('\nTo see it wake, run this without DATABASE_URL, beside the platform.');

  console.log('\nThe events of the post that was written, published and deleted:\n');
  for (const line of await events.until(post.id, ['create', 'update', 'delete'])) console.log(`  ${line}`);

  await events.stop();
  await prisma.$disconnect();
}

blog().catch((error: Error) => {
  console.error(`\nblog: ${error.message}`);
  process.exit(1);
});

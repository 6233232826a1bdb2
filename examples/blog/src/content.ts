import type { Client } from './client.ts';

const AUTHORS = [
  { email: 'ada@example.com', name: 'Ada' },
  { email: 'grace@example.com', name: 'Grace' },
  { email: 'edsger@example.com', name: 'Edsger' },
];

const TITLES = ['On sleeping well', 'Notes on wakefulness', 'A short history of hazel', 'What idles, rests'];

/** Writes users, posts and comments into an empty blog; returns the number of posts. */
export async function seed(prisma: Client): Promise<number> {
  const posts = await prisma.post.count();
  if (posts > 0) return posts;
  const users = await prisma.user.createManyAndReturn({ data: AUTHORS });
  for (const [index, title] of TITLES.entries()) {
    const author = users[index % users.length];
    const reader = users[(index + 1) % users.length];
    if (!author || !reader) throw new Error('the blog has no users');
    // One write for a post and its comment: a nested write is one transaction.
    await prisma.post.create({
      data: {
        title,
        body: 'Dormice sleep for half of the year, and nobody thinks less of them.',
        published: true,
        authorId: author.id,
        comments: { create: { text: 'So true.', authorId: reader.id } },
      },
    });
  }
  return TITLES.length;
}

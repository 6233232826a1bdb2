import type { Loose } from '../test/support/clients.ts';

/** Rows in the table that the queries read. */
export const ROWS = 1000;

/** The queries under test, as an app writes them. `turn` varies the parameters. */
export const QUERIES: Readonly<Record<string, (prisma: Loose, turn: number) => Promise<unknown>>> = {
  'findMany of 10 rows': (prisma, turn) =>
    prisma.post.findMany({ where: { id: { gt: (turn * 7) % (ROWS - 20) } }, orderBy: { id: 'asc' }, take: 10 }),
  findUnique: (prisma, turn) => prisma.post.findUnique({ where: { id: 1 + ((turn * 13) % ROWS) } }),
};

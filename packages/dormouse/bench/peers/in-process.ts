import { PrismaPg } from '@prisma/adapter-pg';
import { loadClient } from '../../test/support/clients.ts';
import { serveOrders } from '../peer-process.ts';

/** Prisma Client 7 with `@prisma/adapter-pg` in the app's own process: no HTTP between. */
const { PrismaClient } = await loadClient(7);
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.argv[2], max: 10 }) });
const { QUERIES } = await import('../queries.ts');

serveOrders({}, async ({ name, total, concurrency }) => {
  const run = QUERIES[name as string] as (client: unknown, turn: number) => Promise<unknown>;
  const before = process.cpuUsage();
  const start = performance.now();
  let turn = 0;
  await Promise.all(
    Array.from({ length: concurrency as number }, async () => {
      while (turn < (total as number)) await run(prisma, turn++);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(before);
  return { seconds, cpuMs: (used.user + used.system) / 1000 };
});

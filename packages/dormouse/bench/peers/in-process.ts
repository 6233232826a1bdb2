import { PrismaPg } from '@prisma/adapter-pg';
import { loadClient } from '../../test/support/clients.ts';
import { clientOptions } from '../../test/support/target.ts';
import { runByClient, workloadNamed } from '../engine-queries.ts';
import { serveOrders } from '../peer-process.ts';
import { runTurns } from '../turns.ts';

/**
 * Prisma Client 7 in the app's own process: with `@prisma/adapter-pg` and no HTTP between, or, told a `prismaUrl`, end
 * to end.
 */
const { PrismaClient } = await loadClient(7);
const url = process.argv[2] as string;
const prisma = new PrismaClient(
  url.startsWith('prisma') ? clientOptions(7, url) : { adapter: new PrismaPg({ connectionString: url, max: 10 }) },
);

serveOrders({}, ({ name, seconds, concurrency }) => {
  const workload = workloadNamed(name as string);
  return runTurns(seconds as number, concurrency as number, (turn) => runByClient(workload, prisma, turn));
});

import { dirname } from 'node:path';
import { type BareEngine, startBareEngine } from './bare-engine.ts';
import { type Loose, loadClient } from './clients.ts';
import { exchange, openEngineHttpDoor } from './engine-http-door.ts';
import { seedLibrary } from './library.ts';
import { pushSchema } from './push-schema.ts';

/** An engine over a seeded library, and the module of Prisma 7's client for it. */
export async function startLibraryEngine(): Promise<{ readonly engine: BareEngine; readonly module: Loose }> {
  const engine = await startBareEngine({ limits: { queryMs: 60_000 } });
  const { endpoint } = engine.instance;
  const directory = endpoint.kind === 'unix' ? dirname(endpoint.path) : '';
  await pushSchema(`postgresql://owner@localhost/postgres?host=${encodeURIComponent(directory)}`, 7);
  const module = await loadClient(7);
  const door = await openEngineHttpDoor((request) => exchange(engine.database, request));
  const seeding = new module.PrismaClient({ accelerateUrl: door.prismaUrl });
  await seedLibrary(seeding, module.Prisma);
  await seeding.$disconnect();
  await door.close();
  return { engine, module };
}

import { dirname } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type CapturedDatabase, type CapturedMachine, type Doors, startCapturedMachine } from './captured-database.ts';
import { type ClientVersion, type Loose, loadClient } from './clients.ts';
import { pushSchema } from './push-schema.ts';
import { clientOptions } from './target.ts';

/** A captured machine and its doors for the whole file; what is read from the result is there from `beforeAll` on. */
export function useCapturedMachine(limits: Parameters<typeof startCapturedMachine>[0]): {
  readonly machine: CapturedMachine;
  readonly doors: Doors;
} {
  let machine: CapturedMachine | undefined;
  let doors: Doors | undefined;
  beforeAll(async () => {
    machine = await startCapturedMachine(limits);
    doors = await machine.serve();
  });
  afterAll(async () => {
    await doors?.close();
    await machine?.close();
  });
  return {
    get machine() {
      return machine as CapturedMachine;
    },
    get doors() {
      return doors as Doors;
    },
  };
}

/** A new database with the library's tables, and the stock client of a version that would reach it through `doors`. */
export async function createCapturedClient(
  { machine, doors }: { readonly machine: CapturedMachine; readonly doors: Doors },
  version: ClientVersion,
): Promise<{ readonly database: CapturedDatabase; readonly Prisma: Loose; readonly client: Loose }> {
  const database = await machine.create();
  const { endpoint } = database.instance;
  if (endpoint.kind !== 'unix') throw new Error('a Unix socket was expected');
  const host = encodeURIComponent(dirname(endpoint.path));
  await pushSchema(`postgresql://owner@localhost/postgres?host=${host}`, version);
  const { Prisma, PrismaClient } = await loadClient(version);
  const url = `prisma+postgres://127.0.0.1:${doors.port}/?api_key=${database.record.id}`;
  return { database, Prisma, client: new PrismaClient(clientOptions(version, url)) };
}

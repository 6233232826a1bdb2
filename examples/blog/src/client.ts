import { withDormouse } from '@dormouse/client';
import { withAccelerate } from '@prisma/extension-accelerate';
import { PrismaClient } from './generated/client.ts';

/** The stock client with two extensions: Prisma's own for the cache, Dormouse's for the events. */
export function openClient(accelerateUrl: string, fetch: typeof globalThis.fetch) {
  return new PrismaClient({ accelerateUrl }).$extends(withAccelerate({ fetch })).$extends(withDormouse());
}

export type Client = ReturnType<typeof openClient>;

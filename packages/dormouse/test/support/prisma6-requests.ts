import type { EngineDatabase } from '../../src/engine/index.ts';
import { uploadOf } from './bare-engine.ts';
import { type ExchangeReply, exchange } from './engine-http-door.ts';

// The JSON protocol of Prisma 6 without a generated client: a schema's text, and queries as objects.

const VERSION = '6.19.0';
const TIMES = '{"max_wait":60000,"timeout":60000}';

export interface Prisma6Requests {
  /** Asks a database whose schema is known there. */
  ask(database: EngineDatabase, query: object): Promise<ExchangeReply>;
  /** Asks in a transaction that is rolled back, so that the next one finds what it found. */
  askAndUndo(database: EngineDatabase, query: object): Promise<ExchangeReply>;
}

/** Uploads a schema to each of some databases, as a client does before its first query. */
export async function openPrisma6Requests(
  databases: readonly EngineDatabase[],
  schema: string,
): Promise<Prisma6Requests> {
  const upload = uploadOf(schema);
  const base = `/${VERSION}/${upload.hash}`;
  const post = (database: EngineDatabase, path: string, body: string): Promise<ExchangeReply> =>
    exchange(database, { method: 'POST', path: `${base}${path}`, headers: {}, body: Buffer.from(body) });
  const put = { method: 'PUT', path: `${base}/schema`, headers: {}, body: Buffer.from(upload.base64) };
  for (const database of databases) {
    const { status, body } = await exchange(database, put);
    if (status >= 300) throw new Error(`the schema was refused: ${body}`);
  }
  return {
    ask: (database, query) => post(database, '/graphql', JSON.stringify(query)),
    async askAndUndo(database, query) {
      const { id } = JSON.parse((await post(database, '/transaction/start', TIMES)).body);
      try {
        return await post(database, `/itx/${id}/graphql`, JSON.stringify(query));
      } finally {
        await post(database, `/itx/${id}/rollback`, TIMES);
      }
    },
  };
}

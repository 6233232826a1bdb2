import type { EngineDatabase } from '../../src/engine/index.ts';
import { uploadOf } from './bare-engine.ts';
import { type ExchangeReply, exchange } from './engine-door.ts';

// The JSON protocol of Prisma 6 without a generated client: a schema's text, and queries as objects.

const VERSION = '6.19.0';

/** Headers of a client that wants its queries back: the runtime alone answers it, with more behind the data. */
export const SEEN: Readonly<Record<string, string>> = { 'x-capture-telemetry': 'query' };

export interface JsonDoor {
  /** Asks one query; what stands behind the data of one that is `SEEN` is left out. */
  ask(query: object, headers: Readonly<Record<string, string>>, under?: string): Promise<ExchangeReply>;
  /** Asks in a transaction that is rolled back, so that the next one finds what it found. */
  askAndUndo(query: object, headers: Readonly<Record<string, string>>): Promise<ExchangeReply>;
}

/** Uploads a schema, as a client does before its first query. */
export async function openJsonDoor(database: EngineDatabase, schema: string): Promise<JsonDoor> {
  const upload = uploadOf(schema);
  const base = `/${VERSION}/${upload.hash}`;
  const post = (path: string, body: string, headers: Readonly<Record<string, string>> = {}): Promise<ExchangeReply> =>
    exchange(database, { method: 'POST', path: `${base}${path}`, headers, body: Buffer.from(body) });
  const ask: JsonDoor['ask'] = async (query, headers, under = '') => {
    const reply = await post(`${under}/graphql`, JSON.stringify(query), headers);
    const at = headers === SEEN ? reply.body.lastIndexOf(',"extensions":') : -1;
    return at < 0 ? reply : { status: reply.status, body: `${reply.body.slice(0, at)}}` };
  };
  const put = { method: 'PUT', path: `${base}/schema`, headers: {}, body: Buffer.from(upload.base64) };
  const { status, body } = await exchange(database, put);
  if (status >= 300) throw new Error(`the schema was refused: ${body}`);
  return {
    ask,
    async askAndUndo(query, headers) {
      const { id } = JSON.parse((await post('/transaction/start', '{"max_wait":9000,"timeout":9000}')).body);
      try {
        return await ask(query, headers, `/itx/${id}`);
      } finally {
        await post(`/itx/${id}/rollback`, '{"max_wait":9000,"timeout":9000}');
      }
    },
  };
}

import { Deadline, silentLogger, systemClock } from '../../src/base/index.ts';
import { Compiler } from '../../src/engine/compiler/compiler.ts';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { type ExchangeReply, exchange } from './engine-http-door.ts';

/** The plan protocol of Prisma 7 without a generated client: plans are compiled as its client does. */
export interface Prisma7Requests {
  /** The body that its client would send for a query. Throws what the compiler refuses it with. */
  plan(query: { readonly modelName: string; readonly action: string }): Promise<string>;
  close(): Promise<void>;
}

export function openPrisma7Requests(schema: string): Prisma7Requests {
  const compiler = new Compiler({ clock: systemClock, log: silentLogger });
  const source = { hash: 'one', text: async () => schema };
  return {
    async plan(query) {
      const deadline = Deadline.in(systemClock, 60_000);
      const plan = await compiler.compile('one', 'compile', source, JSON.stringify(query), deadline);
      return JSON.stringify({ model: query.modelName, operation: query.action, plan, params: {} });
    },
    close: () => compiler.close(),
  };
}

const post = (database: EngineDatabase, path: string, body: string): Promise<ExchangeReply> =>
  exchange(database, { method: 'POST', path, headers: {}, body: Buffer.from(body) });

/** Sends such a body. */
export const sendPlan = (database: EngineDatabase, body: string): Promise<ExchangeReply> =>
  post(database, '/query', body);

/** Sends such a body in an interactive transaction, which is committed; says why it was not, if it was not. */
export async function sendPlanWithin(database: EngineDatabase, body: string): Promise<ExchangeReply> {
  const started = await post(database, '/transaction/start', '{"timeout":60000,"maxWait":60000}');
  const { id } = JSON.parse(started.body);
  const reply = await post(database, `/transaction/${id}/query`, body);
  const ended = await post(database, `/transaction/${id}/commit`, '{}');
  return ended.status === 200 ? reply : { status: reply.status, body: `${reply.body} ${ended.status} ${ended.body}` };
}

import { Deadline, silentLogger, systemClock } from '../../src/base/index.ts';
import { Compiler } from '../../src/engine/compiler.ts';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { type ExchangeReply, exchange } from './engine-door.ts';

/** The plan protocol of Prisma 7 without a generated client: plans are compiled as its client does. */
export interface PlanDoor {
  /** The body that its client would send for a query. Throws what the compiler refuses it with. */
  plan(query: { readonly modelName: string; readonly action: string }): Promise<string>;
  close(): Promise<void>;
}

export function openPlanDoor(schema: string): PlanDoor {
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

/** Sends such a body. */
export const sendPlan = (database: EngineDatabase, body: string): Promise<ExchangeReply> =>
  exchange(database, { method: 'POST', path: '/query', headers: {}, body: Buffer.from(body) });

import { expect } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import type { BareEngine } from './bare-engine.ts';

/** Sends something to an engine's database, and says what came of it. */
type Ask<T> = (database: EngineDatabase) => Promise<T>;

/**
 * One database behind two engines: in one, Prisma's runtime runs every plan; the other is the engine under test. A
 * comparison proves only what the runtime itself said, so each side shows by its counts which way it went.
 */
export interface Oracle {
  /** As the engine under test serves it. */
  readonly database: EngineDatabase;
  /** As the runtime serves it. */
  readonly runtimeDatabase: EngineDatabase;
  /** What the runtime says. Fails if any of it ran compiled. */
  runtime<T>(ask: Ask<T>): Promise<T>;
  /** What the engine under test says, and how many of its executions were compiled ones, failed ones among them. */
  program<T>(ask: Ask<T>): Promise<{ readonly said: T; readonly byProgram: number }>;
}

/** With `largeBodyBytes`, both sides read larger bodies in threads, which are told to compile or not by themselves. */
export function openOracle(engine: BareEngine, largeBodyBytes?: number): Oracle {
  const { database: served, executions } = engine.openRuntime(largeBodyBytes);
  let asked = 0;
  const runtimeDatabase: EngineDatabase = {
    handle(request, call) {
      asked++;
      return served.handle(request, call);
    },
    get openTransactions() {
      return served.openTransactions;
    },
    close: () => served.close(),
  };
  const database = largeBodyBytes === undefined ? engine.database : engine.reopen(largeBodyBytes);
  const executionsByProgram = (): number => {
    const { byProgram, handedOver, failed } = engine.executions();
    return byProgram + handedOver + failed;
  };
  return {
    database,
    runtimeDatabase,
    async runtime(ask) {
      const before = asked;
      const said = await ask(runtimeDatabase);
      expect(asked, 'the oracle was asked').toBeGreaterThan(before);
      expect(executions(), "the oracle is Prisma's runtime alone").toEqual({ byProgram: 0, handedOver: 0, failed: 0 });
      return said;
    },
    async program(ask) {
      const before = executionsByProgram();
      const said = await ask(database);
      return { said, byProgram: executionsByProgram() - before };
    },
  };
}

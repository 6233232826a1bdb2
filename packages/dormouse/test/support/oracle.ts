import { expect } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import type { BareEngine } from './bare-engine.ts';

/** Sends a request to a database of an engine, and gives what came of it. */
type Ask<T> = (database: EngineDatabase) => Promise<T>;

/**
 * One database behind two engines: in the reference engine, Prisma's runtime executes every plan; the other is the
 * engine under test. A comparison proves something only if the reference is the runtime's own reply, so the counts of
 * both engines show what executed each request.
 */
export interface Oracle {
  /** The database of the engine under test. */
  readonly database: EngineDatabase;
  /** The database of the reference engine. */
  readonly runtimeDatabase: EngineDatabase;
  /** Gives the reference engine's reply. Fails if a program executed any part of it. */
  runtime<T>(ask: Ask<T>): Promise<T>;
  /** Gives the reply of the engine under test, and its number of executions by programs, including failed ones. */
  program<T>(ask: Ask<T>): Promise<{ readonly said: T; readonly byProgram: number }>;
}

/** With `largeBodyBytes`, both engines handle larger bodies in threads, with programs or without as the engine does. */
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

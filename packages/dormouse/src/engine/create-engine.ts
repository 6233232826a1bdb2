import type { Clock, Logger, RandomBytes } from '../base/index.ts';
import { Compiler } from './compiler/index.ts';
import type { Engine, EngineLimits } from './engine.ts';
import { LargeBodyRequests } from './large-bodies/index.ts';
import { MemoryBudget, SWEEP_MS } from './memory-budget.ts';
import { OpenDatabase } from './open-database.ts';
import { PrismaRuntime } from './prisma-runtime/index.ts';
import { buildProgram, neverBuilt, ProgramExecutor } from './program/index.ts';

export interface EngineOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly limits: EngineLimits;
  /** Queries whose body has more bytes than this are read in a thread. Tests set it lower. */
  readonly largeBodyBytes?: number;
  /** Metadata of a schema that has more bytes than this is not read. Tests set it lower. */
  readonly metadataBytesMax?: number;
  /** The longest time that a thread may take to read and compile a query. Tests set it shorter or longer. */
  readonly largeBodyPrepareMs?: number;
  /** False: no program is built, and Prisma's runtime runs every plan. Tests compare its replies with the programs'. */
  readonly programs?: boolean;
}

/** The engine of this process. The compiler's thread starts with the first query that needs the compiler. */
export function createEngine(options: EngineOptions): Engine {
  const { clock, random, log, limits, largeBodyBytes, largeBodyPrepareMs, metadataBytesMax, programs = true } = options;
  const compiler = new Compiler({ clock, log, metadataBytesMax });
  const runtime = new PrismaRuntime();
  const programExecutor = new ProgramExecutor(runtime, clock);
  const budget = new MemoryBudget(limits.keptBytesMax);
  const largeBodies = new LargeBodyRequests({
    clock,
    log,
    limits,
    compiler,
    counts: programExecutor.counts,
    programs,
    prepareMsMax: largeBodyPrepareMs,
  });
  const shared = {
    clock,
    random,
    log,
    limits,
    largeBodyBytes,
    compiler,
    runtime,
    programExecutor,
    budget,
    largeBodies,
    buildProgram: programs ? buildProgram : neverBuilt,
  };
  let sweeps = clock.after(SWEEP_MS, sweep);
  function sweep(): void {
    budget.sweep();
    sweeps = clock.after(SWEEP_MS, sweep);
  }
  return {
    openDatabase: (database) => new OpenDatabase(database, shared),
    get keptBytes() {
      return budget.bytes;
    },
    get programExecutions() {
      return programExecutor.counts;
    },
    close: async () => {
      sweeps.cancel();
      await Promise.all([compiler.close(), largeBodies.close()]);
    },
  };
}

import type { Call, Clock, Logger, RandomBytes, Role } from '../base/index.ts';
import type { Pool } from '../pool/index.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PrismaRuntime } from './prisma-runtime/index.ts';
import type { BuildProgram, ProgramExecutor } from './program/index.ts';
import type { ClientLimits } from './request/index.ts';
import type { OperationBounds, Statements } from './statements/index.ts';
import type { Transactions } from './transactions/index.ts';

/** What the routes of both protocols share of one database. */
export interface EngineParts {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly limits: ClientLimits;
  /** Prisma's own runtime: for all plans. */
  readonly runtime: PrismaRuntime;
  /** For the plans that `buildProgram` compiles. */
  readonly programExecutor: ProgramExecutor;
  readonly buildProgram: BuildProgram;
  readonly transactions: Pick<Transactions, 'run' | 'start' | 'startNested' | 'commit' | 'rollback'>;
  /** For what is kept of queries. */
  readonly budget: MemoryBudget;
  pool(role: Role): Pool;
  bounds(call: Call, limits: ClientLimits): OperationBounds;
  /** Runs an operation outside of transactions, on a connection of the caller's role. */
  withStatements<T>(call: Call, bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T>;
  onOperation(call: Call, operations: number): void;
}

import type { Call, Clock, Logger, RandomBytes, Role } from '../base/index.ts';
import type { Pool } from '../pool/index.ts';
import type { ClientLimits } from './client-limits.ts';
import type { CompiledExecutor, CompilePlan } from './executor/index.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PlanExecutor } from './plan-execution.ts';
import type { OperationBounds, Statements } from './statements.ts';
import type { Transactions } from './transactions.ts';

/** What the routes of both protocols share of one database. */
export interface EngineParts {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly limits: ClientLimits;
  /** Prisma's own runtime: for all plans. */
  readonly executor: PlanExecutor;
  /** For the plans that `compilePlan` compiles. */
  readonly compiledExecutor: CompiledExecutor;
  readonly compilePlan: CompilePlan;
  readonly transactions: Pick<Transactions, 'run' | 'start' | 'startNested' | 'commit' | 'rollback'>;
  /** For what is kept of queries. */
  readonly budget: MemoryBudget;
  pool(role: Role): Pool;
  bounds(call: Call, limits: ClientLimits): OperationBounds;
  /** Runs an operation outside of transactions, on a connection of the caller's role. */
  withStatements<T>(call: Call, bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T>;
  onOperation(call: Call, operations: number): void;
}

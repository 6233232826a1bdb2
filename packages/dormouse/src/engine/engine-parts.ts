import type { Call, Clock, RandomBytes, Role } from '../base/index.ts';
import type { Pool } from '../pool/index.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PrismaRuntime } from './prisma-runtime/index.ts';
import type { BuildProgram, ProgramExecutor } from './program/index.ts';
import type { ClientLimits } from './request/index.ts';
import type { OperationBounds, Statements } from './statements/index.ts';
import type { Transactions } from './transactions/index.ts';

/** What the routes of both protocols need of one database, whatever they do. */
interface RouteParts {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly limits: ClientLimits;
  readonly runtime: PrismaRuntime;
}

/** What the routes that take queries need of one database: on the main thread, or in a thread for large bodies. */
export interface QueryParts extends RouteParts {
  readonly programExecutor: ProgramExecutor;
  readonly buildProgram: BuildProgram;
  /** Bounds the memory of the plans that are kept. */
  readonly budget: MemoryBudget;
  /** Runs an operation outside of interactive transactions, on a connection of the caller's role. */
  withStatements<T>(call: Call, bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T>;
  /** Runs an operation inside an interactive transaction, after the operations that came before it. */
  inTransaction<T>(
    call: Call,
    transactionId: string,
    bounds: OperationBounds,
    work: (statements: Statements) => Promise<T>,
  ): Promise<T>;
  /** Counts an operation for metering. */
  onOperation(call: Call): void;
}

/** What the routes that start and end interactive transactions need of one database. */
export interface TransactionParts extends RouteParts {
  readonly transactions: Pick<Transactions, 'start' | 'startNested' | 'commit' | 'rollback'>;
  pool(role: Role): Pool;
}

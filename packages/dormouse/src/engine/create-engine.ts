import {
  type Call,
  type Clock,
  DormouseError,
  type Logger,
  type MinimalReply,
  type MinimalRequest,
  type RandomBytes,
} from '../base/index.ts';
import type { ClientLimits } from './client-limits.ts';
import { Compiler } from './compiler.ts';
import type { Engine, EngineDatabase, EngineDatabaseOptions, EngineLimits } from './engine.ts';
import { CompiledExecutor } from './executor/index.ts';
import { PlanCache } from './plan-cache.ts';
import { PlanExecutor } from './plan-execution.ts';
import { Prisma6Routes } from './prisma6.ts';
import type { Prisma6Parts } from './prisma6-queries.ts';
import { Prisma7Routes } from './prisma7.ts';
import { QueryPlanner } from './query-planning.ts';
import { type Route, routeOf } from './routes.ts';
import { SchemaStore } from './schema-store.ts';
import { type OperationBounds, withStatements } from './statements.ts';
import { Transactions } from './transactions.ts';

export interface EngineOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly limits: EngineLimits;
}

/** The engine of this process. The compiler's thread starts with the first query that needs it. */
export function createEngine(options: EngineOptions): Engine {
  const compiler = new Compiler({ clock: options.clock, log: options.log });
  const executor = new PlanExecutor();
  const compiledExecutor = new CompiledExecutor(executor, options.clock);
  return {
    openDatabase: (database) => new OpenDatabase(options, database, compiler, executor, compiledExecutor),
    get compiledExecutions() {
      return compiledExecutor.counts;
    },
    close: () => compiler.close(),
  };
}

class OpenDatabase implements EngineDatabase {
  readonly #transactions: Transactions;
  readonly #prisma6: Prisma6Routes;
  readonly #prisma7: Prisma7Routes;
  #closed = false;

  constructor(
    options: EngineOptions,
    database: EngineDatabaseOptions,
    compiler: Compiler,
    executor: PlanExecutor,
    compiledExecutor: CompiledExecutor,
  ) {
    const { clock, random, log, limits } = options;
    this.#transactions = new Transactions({ clock, random, executor, openMax: limits.transactionsMax });
    const schemas = new SchemaStore({
      directory: database.schemaDirectory,
      schemasMax: limits.schemasMax,
      schemaBytesMax: limits.schemaBytesMax,
      compiler,
      owner: database.databaseId,
      random,
      log,
    });
    const parts: Prisma6Parts = {
      clock,
      random,
      log,
      limits,
      executor,
      compiledExecutor,
      planner: new QueryPlanner({ clock, compiler, cache: new PlanCache(), owner: database.databaseId }),
      schemas,
      transactions: this.#transactions,
      publicUrl: database.publicUrl,
      pool: (role) => database.pool(role),
      bounds: (call, lowered) => boundsOf(clock, call, lowered),
      withStatements: (call, bounds, work) => withStatements(database.pool(call.principal.role), bounds, work),
      onOperation: (call, operations) => database.onOperation(call, operations),
    };
    this.#prisma6 = new Prisma6Routes(parts);
    this.#prisma7 = new Prisma7Routes(parts);
  }

  get openTransactions(): number {
    return this.#transactions.open;
  }

  handle(request: MinimalRequest, call: Call): Promise<MinimalReply> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    let route: Route;
    try {
      route = routeOf(request.method, request.path);
    } catch (error) {
      return Promise.reject(error);
    }
    return 'schemaHash' in route
      ? this.#prisma6.handle(route, request, call)
      : this.#prisma7.handle(route, request, call);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#transactions.close();
  }
}

function boundsOf(clock: Clock, call: Call, limits: ClientLimits): OperationBounds {
  return {
    clock,
    role: call.principal.role,
    deadline: call.deadline.within(limits.queryMs),
    cancellation: call.cancellation,
    timings: call.timings,
    key: call.principal.keyId,
    rowBytesMax: limits.replyBytesMax,
  };
}

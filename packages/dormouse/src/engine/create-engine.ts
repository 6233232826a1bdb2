import type { BatchResponse, QueryPlanNode } from '@prisma/client-engine-runtime';
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
import { MemoryBudget, SWEEP_MS } from './memory-budget.ts';
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
  const budget = new MemoryBudget(options.limits.keptBytesMax);
  const shared: SharedParts = { compiler, executor, compiledExecutor, budget };
  let sweeps = options.clock.after(SWEEP_MS, sweep);
  function sweep(): void {
    budget.sweep();
    sweeps = options.clock.after(SWEEP_MS, sweep);
  }
  return {
    openDatabase: (database) => new OpenDatabase(options, database, shared),
    get keptBytes() {
      return budget.bytes;
    },
    get compiledExecutions() {
      return compiledExecutor.counts;
    },
    close: () => {
      sweeps.cancel();
      return compiler.close();
    },
  };
}

/** What all databases share. */
interface SharedParts {
  readonly compiler: Compiler;
  readonly executor: PlanExecutor;
  readonly compiledExecutor: CompiledExecutor;
  readonly budget: MemoryBudget;
}

class OpenDatabase implements EngineDatabase {
  readonly #transactions: Transactions;
  readonly #prisma6: Prisma6Routes;
  readonly #prisma7: Prisma7Routes;
  #closed = false;

  readonly #schemas: SchemaStore;
  readonly #planner: QueryPlanner;

  constructor(options: EngineOptions, database: EngineDatabaseOptions, shared: SharedParts) {
    const { compiler, executor, compiledExecutor, budget } = shared;
    const { clock, random, log, limits } = options;
    this.#transactions = new Transactions({ clock, random, executor, openMax: limits.transactionsMax });
    const owner = database.databaseId;
    const cache = new PlanCache<QueryPlanNode | BatchResponse>(budget);
    this.#planner = new QueryPlanner({ clock, compiler, cache, budget, owner });
    this.#schemas = new SchemaStore({
      directory: database.schemaDirectory,
      schemasMax: limits.schemasMax,
      schemaBytesMax: limits.schemaBytesMax,
      compiler,
      budget,
      owner,
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
      budget,
      planner: this.#planner,
      schemas: this.#schemas,
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
    this.#planner.clear();
    this.#prisma7.clear();
    this.#schemas.clear();
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

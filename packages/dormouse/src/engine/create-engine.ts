import type { BatchResponse, QueryPlanNode } from '@prisma/client-engine-runtime';
import {
  assert,
  type Call,
  type Clock,
  DormouseError,
  LARGE_BODY_BYTES,
  type Logger,
  type MinimalReply,
  type MinimalRequest,
  type RandomBytes,
} from '../base/index.ts';
import { Compiler, type KnownSchema, SchemaStore } from './compiler/index.ts';
import type { Engine, EngineDatabase, EngineDatabaseOptions, EngineLimits } from './engine.ts';
import { LargeBodyRequests } from './large-bodies/index.ts';
import { MemoryBudget, SWEEP_MS } from './memory-budget.ts';
import { PrismaRuntime } from './prisma-runtime/index.ts';
import type { Prisma6Parts } from './prisma6/index.ts';
import { PlansByShape, Prisma6Routes, QueryPlanner } from './prisma6/index.ts';
import { Prisma7Routes } from './prisma7/index.ts';
import { buildProgram, neverBuilt, ProgramExecutor } from './program/index.ts';
import {
  isQueryRoute,
  limitsOf,
  operationBounds,
  type QueryRoute,
  type Route,
  routeOf,
  schemaMissing,
} from './request/index.ts';
import { withStatements } from './statements/index.ts';
import { Transactions } from './transactions/index.ts';

export interface EngineOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly limits: EngineLimits;
  /** Bodies beyond this are read in a thread; smaller in tests. */
  readonly largeBodyBytes?: number;
  /** Metadata of schemas beyond this is not read; smaller in tests. */
  readonly metadataBytesMax?: number;
  /** Longest that a thread may read and compile one; shorter or longer in tests. */
  readonly largeBodyPrepareMs?: number;
  /** False: no plan is compiled, Prisma's runtime runs them all. So tests know what it would say. */
  readonly programs?: boolean;
}

/** The engine of this process. The compiler's thread starts with the first query that needs it. */
export function createEngine(options: EngineOptions): Engine {
  const compiler = new Compiler({
    clock: options.clock,
    log: options.log,
    metadataBytesMax: options.metadataBytesMax,
  });
  const runtime = new PrismaRuntime();
  const programExecutor = new ProgramExecutor(runtime, options.clock);
  const budget = new MemoryBudget(options.limits.keptBytesMax);
  const { clock, log, limits, largeBodyPrepareMs, programs = true } = options;
  const largeBodies = new LargeBodyRequests({
    clock,
    log,
    limits,
    compiler,
    counts: programExecutor.counts,
    programs,
    prepareMsMax: largeBodyPrepareMs,
  });
  const shared: SharedParts = { compiler, runtime, programExecutor, budget, largeBodies };
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
    get programExecutions() {
      return programExecutor.counts;
    },
    close: async () => {
      sweeps.cancel();
      await Promise.all([compiler.close(), largeBodies.close()]);
    },
  };
}

/** What all databases share. */
interface SharedParts {
  readonly compiler: Compiler;
  readonly runtime: PrismaRuntime;
  readonly programExecutor: ProgramExecutor;
  readonly budget: MemoryBudget;
  readonly largeBodies: LargeBodyRequests;
}

class OpenDatabase implements EngineDatabase {
  readonly #parts: Prisma6Parts;
  readonly #largeBodies: LargeBodyRequests;
  readonly #largeBodyBytes: number;
  readonly #owner: string;
  readonly #transactions: Transactions;
  readonly #prisma6: Prisma6Routes;
  readonly #prisma7: Prisma7Routes;
  readonly #schemas: SchemaStore;
  readonly #planner: QueryPlanner;
  #closed = false;

  constructor(options: EngineOptions, database: EngineDatabaseOptions, shared: SharedParts) {
    const { compiler, runtime, programExecutor, budget, largeBodies } = shared;
    const { clock, random, log, limits, largeBodyBytes = LARGE_BODY_BYTES, programs = true } = options;
    this.#largeBodies = largeBodies;
    this.#largeBodyBytes = largeBodyBytes;
    const owner = database.databaseId;
    this.#owner = owner;
    this.#transactions = new Transactions({ clock, random, runtime, openMax: limits.transactionsMax });
    const plansByShape = new PlansByShape<QueryPlanNode | BatchResponse>(budget);
    this.#planner = new QueryPlanner({ clock, compiler, plansByShape, budget, owner });
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
      runtime,
      programExecutor,
      buildProgram: programs ? buildProgram : neverBuilt,
      budget,
      planner: this.#planner,
      schemas: this.#schemas,
      transactions: this.#transactions,
      publicUrl: database.publicUrl,
      pool: (role) => database.pool(role),
      bounds: (call, lowered) => operationBounds(clock, call, lowered),
      withStatements: (call, bounds, work) =>
        runtime.worded(() => withStatements(database.pool(call.principal.role), bounds, work)),
      onOperation: (call, operations) => database.onOperation(call, operations),
    };
    this.#parts = parts;
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
    if (request.body.byteLength > this.#largeBodyBytes) {
      if (isQueryRoute(route)) return this.#largeBodyQuery(route, request, call);
      if (route.to !== 'schema' && request.body.byteLength > LARGE_BODY_BYTES) return Promise.reject(tooLong());
    }
    return 'schemaHash' in route
      ? this.#prisma6.handle(route, request, call)
      : this.#prisma7.handle(route, request, call);
  }

  /** A query whose body is too large to be read here. */
  async #largeBodyQuery(route: QueryRoute, request: MinimalRequest, call: Call): Promise<MinimalReply> {
    const { limits, pool, transactions, schemas, bounds: boundsOf, onOperation } = this.#parts;
    const bounds = boundsOf(call, limitsOf(request, limits));
    let schema: KnownSchema | undefined;
    if ('schemaHash' in route) {
      const { schemaHash } = route;
      schema = schemas.latest(schemaHash) ?? (await schemas.find(schemaHash, bounds.deadline));
      if (schema === undefined) return schemaMissing();
    }
    return this.#largeBodies.handle(this.#owner, route, request, {
      call,
      bounds,
      pool: pool(call.principal.role),
      transactions,
      transactionId: 'transactionId' in route ? route.transactionId : undefined,
      schema: async () => {
        assert(schema !== undefined, 'only queries of Prisma 6 have a schema');
        return { text: await schema.text(), facts: schema.facts };
      },
      onOperation: (count) => onOperation(call, count),
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#planner.clear();
    this.#prisma7.clear();
    this.#schemas.clear();
    await this.#transactions.close();
  }
}

function tooLong(): DormouseError {
  return new DormouseError('body_too_large', {
    message: `The body of a request that is no query has at most ${LARGE_BODY_BYTES} bytes.`,
  });
}

import type { BatchResponse, QueryPlanNode } from '@prisma/client-engine-runtime';
import {
  assert,
  type Call,
  type Clock,
  DormouseError,
  isQueryRoute,
  LARGE_BODY_BYTES,
  type Logger,
  type MinimalReply,
  type Prisma6Route,
  type Prisma7Route,
  type QueryRoute,
  type RandomBytes,
  type Role,
} from '../base/index.ts';
import { type Compiler, type KnownSchema, SchemaStore } from './compiler/index.ts';
import type { EngineDatabase, EngineDatabaseOptions, EngineLimits } from './engine.ts';
import type { LargeBodyRequests } from './large-bodies/index.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PrismaRuntime } from './prisma-runtime/index.ts';
import {
  PlansByShape,
  type Prisma6QueryParts,
  Prisma6QueryRoutes,
  Prisma6TransactionRoutes,
  QueryPlanner,
  uploadSchema,
} from './prisma6/index.ts';
import { connectionInfoReply, Prisma7QueryRoutes, Prisma7TransactionRoutes } from './prisma7/index.ts';
import type { BuildProgram, ProgramExecutor } from './program/index.ts';
import { limitsOf, operationBounds, type RequestContent } from './request/index.ts';
import { withStatements } from './statements/index.ts';
import { Transactions } from './transactions/index.ts';

/** The parts of an engine that all of its databases share. */
export interface SharedParts {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
  readonly limits: EngineLimits;
  /** Queries whose body has more bytes than this are read in a thread. */
  readonly largeBodyBytes: number | undefined;
  readonly compiler: Compiler;
  readonly runtime: PrismaRuntime;
  readonly programExecutor: ProgramExecutor;
  readonly buildProgram: BuildProgram;
  readonly budget: MemoryBudget;
  readonly largeBodies: LargeBodyRequests;
}

/** One database of an engine: holds its schemas, plans and transactions, and hands each request to its route. */
export class OpenDatabase implements EngineDatabase {
  readonly #database: EngineDatabaseOptions;
  readonly #shared: SharedParts;
  readonly #largeBodyBytes: number;
  readonly #transactions: Transactions;
  readonly #schemas: SchemaStore;
  readonly #prisma6Queries: Prisma6QueryRoutes;
  readonly #prisma6Transactions: Prisma6TransactionRoutes;
  readonly #prisma7Queries: Prisma7QueryRoutes;
  readonly #prisma7Transactions: Prisma7TransactionRoutes;
  #closed = false;

  constructor(database: EngineDatabaseOptions, shared: SharedParts) {
    this.#database = database;
    this.#shared = shared;
    const { clock, random, limits, runtime, largeBodyBytes = LARGE_BODY_BYTES } = shared;
    this.#largeBodyBytes = largeBodyBytes;
    this.#transactions = new Transactions({ clock, random, runtime, openMax: limits.transactionsMax });
    this.#schemas = this.#openSchemas();
    const queries = this.#queryParts();
    const { publicUrl } = database;
    const transactions = {
      clock,
      random,
      limits,
      runtime,
      publicUrl,
      transactions: this.#transactions,
      pool: (role: Role) => database.pool(role),
    };
    this.#prisma6Queries = new Prisma6QueryRoutes(queries);
    this.#prisma6Transactions = new Prisma6TransactionRoutes(transactions);
    this.#prisma7Queries = new Prisma7QueryRoutes(queries);
    this.#prisma7Transactions = new Prisma7TransactionRoutes(transactions);
  }

  get openTransactions(): number {
    return this.#transactions.open;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#prisma6Queries.clear();
    this.#prisma7Queries.clear();
    this.#schemas.clear();
    await this.#transactions.close();
  }

  handle(request: RequestContent, call: Call): Promise<MinimalReply> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    const { route } = call;
    const bytes = request.body.byteLength;
    if (bytes > this.#largeBodyBytes) {
      if (isQueryRoute(route)) return this.#largeBodyQuery(route, request, call);
      if (route.name !== 'schema' && bytes > LARGE_BODY_BYTES) return Promise.reject(tooLong());
    }
    return route.protocol === 'prisma6'
      ? this.#handlePrisma6(route, request, call)
      : this.#handlePrisma7(route, request, call);
  }

  #handlePrisma6(route: Prisma6Route, request: RequestContent, call: Call): Promise<MinimalReply> {
    switch (route.name) {
      case 'query':
      case 'transaction-query':
        return this.#prisma6Queries.handle(route, request, call);
      case 'schema':
        return this.#upload(route.schemaHash, request, call);
      default:
        return this.#prisma6Transactions.handle(route, request, call);
    }
  }

  #handlePrisma7(route: Prisma7Route, request: RequestContent, call: Call): Promise<MinimalReply> {
    switch (route.name) {
      case 'query':
      case 'transaction-query':
        return this.#prisma7Queries.handle(route, request, call);
      case 'connection-info':
        return Promise.resolve(connectionInfoReply());
      default:
        return this.#prisma7Transactions.handle(route, request, call);
    }
  }

  async #upload(schemaHash: string, request: RequestContent, call: Call): Promise<MinimalReply> {
    const { queryMs } = limitsOf(request, this.#shared.limits);
    return uploadSchema(this.#schemas, schemaHash, request, call.deadline.within(queryMs));
  }

  /** A query whose body is too large to be read on the main thread. */
  async #largeBodyQuery(route: QueryRoute, request: RequestContent, call: Call): Promise<MinimalReply> {
    const { clock, limits, largeBodies } = this.#shared;
    const { databaseId } = this.#database;
    const bounds = operationBounds(clock, call, limitsOf(request, limits));
    let schema: KnownSchema | undefined;
    if (route.protocol === 'prisma6') {
      const { schemaHash } = route;
      schema = this.#schemas.latest(schemaHash) ?? (await this.#schemas.find(schemaHash, bounds.deadline));
      if (schema === undefined) throw new DormouseError('schema_missing');
    }
    return largeBodies.handle(databaseId, route, request, {
      call,
      bounds,
      pool: this.#database.pool(call.principal.role),
      transactions: this.#transactions,
      transactionId: 'transactionId' in route ? route.transactionId : undefined,
      schema: async () => {
        assert(schema !== undefined, 'only queries of Prisma 6 have a schema');
        return { text: await schema.text(), facts: schema.facts };
      },
      onOperation: () => this.#database.onOperation(call, 1),
    });
  }

  #openSchemas(): SchemaStore {
    const { compiler, budget, random, log, limits } = this.#shared;
    return new SchemaStore({
      directory: this.#database.schemaDirectory,
      schemasMax: limits.schemasMax,
      schemaBytesMax: limits.schemaBytesMax,
      owner: this.#database.databaseId,
      compiler,
      budget,
      random,
      log,
    });
  }

  #queryParts(): Prisma6QueryParts {
    const { clock, random, limits, compiler, runtime, programExecutor, buildProgram, budget } = this.#shared;
    const database = this.#database;
    const plansByShape = new PlansByShape<QueryPlanNode | BatchResponse>(budget);
    return {
      clock,
      random,
      limits,
      runtime,
      programExecutor,
      buildProgram,
      budget,
      planner: new QueryPlanner({ clock, compiler, plansByShape, budget, owner: database.databaseId }),
      schemas: this.#schemas,
      withStatements: (call, bounds, work) =>
        runtime.worded(() => withStatements(database.pool(call.principal.role), bounds, work)),
      inTransaction: (call, id, bounds, work) => this.#transactions.run(call, id, bounds, work),
      onOperation: (call) => database.onOperation(call, 1),
    };
  }
}

function tooLong(): DormouseError {
  return new DormouseError('body_too_large', {
    message: `The body of a request that is no query has at most ${LARGE_BODY_BYTES} bytes.`,
  });
}

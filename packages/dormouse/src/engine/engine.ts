import type { Call, DatabaseId, MinimalReply, MinimalRequest, Role } from '../base/index.ts';
import type { Pool } from '../pool/index.ts';

/** Bounds of the query path, each a flag of `dormouse start`. */
export interface EngineLimits {
  readonly replyBytesMax: number;
  readonly queryMs: number;
  /** Longest an interactive transaction may live, whatever the client asks. */
  readonly transactionMs: number;
  readonly transactionsMax: number;
  /** Uploaded schemas kept a database. */
  readonly schemasMax: number;
  readonly schemaBytesMax: number;
  /** Memory of plans and schemas kept, of all databases together. */
  readonly keptBytesMax: number;
}

export interface EngineDatabaseOptions {
  readonly databaseId: DatabaseId;
  pool(role: Role): Pool;
  /** Where uploaded schemas of this database persist; exists, or is made on the first upload. */
  readonly schemaDirectory: string;
  /** Base URL that clients reach the platform by (`--public-url`), for Prisma 6's transaction endpoint. */
  readonly publicUrl: string;
  /** Called once a client operation, for metering. */
  onOperation(call: Call, operations: number): void;
}

/** All that the engine knows of one database: schemas, plan cache, open transactions. */
export interface EngineDatabase {
  /**
   * Serves the routes of both Accelerate protocols. Throws `DormouseError` for what never reached Postgres; else
   * replies itself.
   */
  handle(request: MinimalRequest, call: Call): Promise<MinimalReply>;
  /** Interactive transactions that are open or about to be. */
  readonly openTransactions: number;
  /** Rolls back what is open. */
  close(): Promise<void>;
}

/** The engine of one process: holds the compiler's worker. */
export interface Engine {
  openDatabase(options: EngineDatabaseOptions): EngineDatabase;
  /** Bytes of plans and schemas kept for all databases, by estimate. */
  readonly keptBytes: number;
  /**
   * Executions of programs. Of those in `handedOver`, Prisma's runtime evaluated a part or wrote the reply. Plans that
   * the runtime ran alone are not counted.
   */
  readonly programExecutions: { readonly byProgram: number; readonly handedOver: number; readonly failed: number };
  close(): Promise<void>;
}

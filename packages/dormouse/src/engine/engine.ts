import type { Call, DatabaseId, MinimalReply, QueryRequest, Role } from '../base/index.ts';
import type { Pool } from '../pool/index.ts';

/** Bounds of the query path. Each is a flag of `dormouse start`. */
export interface EngineLimits {
  readonly replyBytesMax: number;
  readonly queryMs: number;
  /** The longest that an interactive transaction may stay open, whatever the client asks for. */
  readonly transactionMs: number;
  readonly transactionsMax: number;
  /** Uploaded schemas that are kept per database. */
  readonly schemasMax: number;
  readonly schemaBytesMax: number;
  /** Bytes of plans and schemas that are kept in memory, for all databases together. */
  readonly keptBytesMax: number;
}

export interface EngineDatabaseOptions {
  readonly databaseId: DatabaseId;
  pool(role: Role): Pool;
  /** The directory of this database's uploaded schemas. The first upload creates it. */
  readonly schemaDirectory: string;
  /** The base URL by which clients reach the platform (`--public-url`), for the address of a Prisma 6 transaction. */
  readonly publicUrl: string;
  /** Called once per operation of a client, for metering. */
  onOperation(call: Call, operations: number): void;
}

/** All that the engine knows of one database: its schemas, kept plans and open transactions. */
export interface EngineDatabase {
  /**
   * Serves the routes of both Accelerate protocols. Throws `DormouseError` for a request that never reached Postgres;
   * every other outcome, errors of Postgres included, is a reply.
   */
  handle(request: Pick<QueryRequest, 'header' | 'body'>, call: Call): Promise<MinimalReply>;
  /** Interactive transactions that are open or about to be. */
  readonly openTransactions: number;
  /** Rolls back the open transactions and takes no more requests. */
  close(): Promise<void>;
}

/** The engine of one process: holds the compiler's threads, and what all databases share. */
export interface Engine {
  openDatabase(options: EngineDatabaseOptions): EngineDatabase;
  /** Estimated bytes of the plans and schemas that are kept for all databases. */
  readonly keptBytes: number;
  /**
   * Executions of programs. Of those in `handedOver`, Prisma's runtime evaluated a part or wrote the reply. Plans that
   * the runtime ran alone are not counted.
   */
  readonly programExecutions: { readonly byProgram: number; readonly handedOver: number; readonly failed: number };
  close(): Promise<void>;
}

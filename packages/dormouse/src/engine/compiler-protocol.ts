import type { ParamGraphData } from '@prisma/param-graph';

/** What the compiler's owner and its worker thread say to each other. */

/** A job for the worker. `schema` is the text of a Prisma schema that the worker may not hold yet. */
export type CompilerJob =
  | { readonly id: number; readonly kind: 'load'; readonly schemaHash: string; readonly schema: string }
  | {
      readonly id: number;
      readonly kind: 'compile' | 'compile-batch';
      readonly schemaHash: string;
      readonly request: string;
    };

/** How a job failed. */
export interface CompilerFailure {
  /**
   * `missing`: the worker does not hold the schema. `schema`: the schema is not valid. `query`: the query does not fit the
   * schema. `panic`: the compiler broke; its worker must be replaced.
   */
  readonly reason: 'missing' | 'schema' | 'query' | 'panic';
  readonly message: string;
  readonly code?: string | undefined;
  readonly meta?: unknown;
}

/** The worker's answer; `memoryBytes` is what its WebAssembly memories hold by now. */
export type CompilerReply = { readonly id: number; readonly memoryBytes: number } & (
  | { readonly result: unknown }
  | { readonly failure: CompilerFailure }
);

/** What the worker starts with: compiled modules, so that a replacement is quick. */
export interface CompilerWorkerData {
  readonly compilerModule: WebAssembly.Module;
  /** `import`able URL of the compiler's JavaScript part. */
  readonly compilerUrl: string;
  /** Schemas held at once; the least recently used goes first. */
  readonly schemasMax: number;
  /** What the compiler is told of the database. */
  readonly connectionInfo: object;
}

/** What the engine needs to know of a schema, beside compiling for it. */
export interface SchemaFacts {
  /** What may be taken out of queries as parameters; absent for a schema whose metadata is too large to read. */
  readonly parameters?: {
    readonly graph: ParamGraphData;
    /** Database names by enum and value. */
    readonly enums: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
}

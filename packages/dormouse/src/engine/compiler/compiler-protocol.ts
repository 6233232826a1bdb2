import type { PackedGraph } from './packed-graph.ts';

/** A job for the compiler's thread. */
export interface CompilerJob {
  readonly kind: 'compile' | 'compile-batch';
  readonly schemaHash: string;
  /** The text of the schema, once the thread has said that it does not hold it. */
  readonly schema?: string;
  readonly request: string;
}

/** What a thread with a compiler starts with: a compiled module, so that a replacement is quick. */
export interface CompilerModule {
  readonly compilerModule: WebAssembly.Module;
  /** `import`able URL of the compiler's JavaScript part. */
  readonly compilerUrl: string;
  /** Characters of the schemas held at once; the least recently used goes first. */
  readonly schemaCharactersMax: number;
  /** What the compiler is told of the database. */
  readonly connectionInfo: object;
}

/** A job for the schema thread: `check` validates, `read` gives {@link SchemaFacts} of a valid one. */
export interface SchemaJob {
  readonly kind: 'check' | 'read';
  readonly schema: string;
}

/** What the schema thread starts with. */
export interface SchemaThreadData {
  /** How far the validator's memory may grow. */
  readonly memoryBytesMax: number;
  /** Metadata beyond this is not read. */
  readonly metadataBytesMax: number;
}

/** What the engine needs to know of a schema, beside compiling for it. */
export interface SchemaFacts {
  /** What may be taken out of queries as parameters; absent until that is read, and for a schema too large for it. */
  readonly parameters?:
    | {
        readonly graph: PackedGraph;
        /** Database names by enum and value. */
        readonly enums: Readonly<Record<string, Readonly<Record<string, string>>>>;
      }
    | undefined;
}

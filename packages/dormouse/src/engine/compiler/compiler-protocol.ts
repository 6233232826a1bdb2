import type { PackedGraph } from './packed-graph.ts';

/** A job for the compiler's thread. */
export interface CompilerJob {
  readonly kind: 'compile' | 'compile-batch';
  readonly schemaHash: string;
  /** The text of the schema, if the thread has answered that it does not hold the schema. */
  readonly schema?: string;
  readonly request: string;
}

/** The start data of a thread with a compiler. The module is compiled already, so that a replacement starts quickly. */
export interface CompilerModule {
  readonly compilerModule: WebAssembly.Module;
  /** URL of the compiler's JavaScript part, for `import`. */
  readonly compilerUrl: string;
  /** Most characters of the schemas that are held at once. The least recently used schema is dropped first. */
  readonly schemaCharactersMax: number;
  /** The facts about the database that the compiler needs. */
  readonly connectionInfo: object;
}

/** A job for a schema thread: `check` validates a schema, `read` gives the {@link SchemaFacts} of a valid one. */
export interface SchemaJob {
  readonly kind: 'check' | 'read';
  readonly schema: string;
}

/** The start data of a schema thread. */
export interface SchemaThreadData {
  /** Most bytes to which the validator's memory may grow. */
  readonly memoryBytesMax: number;
  /** Metadata of more bytes than this is not read. */
  readonly metadataBytesMax: number;
}

/** What the engine knows about a schema besides its text. */
export interface SchemaFacts {
  /**
   * Which values of a query may become parameters. Absent until the metadata was read, and for a schema whose metadata
   * is too large.
   */
  readonly parameters?:
    | {
        readonly graph: PackedGraph;
        /** For each enum, the database's name of each value. */
        readonly enums: Readonly<Record<string, Readonly<Record<string, string>>>>;
      }
    | undefined;
}

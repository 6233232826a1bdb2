/**
 * Owns: uploaded schemas, and the compilation of queries to plans by Prisma's WebAssembly compiler in worker threads.
 * Never: executes a plan, or reads a request's headers.
 */

export { Compiler, compileError, QueryRefused, type SchemaSource } from './compiler.ts';
export type { CompilerModule, SchemaFacts } from './compiler-protocol.ts';
export { QueryCompilers } from './query-compilers.ts';
export { forSchemaValidator } from './schema-dialect.ts';
export { HeldSchema, type KnownSchema, SchemaStore } from './schema-store.ts';

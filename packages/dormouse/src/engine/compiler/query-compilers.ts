import type { Failure } from '../../threads/index.ts';
import type { CompilerJob, CompilerModule } from './compiler-protocol.ts';
import { Panics } from './panics.ts';

interface QueryCompiler {
  compile(request: string): unknown;
  compileBatch(request: string): unknown;
  free(): void;
}
interface CompilerBindings extends WebAssembly.ModuleImports {
  readonly QueryCompiler: new (parameters: object) => QueryCompiler;
  readonly __wbg_set_wasm: (exports: WebAssembly.Exports) => void;
}

/** Thrown if a job is for a schema that the thread does not hold. */
class MissingSchema extends Error {}

/**
 * Prisma's query compilers within a thread, one for each schema that was used recently. Compiling is synchronous; the
 * main thread enforces the time limit by ending the thread.
 */
export class QueryCompilers {
  readonly #data: CompilerModule;
  readonly #bindings: CompilerBindings;
  readonly #memory: WebAssembly.Memory;
  readonly #panics = new Panics();
  /** Compilers by the hash of their schema, the least recently used first. */
  readonly #held = new Map<string, { readonly compiler: QueryCompiler; readonly characters: number }>();
  #characters = 0;

  private constructor(data: CompilerModule, bindings: CompilerBindings) {
    this.#data = data;
    this.#bindings = bindings;
    this.#panics.listen();
    const instance = new WebAssembly.Instance(data.compilerModule, { './query_compiler_fast_bg.js': bindings });
    bindings.__wbg_set_wasm(instance.exports);
    (instance.exports.__wbindgen_start as () => void)();
    this.#memory = instance.exports.memory as WebAssembly.Memory;
  }

  static async open(data: CompilerModule): Promise<QueryCompilers> {
    return new QueryCompilers(data, (await import(data.compilerUrl)) as CompilerBindings);
  }

  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  compile(job: CompilerJob): { readonly result: unknown } | { readonly failure: Failure } {
    try {
      const compiler = this.#use(job.schemaHash) ?? this.#load(job.schemaHash, job.schema);
      return { result: job.kind === 'compile' ? compiler.compile(job.request) : compiler.compileBatch(job.request) };
    } catch (error) {
      return {
        failure:
          error instanceof MissingSchema
            ? { reason: 'missing', message: 'the schema is not held' }
            : this.#panics.failureOf(error),
      };
    }
  }

  #load(hash: string, datamodel: string | undefined): QueryCompiler {
    if (datamodel === undefined) throw new MissingSchema();
    const { connectionInfo, schemaCharactersMax } = this.#data;
    this.#characters += datamodel.length;
    for (const [oldest, { compiler, characters }] of this.#held) {
      if (this.#characters <= schemaCharactersMax) break;
      this.#held.delete(oldest);
      this.#characters -= characters;
      compiler.free();
    }
    try {
      const compiler = new this.#bindings.QueryCompiler({ datamodel, provider: 'postgres', connectionInfo });
      this.#held.set(hash, { compiler, characters: datamodel.length });
      return compiler;
    } catch (error) {
      this.#characters -= datamodel.length;
      throw error;
    }
  }

  #use(hash: string): QueryCompiler | undefined {
    const held = this.#held.get(hash);
    if (held === undefined) return undefined;
    this.#held.delete(hash);
    this.#held.set(hash, held);
    return held.compiler;
  }
}

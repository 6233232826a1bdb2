/** The thread that Prisma's query compiler lives in; see job-thread.ts for its life. */
import { parentPort, workerData } from 'node:worker_threads';
import type { CompilerJob, CompilerThreadData } from './compiler-protocol.ts';
import type { JobReply, NumberedJob } from './job-thread.ts';
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

/** The compiler of a schema that the thread does not hold is asked for. */
class MissingSchema extends Error {}

class CompilerThread {
  readonly #data: CompilerThreadData;
  readonly #bindings: CompilerBindings;
  readonly #memory: WebAssembly.Memory;
  readonly #panics = new Panics();
  /** Least recently used first. */
  readonly #held = new Map<string, { readonly compiler: QueryCompiler; readonly characters: number }>();
  #characters = 0;

  constructor(data: CompilerThreadData, bindings: CompilerBindings) {
    this.#data = data;
    this.#bindings = bindings;
    this.#panics.listen();
    const instance = new WebAssembly.Instance(data.compilerModule, { './query_compiler_fast_bg.js': bindings });
    bindings.__wbg_set_wasm(instance.exports);
    (instance.exports.__wbindgen_start as () => void)();
    this.#memory = instance.exports.memory as WebAssembly.Memory;
  }

  answer(job: NumberedJob<CompilerJob>): JobReply {
    const { id } = job;
    try {
      const result = this.#do(job);
      return { id, memoryBytes: this.#memory.buffer.byteLength, result };
    } catch (error) {
      const failure =
        error instanceof MissingSchema
          ? { reason: 'missing' as const, message: 'the schema is not held' }
          : this.#panics.failureOf(error);
      return { id, memoryBytes: this.#memory.buffer.byteLength, failure };
    }
  }

  #do(job: CompilerJob): unknown {
    const compiler = this.#use(job.schemaHash) ?? this.#load(job.schemaHash, job.schema);
    return job.kind === 'compile' ? compiler.compile(job.request) : compiler.compileBatch(job.request);
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

const port = parentPort;
if (port !== null) {
  const data = workerData as CompilerThreadData;
  const thread = new CompilerThread(data, (await import(data.compilerUrl)) as CompilerBindings);
  port.on('message', (job: NumberedJob<CompilerJob>) => port.postMessage(thread.answer(job)));
  port.postMessage('ready');
}

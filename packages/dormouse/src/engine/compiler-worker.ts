/**
 * The thread that Prisma's compiler and schema validator live in. It answers one job after the other; its owner
 * (compiler.ts) sends one at a time, holds each to a deadline, and replaces the thread when it breaks or grows.
 */
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import type {
  CompilerFailure,
  CompilerJob,
  CompilerReply,
  CompilerWorkerData,
  SchemaFacts,
} from './compiler-protocol.ts';
import type { Metadata } from './metadata.ts';
import { buildParameterGraph } from './parameter-graph.ts';
import { forSchemaValidator } from './schema-dialect.ts';

interface QueryCompiler {
  compile(request: string): unknown;
  compileBatch(request: string): unknown;
  free(): void;
}
interface CompilerBindings {
  readonly QueryCompiler: new (parameters: object) => QueryCompiler;
  __wbg_set_wasm(exports: WebAssembly.Exports): void;
}
/** A schema that is ready to compile for. */
interface Held {
  readonly compiler: QueryCompiler;
  readonly facts: SchemaFacts;
}
interface SchemaBindings {
  validate(parameters: string): void;
  get_dmmf_buffered(parameters: string): {
    len(): number;
    read_chunk(offset: number, length: number): Uint8Array;
    free(): void;
  };
  readonly __wasm: { readonly memory: WebAssembly.Memory };
}

/** How the bindings of both packages report a panic before they trap. */
const panics: { message: string | undefined } = { message: undefined };
Object.assign(globalThis, {
  PRISMA_WASM_PANIC_REGISTRY: {
    set_message(message: string) {
      panics.message = message;
    },
  },
});

/** Metadata of 20 models is about 2 MB; a tenth of the thread's heap is left to it. */
const METADATA_BYTES_MAX = 24 * 2 ** 20;

class CompilerThread {
  readonly #data: CompilerWorkerData;
  readonly #compiler: CompilerBindings;
  readonly #compilerMemory: WebAssembly.Memory;
  readonly #schemas: SchemaBindings;
  /** Least recently used first. */
  readonly #held = new Map<string, Held>();

  private constructor(data: CompilerWorkerData, compiler: CompilerBindings, memory: WebAssembly.Memory) {
    this.#data = data;
    this.#compiler = compiler;
    this.#compilerMemory = memory;
    // The package is CommonJS and loads its module as it is required.
    this.#schemas = createRequire(import.meta.url)('@prisma/prisma-schema-wasm') as SchemaBindings;
  }

  static async start(data: CompilerWorkerData): Promise<CompilerThread> {
    const bindings = (await import(data.compilerUrl)) as CompilerBindings & WebAssembly.ModuleImports;
    const instance = new WebAssembly.Instance(data.compilerModule, { './query_compiler_fast_bg.js': bindings });
    bindings.__wbg_set_wasm(instance.exports);
    (instance.exports.__wbindgen_start as () => void)();
    return new CompilerThread(data, bindings, instance.exports.memory as WebAssembly.Memory);
  }

  answer(job: CompilerJob): CompilerReply {
    panics.message = undefined;
    try {
      const result = this.#do(job);
      return { id: job.id, memoryBytes: this.#memoryBytes(), result };
    } catch (error) {
      return { id: job.id, memoryBytes: this.#memoryBytes(), failure: failureOf(error, job) };
    }
  }

  #do(job: CompilerJob): unknown {
    switch (job.kind) {
      case 'load':
        return this.#load(job.schemaHash, job.schema);
      case 'compile':
        return this.#use(job.schemaHash).compile(job.request);
      case 'compile-batch':
        return this.#use(job.schemaHash).compileBatch(job.request);
    }
  }

  #load(hash: string, schema: string): SchemaFacts {
    const held = this.#held.get(hash);
    if (held !== undefined) return held.facts;
    const datamodel = forSchemaValidator(schema);
    const parameters = JSON.stringify({ prismaSchema: [['schema.prisma', datamodel]], noColor: true });
    this.#schemas.validate(parameters);
    const facts = this.#facts(parameters);
    const compiler = new this.#compiler.QueryCompiler({
      datamodel,
      provider: 'postgres',
      connectionInfo: this.#data.connectionInfo,
    });
    this.#held.set(hash, { compiler, facts });
    if (this.#held.size > this.#data.schemasMax) {
      for (const [oldest, unused] of this.#held) {
        this.#held.delete(oldest);
        unused.compiler.free();
        break;
      }
    }
    return facts;
  }

  #facts(parameters: string): SchemaFacts {
    const buffer = this.#schemas.get_dmmf_buffered(parameters);
    try {
      const length = buffer.len();
      // Beyond this the schema is served without what the metadata would give: it is a comfort, not a need.
      if (length > METADATA_BYTES_MAX) return {};
      const metadata = JSON.parse(Buffer.from(buffer.read_chunk(0, length)).toString('utf8')) as Metadata;
      return {
        parameters: { graph: buildParameterGraph(metadata), enums: enumValues(metadata) },
      };
    } finally {
      buffer.free();
    }
  }

  #use(hash: string): QueryCompiler {
    const held = this.#held.get(hash);
    if (held === undefined) throw new MissingSchema();
    this.#held.delete(hash);
    this.#held.set(hash, held);
    return held.compiler;
  }

  #memoryBytes(): number {
    return this.#compilerMemory.buffer.byteLength + this.#schemas.__wasm.memory.buffer.byteLength;
  }
}

function enumValues(metadata: Metadata): Record<string, Record<string, string>> {
  return Object.fromEntries(
    metadata.datamodel.enums.map(({ name, values }) => [
      name,
      Object.fromEntries(values.map((value) => [value.name, value.dbName ?? value.name])),
    ]),
  );
}

class MissingSchema extends Error {}

function failureOf(error: unknown, job: CompilerJob): CompilerFailure {
  if (error instanceof MissingSchema) return { reason: 'missing', message: 'the schema is not loaded' };
  if (panics.message !== undefined || error instanceof WebAssembly.RuntimeError) {
    return { reason: 'panic', message: panics.message ?? String(error) };
  }
  const { message, code, meta } = error as { message?: unknown; code?: unknown; meta?: unknown };
  const text = typeof message === 'string' ? message : String(error);
  if (job.kind === 'load') return { reason: 'schema', message: schemaMessage(text) };
  return { reason: 'query', message: text, code: typeof code === 'string' ? code : undefined, meta };
}

/** The validator reports as JSON inside of its error's message. */
function schemaMessage(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : text;
  } catch {
    return text;
  }
}

const port = parentPort;
if (port !== null) {
  const thread = await CompilerThread.start(workerData as CompilerWorkerData);
  port.on('message', (job: CompilerJob) => port.postMessage(thread.answer(job)));
  port.postMessage('ready');
}

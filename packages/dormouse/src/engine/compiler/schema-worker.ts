/** The worker thread of Prisma's schema validator. JobThread (src/threads/) starts, bounds and replaces it. */
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { answerJobs, type JobAnswer } from '../../threads/index.ts';
import type { SchemaFacts, SchemaJob, SchemaThreadData } from './compiler-protocol.ts';
import type { Metadata } from './metadata.ts';
import { readMetadata } from './metadata-reader.ts';
import { packGraph } from './packed-graph.ts';
import { Panics } from './panics.ts';
import { buildParameterGraph } from './parameter-graph.ts';
import { withMemoryLimit } from './wasm-memory.ts';

/** Bytes of the metadata that are read at once. */
const CHUNK_BYTES = 2 ** 20;

interface MetadataBuffer {
  len(): number;
  read_chunk(offset: number, length: number): Uint8Array;
  free(): void;
}
interface SchemaBindings {
  validate(parameters: string): void;
  get_dmmf_buffered(parameters: string): MetadataBuffer;
  readonly __wasm: { readonly memory: WebAssembly.Memory };
}

class SchemaThread {
  readonly #data: SchemaThreadData;
  readonly #bindings: SchemaBindings;
  readonly #panics = new Panics();

  constructor(data: SchemaThreadData, bindings: SchemaBindings) {
    this.#data = data;
    this.#bindings = bindings;
    this.#panics.listen();
  }

  answer(job: SchemaJob): JobAnswer {
    try {
      const result = this.#do(job);
      return { memoryBytes: this.#bindings.__wasm.memory.buffer.byteLength, result };
    } catch (error) {
      const failure = this.#panics.failureOf(error);
      return { memoryBytes: this.#bindings.__wasm.memory.buffer.byteLength, failure };
    }
  }

  #do({ kind, schema }: SchemaJob): SchemaFacts | undefined {
    const parameters = JSON.stringify({ prismaSchema: [['schema.prisma', schema]], noColor: true });
    if (kind === 'read') return this.#read(parameters);
    this.#bindings.validate(parameters);
    return undefined;
  }

  #read(parameters: string): SchemaFacts {
    const metadata = this.#metadata(parameters);
    return { parameters: { graph: packGraph(buildParameterGraph(metadata)), enums: enumValues(metadata) } };
  }

  #metadata(parameters: string): Metadata {
    const buffer = this.#bindings.get_dmmf_buffered(parameters);
    try {
      const length = buffer.len();
      const { metadataBytesMax } = this.#data;
      if (length > metadataBytesMax) throw new Error(`it has ${length} bytes, more than ${metadataBytesMax}`);
      return readMetadata(chunksOf(buffer, length));
    } finally {
      buffer.free();
    }
  }
}

/** The metadata in pieces. The whole of it stays in the validator's memory; one piece at a time is copied. */
function* chunksOf(buffer: MetadataBuffer, length: number): Generator<Uint8Array> {
  for (let at = 0; at < length; at += CHUNK_BYTES) {
    yield buffer.read_chunk(at, Math.min(CHUNK_BYTES, length - at));
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

/**
 * Limits the memory of modules that this thread creates, by replacing `WebAssembly.Module`: the validator's package
 * creates its module itself, when it is required.
 */
function limitModules(bytesMax: number): void {
  const { Module } = WebAssembly;
  Object.assign(WebAssembly, {
    Module: class extends Module {
      constructor(bytes: Uint8Array) {
        super(withMemoryLimit(bytes, bytesMax));
      }
    },
  });
}

if (parentPort !== null) {
  const data = workerData as SchemaThreadData;
  limitModules(data.memoryBytesMax);
  const thread = new SchemaThread(data, createRequire(import.meta.url)('@prisma/prisma-schema-wasm') as SchemaBindings);
  answerJobs<SchemaJob>(parentPort, (job) => thread.answer(job));
}

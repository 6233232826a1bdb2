import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { type Clock, Deadline, DormouseError, type Logger } from '../../base/index.ts';
import { JobFailed, JobThread, threadFile } from '../../threads/index.ts';
import { CONNECTION_INFO } from '../prisma-runtime/index.ts';
import { CompileQuota } from './compile-quota.ts';
import type { CompilerJob, CompilerModule, SchemaFacts, SchemaJob, SchemaThreadData } from './compiler-protocol.ts';
import { MetadataReading } from './metadata-reading.ts';
import { forSchemaValidator, providerOf } from './schema-dialect.ts';
import { withMemoryLimit } from './wasm-memory.ts';

/** Longest time of a compile job. A usual job takes less than 1 ms; large hostile queries took 150 to 450 ms. */
const COMPILE_MS_MAX = 5_000;
/** Longest processor time of a validation. A schema of 500 models takes 80 ms. */
const CHECK_MS_MAX = 5_000;
/** How long `load` waits for a schema's metadata. After that, queries are compiled without it until it was read. */
const READ_GRACE_MS = 2_000;
/**
 * Longest processor time of reading a schema's metadata. 300 models of an application, with 90 MB of metadata, take 6
 * s.
 */
const READ_CPU_MS_MAX = 60_000;
/** Longest time of reading a schema's metadata, including the wait for other schemas. */
const READ_WAIT_MS = 600_000;
/**
 * A compiler's memory: beyond the first limit, the thread is replaced after its job; at the second, the job fails. 100
 * schemas of 20 models take 21 MB.
 */
const COMPILER_BYTES_MAX = 256 * 2 ** 20;
const COMPILER_GROWTH_BYTES_MAX = 512 * 2 ** 20;
/** The same limits for a validator's memory. It takes four times the bytes of the metadata that it generates. */
const VALIDATOR_BYTES_MAX = 128 * 2 ** 20;
const VALIDATOR_GROWTH_BYTES_MAX = 768 * 2 ** 20;
/** Largest metadata that is read. 300 models of an application have 90 MB, 1000 models of a dozen fields 134 MB. */
const METADATA_BYTES_MAX = 160 * 2 ** 20;
/** JavaScript heap of a compiler's thread, which holds one plan at a time. */
const HEAP_MB_MAX = 512;
/** JavaScript heap of a schema thread. What is kept of metadata takes at most as many bytes as the metadata itself. */
const READER_HEAP_MB_MAX = 256;
/** An idle schema thread ends after this time. New schemas are rare. */
const VALIDATOR_IDLE_MS = 30_000;
/** The idle second compiler thread ends after this time. */
const SLOW_IDLE_MS = 30_000;
/**
 * Most characters of the schemas for which a thread holds a compiler, over all databases. A compiler takes 60 bytes per
 * character, which is 22 MB for 1000 models.
 */
const SCHEMA_CHARACTERS_MAX = 2 * 2 ** 20;
/** Most jobs that may wait for a thread, over all databases. */
const WAITING_MAX = 1_000;

/** The compiler refused a query that does not fit the schema. The client is given the code (P2009 or similar). */
export class QueryRefused extends Error {
  override readonly name = 'QueryRefused';
  readonly code: string | undefined;
  readonly meta: unknown;

  constructor(failure: { readonly message: string; readonly code?: string | undefined; readonly meta?: unknown }) {
    super(failure.message);
    this.code = failure.code;
    this.meta = failure.meta;
  }
}

/** A schema's hash, and its text, which is read only if the compiler does not hold the schema. */
export interface SchemaSource {
  readonly hash: string;
  text(): Promise<string>;
}

export interface CompilerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Tests set lower limits. */
  readonly compileMsMax?: number;
  readonly compilerBytesMax?: number;
  readonly waitingMax?: number;
  readonly metadataBytesMax?: number | undefined;
}

const MESSAGES = {
  late: 'The time of this query was up before it was compiled.',
  full: 'Too many queries wait to be compiled. Slow down.',
};

/**
 * Prisma's query compiler and schema validator, in worker threads, so that neither blocks the main thread.
 *
 * Invariants:
 * - Every job has a time limit, and every thread a memory limit. A job beyond its limit ends its thread and fails; the
 *   jobs behind it run in a new thread.
 * - Databases take turns in a thread, so that many jobs of one delay another by one job at a time.
 * - A database that has used more than its quota of compile time goes on in a second thread, where only such databases
 *   delay each other.
 * - A schema is validated by one thread while another reads the metadata of a large schema.
 * - Threads start with their first job. All but the first compiler thread end when they are idle.
 */
export class Compiler {
  readonly #options: CompilerOptions;
  readonly #compiler: JobThread<CompilerJob>;
  /** For databases that have exceeded their quota: they wait for each other only. */
  readonly #slowCompiler: JobThread<CompilerJob>;
  readonly #quota: CompileQuota;
  #module: Promise<CompilerModule> | undefined;
  readonly #validator: JobThread<SchemaJob>;
  /** Separate from the validator, so that a schema is checked while the metadata of a large one is read. */
  readonly #reader: JobThread<SchemaJob>;

  constructor(options: CompilerOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#quota = new CompileQuota(clock);
    const compilerThread = (name: string, idleMs?: number): JobThread<CompilerJob> =>
      new JobThread({
        name,
        file: threadFile('compiler-worker', import.meta.url),
        prepare: () => this.module(),
        clock,
        log,
        memoryBytesMax: options.compilerBytesMax ?? COMPILER_BYTES_MAX,
        heapMbMax: HEAP_MB_MAX,
        waitingMax: options.waitingMax ?? WAITING_MAX,
        messages: MESSAGES,
        ...(idleMs === undefined ? {} : { idleMs }),
      });
    this.#compiler = compilerThread('dormouse-compiler');
    this.#slowCompiler = compilerThread('dormouse-slow-compiler', SLOW_IDLE_MS);
    const schemaThread = (name: string): JobThread<SchemaJob> =>
      new JobThread({
        name,
        file: threadFile('schema-worker', import.meta.url),
        prepare: async (): Promise<SchemaThreadData> => ({
          memoryBytesMax: VALIDATOR_GROWTH_BYTES_MAX,
          metadataBytesMax: options.metadataBytesMax ?? METADATA_BYTES_MAX,
        }),
        clock,
        log,
        memoryBytesMax: VALIDATOR_BYTES_MAX,
        heapMbMax: READER_HEAP_MB_MAX,
        waitingMax: WAITING_MAX,
        messages: MESSAGES,
        idleMs: VALIDATOR_IDLE_MS,
        limits: 'processor time',
      });
    this.#validator = schemaThread('dormouse-schemas');
    this.#reader = schemaThread('dormouse-metadata');
  }

  /**
   * Validates a schema, and starts to read its metadata. The metadata of a large schema may still be missing in the
   * result. `owner` is the id of the database, with which other databases take turns. Throws `schema_invalid` with the
   * validator's message.
   */
  async load(owner: string, schema: string, deadline: Deadline): Promise<MetadataReading> {
    const provider = providerOf(schema);
    if (provider !== 'postgresql' && provider !== 'postgres') {
      const found = provider === undefined ? 'no datasource' : `the provider ${provider}`;
      throw new DormouseError('schema_invalid', { message: `The uploaded schema has ${found}: use postgresql.` });
    }
    const datamodel = forSchemaValidator(schema);
    try {
      await this.#validator.submit(owner, { kind: 'check', schema: datamodel }, deadline, CHECK_MS_MAX);
    } catch (error) {
      throw error instanceof JobFailed ? schemaError(error) : error;
    }
    const { clock, log } = this.#options;
    const read = (): Promise<SchemaFacts> =>
      this.#reader.submit(
        owner,
        { kind: 'read', schema: datamodel },
        Deadline.in(clock, READ_WAIT_MS),
        READ_CPU_MS_MAX,
      ) as Promise<SchemaFacts>;
    const reading = new MetadataReading({ clock, log, read });
    await new Promise<void>((resolve) => {
      const grace = clock.after(READ_GRACE_MS, resolve);
      void reading.want().then(() => {
        grace.cancel();
        resolve();
      });
    });
    return reading;
  }

  /** Compiles a JSON query (or a batch of them). Throws {@link QueryRefused}, `query_timeout`, `query_invalid`. */
  async compile(
    owner: string,
    kind: 'compile' | 'compile-batch',
    schema: SchemaSource,
    request: string,
    deadline: Deadline,
  ): Promise<unknown> {
    const job = { kind, schemaHash: schema.hash, request };
    const limitMs = this.#options.compileMsMax ?? COMPILE_MS_MAX;
    try {
      return await this.#submit(owner, job, deadline, limitMs);
    } catch (error) {
      if (!(error instanceof JobFailed && error.reason === 'missing')) throw compileError(error);
    }
    const whole = { ...job, schema: forSchemaValidator(await schema.text()) };
    try {
      return await this.#submit(owner, whole, deadline, limitMs);
    } catch (error) {
      throw compileError(error);
    }
  }

  /** Submits a job to the first thread or, if the database has exceeded its quota, to the second. */
  #submit(owner: string, job: CompilerJob, deadline: Deadline, limitMs: number): Promise<unknown> {
    const thread = this.#quota.isExceeded(owner) ? this.#slowCompiler : this.#compiler;
    return thread.submit(owner, job, deadline, limitMs, (ms) => {
      this.#quota.add(owner, ms);
      if (this.#quota.isExceeded(owner)) this.#compiler.handOver(owner, this.#slowCompiler);
    });
  }

  /** The start data of a thread with a compiler. It is prepared once. */
  module(): Promise<CompilerModule> {
    this.#module ??= prepareCompiler();
    return this.#module;
  }

  async close(): Promise<void> {
    await Promise.all([
      this.#compiler.close(),
      this.#slowCompiler.close(),
      this.#validator.close(),
      this.#reader.close(),
    ]);
  }
}

/** Converts the failure of a compile job to the error for the client. */
export function compileError(error: unknown): unknown {
  if (!(error instanceof JobFailed)) return error;
  switch (error.reason) {
    case 'refused':
      return new QueryRefused(error);
    case 'deadline':
      return new DormouseError('query_timeout', { message: 'The query took too long to compile. Make it smaller.' });
    default:
      return new DormouseError('query_invalid', {
        message: 'The compiler could not take this query: it is too large, or the compiler has a fault.',
        cause: error,
      });
  }
}

function schemaError(error: JobFailed): DormouseError {
  const reason = error.reason === 'refused' ? validatorMessage(error.message) : 'it is too large to be checked';
  return new DormouseError('schema_invalid', { message: `The uploaded schema is not valid: ${reason}`, cause: error });
}

/** The validator's message, which is JSON within the message of its error. */
function validatorMessage(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : text;
  } catch {
    return text;
  }
}

/** Compiles the WebAssembly module once, outside of the main thread. All threads share the result. */
async function prepareCompiler(): Promise<CompilerModule> {
  const require = createRequire(import.meta.url);
  const wasm = await readFile(require.resolve('@prisma/query-compiler-wasm/postgresql/query_compiler_fast_bg.wasm'));
  const bindings = require.resolve('@prisma/query-compiler-wasm/postgresql/query_compiler_fast_bg.js');
  return {
    compilerModule: await WebAssembly.compile(withMemoryLimit(wasm, COMPILER_GROWTH_BYTES_MAX)),
    compilerUrl: pathToFileURL(bindings).href,
    schemaCharactersMax: SCHEMA_CHARACTERS_MAX,
    connectionInfo: CONNECTION_INFO,
  };
}

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

/** A compile job takes under a millisecond; large hostile queries were measured at 150 to 450 ms. */
const COMPILE_MS_MAX = 5_000;
/** Validating a schema of 500 models takes 80 ms. */
const CHECK_MS_MAX = 5_000;
/** Of a schema's metadata; it is waited for this long, then queries go without until it is there. */
const READ_GRACE_MS = 2_000;
/** Processor time: 300 models of an application, with 90 MB of metadata, take 6 s. */
const READ_CPU_MS_MAX = 60_000;
/** Longest that reading a schema's metadata may take, with its waiting behind that of others. */
const READ_WAIT_MS = 600_000;
/**
 * A compiler of 100 schemas of 20 models holds 21 MB; from the first bound on it is replaced, at the second a job
 * fails.
 */
const COMPILER_BYTES_MAX = 256 * 2 ** 20;
const COMPILER_GROWTH_BYTES_MAX = 512 * 2 ** 20;
/**
 * A validator that has grown beyond the first is replaced; it takes four times the bytes of the metadata that it makes.
 */
const VALIDATOR_BYTES_MAX = 128 * 2 ** 20;
const VALIDATOR_GROWTH_BYTES_MAX = 768 * 2 ** 20;
/** 300 models of an application have 90 MB, 1000 of a dozen fields 134 MB. */
const METADATA_BYTES_MAX = 160 * 2 ** 20;
/** JavaScript heap of a compiler's thread: plans pass through. */
const HEAP_MB_MAX = 512;
/** The same of a validator's: of metadata it holds as many bytes at most as that has. */
const READER_HEAP_MB_MAX = 256;
/** Schemas are seldom new: the validator's thread goes after this long. */
const VALIDATOR_IDLE_MS = 30_000;
/** The second compiler's thread goes when nobody has needed it for so long. */
const SLOW_IDLE_MS = 30_000;
/**
 * Schemas held compiled at once, over all databases: the compiler takes 60 bytes a character, 22 MB for 1000 models.
 */
const SCHEMA_CHARACTERS_MAX = 2 * 2 ** 20;
/** Jobs that may wait, over all databases. */
const WAITING_MAX = 1_000;

/** The query does not fit the schema, as the compiler says it: P2009 and its like, for the client. */
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

/** A schema by its hash, and its text, which is asked for when the compiler does not hold it. */
export interface SchemaSource {
  readonly hash: string;
  text(): Promise<string>;
}

export interface CompilerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Shorter and smaller, for tests. */
  readonly compileMsMax?: number;
  readonly compilerBytesMax?: number;
  readonly waitingMax?: number;
  readonly metadataBytesMax?: number | undefined;
}

/** Prisma's compiler and its schema validator, each in a thread of its own, so that neither holds up the main loop. */
export class Compiler {
  readonly #options: CompilerOptions;
  readonly #compiler: JobThread<CompilerJob>;
  /** For owners that use much of its time: they wait for each other. */
  readonly #slowCompiler: JobThread<CompilerJob>;
  readonly #debts: CompileQuota;
  #module: Promise<CompilerModule> | undefined;
  readonly #validator: JobThread<SchemaJob>;
  /** Apart from the validator: a schema is checked while the metadata of a large one is read. */
  readonly #reader: JobThread<SchemaJob>;

  constructor(options: CompilerOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#debts = new CompileQuota(clock);
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
        idleMs: VALIDATOR_IDLE_MS,
        limits: 'processor time',
      });
    this.#validator = schemaThread('dormouse-schemas');
    this.#reader = schemaThread('dormouse-metadata');
  }

  /**
   * Checks a schema. Throws `schema_invalid` with the validator's message. `owner` takes turns with others. What it
   * gives of a large schema comes later.
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

  /** By the one thread or the other: who has used much of the first gives it to others. */
  #submit(owner: string, job: CompilerJob, deadline: Deadline, limitMs: number): Promise<unknown> {
    const thread = this.#debts.isDeep(owner) ? this.#slowCompiler : this.#compiler;
    return thread.submit(owner, job, deadline, limitMs, (ms) => {
      this.#debts.add(owner, ms);
      if (this.#debts.isDeep(owner)) this.#compiler.handOver(owner, this.#slowCompiler);
    });
  }

  /** What a thread with a compiler of its own starts with; made once. */
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

/** What the failure of a compile job is to the client. */
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

/** The validator reports as JSON inside of its error's message. */
function validatorMessage(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : text;
  } catch {
    return text;
  }
}

/** Compiles the module once, off the main loop; threads share it. */
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

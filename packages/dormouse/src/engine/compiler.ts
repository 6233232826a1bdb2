import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Clock, type Deadline, DormouseError, type Logger, type Timer } from '../base/index.ts';
import type {
  CompilerFailure,
  CompilerJob,
  CompilerReply,
  CompilerWorkerData,
  SchemaFacts,
} from './compiler-protocol.ts';
import { CONNECTION_INFO } from './plan-execution.ts';

/** A compile job takes under a millisecond; large hostile queries were measured at 150 to 450 ms. */
const JOB_MS_MAX = 5_000;
/** Reading a schema of 1000 models takes about 2 s on a slow machine, with the validator's and the compiler's first run. */
const LOAD_MS_MAX = 15_000;
/** WebAssembly memory never shrinks: a worker that has grown this far is replaced. 100 schemas of 20 models take 21 MB. */
const MEMORY_BYTES_MAX = 512 * 2 ** 20;
/** Schemas held in the compiler at once, over all databases. */
const SCHEMAS_MAX = 256;
/** JavaScript heap of the worker: plans pass through it. */
const HEAP_MB_MAX = 256;
/** Jobs that may wait, over all databases; a database's share is bounded by its callers. */
const WAITING_MAX = 1_000;

/** The query does not fit the schema, as the compiler says it: P2009 and its like, for the client. */
export class QueryRefused extends Error {
  override readonly name = 'QueryRefused';
  readonly code: string | undefined;
  readonly meta: unknown;

  constructor(failure: CompilerFailure) {
    super(failure.message);
    this.code = failure.code;
    this.meta = failure.meta;
  }
}

/** A schema by its hash, and its text, which is asked for when the worker does not hold it. */
export interface SchemaSource {
  readonly hash: string;
  text(): Promise<string>;
}

type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

interface Waiting {
  readonly job: Unnumbered<CompilerJob>;
  readonly deadline: Deadline;
  readonly limitMs: number;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

export interface CompilerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Shorter deadlines, for tests. */
  readonly jobMsMax?: number;
  readonly memoryBytesMax?: number;
}

/**
 * Prisma's compiler and schema validator in a thread of their own. One job runs at a time, held to a deadline; databases
 * take turns. When a job breaks the thread or outlasts its deadline, that job fails and the thread is replaced.
 */
export class Compiler {
  readonly #options: CompilerOptions;
  /** Jobs that wait, a queue an owner, in the order of their turns. */
  readonly #queues = new Map<string, Waiting[]>();
  #waiting = 0;
  #data: Promise<CompilerWorkerData> | undefined;
  #worker: Promise<Worker> | undefined;
  #running: { readonly id: number; readonly waiting: Waiting; readonly timer: Timer } | undefined;
  #busy = false;
  #jobs = 0;
  #closed = false;

  constructor(options: CompilerOptions) {
    this.#options = options;
  }

  /** Checks a schema and makes it ready to compile. Throws `schema_invalid` with the validator's message. */
  async load(owner: string, hash: string, schema: string, deadline: Deadline): Promise<SchemaFacts> {
    const facts = await this.#submit(owner, { kind: 'load', schemaHash: hash, schema }, deadline, LOAD_MS_MAX);
    return facts as SchemaFacts;
  }

  /** Compiles a JSON query (or a batch of them). Throws {@link QueryRefused}, or `query_timeout` past its deadline. */
  async compile(
    owner: string,
    kind: 'compile' | 'compile-batch',
    schema: SchemaSource,
    request: string,
    deadline: Deadline,
  ): Promise<unknown> {
    const job = { kind, schemaHash: schema.hash, request };
    const limitMs = this.#options.jobMsMax ?? JOB_MS_MAX;
    try {
      return await this.#submit(owner, job, deadline, limitMs);
    } catch (error) {
      if (!(error instanceof SchemaNotHeld)) throw error;
    }
    await this.load(owner, schema.hash, await schema.text(), deadline);
    return this.#submit(owner, job, deadline, limitMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const queue of this.#queues.values())
      for (const { reject } of queue) reject(new DormouseError('shutting_down'));
    this.#queues.clear();
    this.#running?.timer.cancel();
    this.#running?.waiting.reject(new DormouseError('shutting_down'));
    this.#running = undefined;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.then(
      (started) => started.terminate(),
      () => undefined,
    );
  }

  #submit(owner: string, job: Unnumbered<CompilerJob>, deadline: Deadline, limitMs: number): Promise<unknown> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    if (this.#waiting >= WAITING_MAX) {
      return Promise.reject(
        new DormouseError('queue_full', { message: 'Too many queries wait to be compiled. Slow down.' }),
      );
    }
    return new Promise((resolve, reject) => {
      let queue = this.#queues.get(owner);
      if (queue === undefined) {
        queue = [];
        this.#queues.set(owner, queue);
      }
      queue.push({ job, deadline, limitMs, resolve, reject });
      this.#waiting++;
      this.#next();
    });
  }

  /** Starts the next job, if none runs: the first of the owner whose turn it is. */
  #next(): void {
    if (this.#busy || this.#closed) return;
    for (const [owner, queue] of this.#queues) {
      const waiting = queue.shift();
      // The owner goes to the end of the line, or leaves it.
      this.#queues.delete(owner);
      if (queue.length > 0) this.#queues.set(owner, queue);
      if (waiting === undefined) continue;
      this.#waiting--;
      this.#busy = true;
      void this.#run(waiting);
      return;
    }
  }

  async #run(waiting: Waiting): Promise<void> {
    const { clock } = this.#options;
    if (waiting.deadline.expired()) {
      this.#busy = false;
      waiting.reject(new DormouseError('query_timeout', { message: 'The query waited too long to be compiled.' }));
      this.#next();
      return;
    }
    let worker: Worker;
    try {
      worker = await this.#started();
    } catch (cause) {
      this.#busy = false;
      waiting.reject(new DormouseError('internal', { cause }));
      this.#next();
      return;
    }
    if (this.#closed) {
      waiting.reject(new DormouseError('shutting_down'));
      return;
    }
    const id = ++this.#jobs;
    const timer = clock.after(Math.ceil(Math.min(waiting.limitMs, waiting.deadline.remainingMs())), () => {
      this.#replace('deadline');
      this.#settle(waiting, (job) =>
        job.reject(
          new DormouseError('query_timeout', { message: 'The query took too long to compile. Make it smaller.' }),
        ),
      );
    });
    this.#running = { id, waiting, timer };
    worker.postMessage({ ...waiting.job, id });
  }

  #answered(reply: CompilerReply): void {
    const running = this.#running;
    if (running === undefined || running.id !== reply.id) return;
    const tooBig = reply.memoryBytes > (this.#options.memoryBytesMax ?? MEMORY_BYTES_MAX);
    if (tooBig) this.#replace('memory');
    if ('result' in reply) {
      this.#settle(running.waiting, (job) => job.resolve(reply.result));
      return;
    }
    const { failure } = reply;
    if (failure.reason === 'panic') this.#replace(failure.message);
    this.#settle(running.waiting, (job) => job.reject(errorOf(failure)));
  }

  #settle(waiting: Waiting, settle: (waiting: Waiting) => void): void {
    if (this.#running?.waiting !== waiting) return;
    this.#running.timer.cancel();
    this.#running = undefined;
    this.#busy = false;
    settle(waiting);
    this.#next();
  }

  /** Ends the thread; the next job starts another. */
  #replace(reason: string): void {
    this.#options.log.log('warn', 'the compiler thread is replaced', { reason });
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.then(
      (started) => started.terminate(),
      () => undefined,
    );
  }

  #started(): Promise<Worker> {
    this.#worker ??= this.#start().catch((error: unknown) => {
      this.#worker = undefined;
      throw error;
    });
    return this.#worker;
  }

  async #start(): Promise<Worker> {
    this.#data ??= loadModules();
    const data = await this.#data;
    const worker = new Worker(workerFile(), {
      workerData: data,
      name: 'dormouse-compiler',
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
      stdout: false,
      stderr: false,
    });
    worker.unref();
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        worker.off('message', ready).off('error', settle).off('exit', ended);
        if (error === undefined) resolve();
        else reject(error);
      };
      const ready = (): void => settle();
      const ended = (code: number): void => settle(new Error(`the compiler thread ended with ${code}`));
      worker.on('message', ready).on('error', settle).on('exit', ended);
    });
    worker.on('message', (reply: CompilerReply) => this.#answered(reply));
    worker.on('error', (error) => this.#broke(worker, error));
    worker.on('exit', () => this.#broke(worker, new Error('the compiler thread ended')));
    return worker;
  }

  /** The thread ended by itself, such as for want of heap: the job it had fails. */
  #broke(worker: Worker, error: Error): void {
    void this.#worker?.then((current) => {
      if (current !== worker) return;
      this.#replace(error.message);
      const running = this.#running;
      if (running !== undefined) {
        this.#settle(running.waiting, (job) => job.reject(errorOf({ reason: 'panic', message: error.message })));
      }
    });
  }
}

class SchemaNotHeld extends Error {}

function errorOf(failure: CompilerFailure): Error {
  switch (failure.reason) {
    case 'missing':
      return new SchemaNotHeld();
    case 'schema':
      return new DormouseError('schema_invalid', {
        message: `The uploaded Prisma schema is not valid: ${failure.message}`,
      });
    case 'query':
      return new QueryRefused(failure);
    case 'panic':
      return new DormouseError('query_invalid', {
        message: 'The compiler could not take this query: it is too large, or the compiler has a fault.',
        cause: new Error(failure.message),
      });
  }
}

/** Compiles the module once, off the main loop; threads share it. */
async function loadModules(): Promise<CompilerWorkerData> {
  const require = createRequire(import.meta.url);
  const wasm = await readFile(require.resolve('@prisma/query-compiler-wasm/postgresql/query_compiler_fast_bg.wasm'));
  const bindings = require.resolve('@prisma/query-compiler-wasm/postgresql/query_compiler_fast_bg.js');
  return {
    compilerModule: await WebAssembly.compile(wasm),
    compilerUrl: pathToFileURL(bindings).href,
    schemasMax: SCHEMAS_MAX,
    connectionInfo: CONNECTION_INFO,
  };
}

/** A thread cannot run TypeScript: from src/ the built file beside it in dist/ is taken. */
function workerFile(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith('.ts')
    ? here.replace(/([\\/])src([\\/]engine[\\/])compiler\.ts$/, '$1dist$2compiler-worker.js')
    : here.replace(/compiler\.js$/, 'compiler-worker.js');
}

import { isDriverAdapterError } from '@prisma/driver-adapter-utils';
import { type Clock, DormouseError } from '../../base/index.ts';
import type { PrismaRuntime } from '../prisma-runtime/index.ts';
import type { JsonObject } from '../request/index.ts';
import type { Statements } from '../statements/index.ts';
import { JsonWriter } from './json/index.ts';
import { NeedsRuntime } from './needs-runtime.ts';
import { Pace } from './pace.ts';
import type { KeyedRecord, Program } from './program.ts';
import { Run, type RunEnvironment } from './run.ts';

/** The bytes before and after the data in a reply. */
export interface ReplyFrame {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export interface ProgramExecutionOptions {
  /** Whether the statements already run in a transaction. */
  readonly inTransaction: boolean;
  /** Tags for the SQL comment that follows every statement. */
  readonly comments?: Readonly<Record<string, string>> | undefined;
  readonly frame: ReplyFrame;
  readonly bytesMax: number;
}

export interface KeyedExecutionOptions {
  readonly inTransaction: boolean;
  /** Names of the members that a record has in the reply. */
  readonly members: ReadonlySet<string>;
  /** Names of the members that are the key. */
  readonly keys: readonly string[];
  readonly bytesMax: number;
}

/** The records of a keyed execution: each as JSON, or all as the runtime maps them. */
export type KeyedRecords =
  | { readonly written: true; readonly records: readonly KeyedRecord[] }
  | { readonly written: false; readonly mapped: unknown };

/** A reply whose body is JSON text already. */
export class WrittenReply {
  readonly body: string | Uint8Array;
  constructor(body: string | Uint8Array) {
    this.body = body;
  }
}

/** Executions of programs, by how they ended. */
export interface ExecutionCounts {
  /** The program wrote the reply from the bytes of the rows. */
  byProgram: number;
  /** The runtime evaluated a node or wrote the reply, because of a rare value. */
  handedOver: number;
  /** The execution failed. */
  failed: number;
}

const zeroCounts = (): ExecutionCounts => ({ byProgram: 0, handedOver: 0, failed: 0 });

/**
 * Executes programs and writes their replies.
 *
 * Invariants:
 * - A reply is the same as that of Prisma's runtime, byte for byte. Rare values and all errors are left to the
 *   runtime, over the rows that were read.
 * - No statement runs twice: `NeedsRuntime` is thrown before a statement is sent, or after its rows were read.
 * - A transactional program commits after its reply was written. A reply that cannot be written, or is too large,
 *   rolls back.
 * - Replies share one `JsonWriter`. It is used synchronously, from `bound` to `take`. A reply that takes more than
 *   one slice keeps the writer, and the next reply gets another.
 */
export class ProgramExecutor {
  readonly counts: ExecutionCounts = zeroCounts();
  readonly #runtime: PrismaRuntime;
  readonly #environment: RunEnvironment;
  #out = new JsonWriter();

  constructor(runtime: PrismaRuntime, clock: Clock) {
    this.#runtime = runtime;
    this.#environment = {
      nowMs: () => clock.now(),
      generate: (call) => runtime.generate(call),
      evaluateByRuntime: (node, statements, operation) => runtime.execute(node, {}, statements, operation),
    };
  }

  /** Gives the counts and sets them to zero. */
  takeCounts(): ExecutionCounts {
    const taken = { ...this.counts };
    Object.assign(this.counts, zeroCounts());
    return taken;
  }

  /**
   * Executes a program and gives its reply. `program.accepts` must have accepted the parameters. Fails as
   * `PrismaRuntime.execute` does, and with `reply_too_large`, `query_timeout` and `interrupted`.
   */
  async execute(
    program: Program,
    parameters: JsonObject,
    statements: Statements,
    options: ProgramExecutionOptions,
  ): Promise<WrittenReply> {
    const { inTransaction, comments } = options;
    const pace = new Pace(statements.bounds);
    const run = new Run(parameters, statements, this.#environment, { inTransaction, comments, pace });
    try {
      const body = program.transactional
        ? await run.within(async () => this.#body(program, await program.evaluate(run), run, options))
        : this.#body(program, await program.evaluate(run), run, options);
      const written = new WrittenReply(body instanceof Promise ? await body : body);
      this.counts[run.handedOver ? 'handedOver' : 'byProgram']++;
      return written;
    } catch (error) {
      this.counts.failed++;
      if (isDriverAdapterError(error)) return await this.#runtime.raise(error);
      throw error;
    }
  }

  /**
   * Executes a program that stands for several queries, each for another key. Gives each record as JSON with the
   * given members. If the equality of keys is not that of their texts, gives all records as the runtime maps them.
   */
  async executeKeyed(
    program: Program,
    parameters: JsonObject,
    statements: Statements,
    { members, keys, inTransaction, bytesMax }: KeyedExecutionOptions,
  ): Promise<KeyedRecords> {
    const run = new Run(parameters, statements, this.#environment, {
      inTransaction,
      pace: new Pace(statements.bounds),
    });
    try {
      const value = await program.evaluate(run);
      try {
        const out = new JsonWriter();
        out.bound(bytesMax);
        const records = await run.pace.work(program.records(out, value, members, keys));
        this.counts.byProgram++;
        return { written: true, records };
      } catch (error) {
        if (!(error instanceof NeedsRuntime)) throw error;
      }
      const mapped = await run.evaluateByRuntime(program.mapping(value));
      this.counts.handedOver++;
      return { written: false, mapped };
    } catch (error) {
      this.counts.failed++;
      if (isDriverAdapterError(error)) return await this.#runtime.raise(error);
      throw error;
    }
  }

  #body(
    program: Program,
    value: unknown,
    run: Run,
    options: ProgramExecutionOptions,
  ): WrittenReply['body'] | Promise<WrittenReply['body']> {
    const byRuntime = async (error: unknown): Promise<WrittenReply['body']> => {
      if (!(error instanceof NeedsRuntime)) throw error;
      const data = await run.evaluateByRuntime(program.mapping(value));
      const { before, after } = options.frame;
      return Buffer.concat([before, Buffer.from(JSON.stringify(data ?? null)), after]);
    };
    try {
      const written = this.#write(program, value, run, options);
      return written instanceof Promise ? written.catch(byRuntime) : written;
    } catch (error) {
      return byRuntime(error);
    }
  }

  #write(
    program: Program,
    value: unknown,
    { pace }: Run,
    { frame, bytesMax }: ProgramExecutionOptions,
  ): WrittenReply['body'] | Promise<WrittenReply['body']> {
    const out = this.#out;
    const end = (): WrittenReply['body'] => {
      out.raw(frame.after);
      if (out.length > bytesMax) throw new DormouseError('reply_too_large');
      return out.take();
    };
    try {
      out.bound(bytesMax);
      out.raw(frame.before);
      const written = pace.work(program.writing(out, value), () => {
        // This reply takes more than one turn of the event loop. Replies in between get another writer.
        this.#out = new JsonWriter();
        program.detach();
      });
      return written instanceof Promise ? written.then(end) : end();
    } catch (error) {
      out.reset();
      throw error;
    }
  }
}

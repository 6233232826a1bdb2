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

/** What stands around the data in a reply. */
export interface ReplyFrame {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export interface ProgramExecutionOptions {
  /** Whether the statements already are a transaction. */
  readonly inTransaction: boolean;
  /** Tags for the SQL comment of every statement. */
  readonly comments?: Readonly<Record<string, string>> | undefined;
  readonly frame: ReplyFrame;
  readonly bytesMax: number;
}

export interface KeyedExecutionOptions {
  readonly inTransaction: boolean;
  /** Members of a record that the reply has. */
  readonly members: ReadonlySet<string>;
  /** Members that are the key. */
  readonly keys: readonly string[];
  readonly bytesMax: number;
}

/** Records by their keys: as JSON, or as the runtime holds them. */
export type KeyedRecords =
  | { readonly written: true; readonly records: readonly KeyedRecord[] }
  | { readonly written: false; readonly mapped: unknown };

/** The body of a reply, as JSON text already. */
export class WrittenReply {
  readonly body: string | Uint8Array;
  constructor(body: string | Uint8Array) {
    this.body = body;
  }
}

/** How many executions of compiled plans went which way. */
export interface ExecutionCounts {
  /** Written from the rows' bytes. */
  byProgram: number;
  /** Left to the runtime in a part, for a value of a rare form. */
  handedOver: number;
  /** Ended by an error, whoever worded it. */
  failed: number;
}

const noneCounted = (): ExecutionCounts => ({ byProgram: 0, handedOver: 0, failed: 0 });

/**
 * Runs compiled plans and writes their replies. A value or an error of a rare form is left to Prisma's runtime, over
 * what was read: nothing runs twice.
 */
export class ProgramExecutor {
  readonly counts: ExecutionCounts = noneCounted();
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

  /** The counts since they were last taken. */
  takeCounts(): ExecutionCounts {
    const taken = { ...this.counts };
    Object.assign(this.counts, noneCounted());
    return taken;
  }

  /**
   * Gives the body of the reply. Fails as `PrismaRuntime.execute` does, and with `reply_too_large`. The parameters must
   * have been accepted by the plan.
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
   * Runs a plan that stands for several queries, each by a key of its own: gives the records with the members that are
   * wanted, as JSON; or all records as the runtime holds them, if their keys are told apart in other ways than by their
   * text.
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
        // It takes more than one turn of the loop: others get a writer of their own.
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

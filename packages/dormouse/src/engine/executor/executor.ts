import { isDriverAdapterError, type SqlQuery, type SqlResultSet } from '@prisma/driver-adapter-utils';
import { type Clock, DormouseError } from '../../base/index.ts';
import type { StatementResult } from '../../pool/index.ts';
import { guardedScope } from '../guarded-scope.ts';
import type { PlanExecutor, PlanStatements } from '../plan-execution.ts';
import type { JsonObject } from '../request-body.ts';
import { decodeResult } from '../rows.ts';
import type { Statements } from '../statements.ts';
import type { CompiledPlan } from './compiled-plan.ts';
import { JsonWriter } from './json-writer.ts';
import { NotCovered } from './not-covered.ts';
import { Run, type RunWorld } from './run.ts';

/** What stands around the data in a reply. */
export interface ReplyFrame {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export interface CompiledExecutionOptions {
  /** Whether the statements already are a transaction. */
  readonly inTransaction: boolean;
  readonly frame: ReplyFrame;
  readonly bytesMax: number;
}

/** The body of a reply, as JSON text already. */
export class Written {
  readonly body: string | Uint8Array;
  constructor(body: string | Uint8Array) {
    this.body = body;
  }
}

/** How many executions went which way. */
export interface ExecutionCounts {
  /** Written from the rows' bytes. */
  compiled: number;
  /** Begun here and handed over to the runtime, for a value of a rare form or an error that it words. */
  handedOver: number;
}

/** Runs compiled plans and writes their replies. What a plan's rows hold beyond it goes to Prisma's runtime, rows included. */
export class CompiledExecutor {
  readonly counts: ExecutionCounts = { compiled: 0, handedOver: 0 };
  readonly #runtime: PlanExecutor;
  readonly #world: RunWorld;
  readonly #out = new JsonWriter();

  constructor(runtime: PlanExecutor, clock: Clock) {
    this.#runtime = runtime;
    this.#world = { nowMs: () => clock.now(), generate: (call) => runtime.generate(call) };
  }

  /**
   * Gives the body of the reply. Fails as `PlanExecutor.execute` does, and with `reply_too_large`. The parameters must
   * have been accepted by the plan.
   */
  async execute(
    compiled: CompiledPlan,
    parameters: JsonObject,
    statements: Statements,
    options: CompiledExecutionOptions,
  ): Promise<Written> {
    const run = new Run(parameters, statements, this.#world);
    try {
      const value = await compiled.evaluate(run);
      const body = this.#write(compiled, value, options);
      this.counts.compiled++;
      return new Written(body);
    } catch (error) {
      if (isDriverAdapterError(error)) return await this.#runtime.raise(error);
      if (!(error instanceof NotCovered)) throw error;
    }
    this.counts.handedOver++;
    // They will be read again, or are handed over as they are.
    statements.forgetRows();
    const data = await this.#runtime.execute(
      compiled.plan,
      guardedScope(compiled.plan, parameters),
      compiled.program.repeatable || run.lastResult === undefined
        ? statements
        : new Repeated(statements, run.lastResult),
      { inTransaction: options.inTransaction },
    );
    const { before, after } = options.frame;
    return new Written(Buffer.concat([before, Buffer.from(JSON.stringify(data ?? null)), after]));
  }

  #write(compiled: CompiledPlan, value: unknown, { frame, bytesMax }: CompiledExecutionOptions): Written['body'] {
    const out = this.#out;
    try {
      out.bound(bytesMax);
      out.raw(frame.before);
      compiled.write(out, value);
      out.raw(frame.after);
      if (out.length > bytesMax) throw new DormouseError('reply_too_large');
      return out.take();
    } catch (error) {
      out.reset();
      throw error;
    }
  }
}

/** The one statement of a plan, which has run: whoever asks for it again is given what it gave. */
class Repeated implements PlanStatements {
  readonly provider = 'postgres';
  readonly adapterName = 'dormouse';
  readonly #statements: Statements;
  #result: StatementResult | undefined;

  constructor(statements: Statements, result: StatementResult) {
    this.#statements = statements;
    this.#result = result;
  }

  async queryRaw(query: SqlQuery): Promise<SqlResultSet> {
    const result = this.#take();
    return result === undefined ? this.#statements.queryRaw(query) : decodeResult(result);
  }

  async executeRaw(query: SqlQuery): Promise<number> {
    const result = this.#take();
    return result === undefined ? this.#statements.executeRaw(query) : result.affectedRows;
  }

  command(sql: string): Promise<StatementResult> {
    return this.#statements.command(sql);
  }

  #take(): StatementResult | undefined {
    const result = this.#result;
    this.#result = undefined;
    return result;
  }
}

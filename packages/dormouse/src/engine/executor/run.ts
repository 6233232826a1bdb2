import { randomUUID } from 'node:crypto';
import type { ParameterValue, StatementResult } from '../../pool/index.ts';
import type { JsonObject } from '../request-body.ts';

/** What runs the statements of one operation, one after the other in the order of the calls. */
export interface StatementRunner {
  execute(sql: string, parameters: readonly ParameterValue[]): Promise<StatementResult>;
}

/** One execution of a compiled plan. */
export class Run {
  readonly parameters: JsonObject;
  readonly statements: StatementRunner;
  /** The values of the plan's own variables. */
  readonly variables: unknown[] = [];
  /** The result of the last statement. */
  lastResult: StatementResult | undefined;
  readonly #nowMs: () => number;
  #now: string | undefined;

  constructor(parameters: JsonObject, statements: StatementRunner, nowMs: () => number) {
    this.parameters = parameters;
    this.statements = statements;
    this.#nowMs = nowMs;
  }

  /** The instant of this execution: the same wherever the plan asks. */
  now(): string {
    this.#now ??= new Date(this.#nowMs()).toISOString();
    return this.#now;
  }

  uuid(): string {
    return randomUUID();
  }
}

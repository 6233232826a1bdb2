import { randomUUID } from 'node:crypto';
import type { PrismaValue } from '@prisma/client-engine-runtime';
import type { ParameterValue, StatementResult } from '../../pool/index.ts';
import type { JsonObject } from '../request-body.ts';

/** What runs the statements of one operation, one after the other in the order of the calls. */
export interface StatementRunner {
  execute(sql: string, parameters: readonly ParameterValue[]): Promise<StatementResult>;
}

/** What a run needs besides a connection. */
export interface RunWorld {
  nowMs(): number;
  /** Evaluates a generator as Prisma's runtime does. */
  generate(call: PrismaValue): Promise<unknown>;
}

/** One execution of a compiled plan. */
export class Run {
  readonly parameters: JsonObject;
  readonly statements: StatementRunner;
  /** The values of the plan's own variables. */
  readonly variables: unknown[] = [];
  /** The result of the last statement. */
  lastResult: StatementResult | undefined;
  readonly #world: RunWorld;
  #now: string | undefined;

  constructor(parameters: JsonObject, statements: StatementRunner, world: RunWorld) {
    this.parameters = parameters;
    this.statements = statements;
    this.#world = world;
  }

  /** The instant of this execution: the same wherever the plan asks. */
  now(): string {
    this.#now ??= new Date(this.#world.nowMs()).toISOString();
    return this.#now;
  }

  uuid(): string {
    return randomUUID();
  }

  /** The value of any other generator. */
  generate(call: PrismaValue): Promise<unknown> {
    return this.#world.generate(call);
  }
}

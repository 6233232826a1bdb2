import type { QueryPlanNode, ResultNode } from '@prisma/client-engine-runtime';
import type { JsonObject } from '../request/index.ts';
import { areBindable } from './argument.ts';
import { buildNodes, type ProgramNodes } from './build-nodes.ts';
import type { JsonWriter } from './json/index.ts';
import { type Enums, NULL, RecordWriter } from './json/index.ts';
import { NeedsRuntime } from './needs-runtime.ts';
import type { Slices } from './pace.ts';
import { decodedColumns, plainOf, RecordSet, valueNode } from './records/index.ts';
import type { Run } from './run.ts';
import type { Statement } from './statement.ts';

/** Types of fields whose values are equal exactly when their texts in the database are. */
const KEY_TYPES: ReadonlySet<string> = new Set(['string', 'int', 'bigint', 'boolean']);
const COUNT = Buffer.from('{"count":');
const CLOSE = 0x7d;

/** One of several records that were queried by key. */
export interface KeyedRecord {
  readonly key: readonly unknown[];
  /** The record as JSON. */
  readonly text: string;
}

/**
 * A program, built from one plan and executed for each request with this plan. Its SQL is rendered once, and so is the
 * form of its result.
 */
export class Program {
  /** Whether the whole program, including the writing of the reply, is one transaction. */
  readonly transactional: boolean;
  readonly #program: ProgramNodes;
  readonly #structure: ResultNode;
  readonly #enums: Enums;
  #writer: RecordWriter | undefined;

  constructor(transactional: boolean, program: ProgramNodes, structure: ResultNode, enums: Enums) {
    this.transactional = transactional;
    this.#program = program;
    this.#structure = structure;
    this.#enums = enums;
  }

  /** Whether the program can bind a request's parameters. If not, the runtime executes the plan, or refuses it. */
  accepts(parameters: JsonObject): boolean {
    const { variables } = this.#program;
    for (let i = 0; i < variables.length; i++) if (Object.hasOwn(parameters, variables[i] as string)) return false;
    return areBindable(parameters, this.#program.parameters);
  }

  /** Whether the program only reads. */
  get reads(): boolean {
    return this.#program.reads && !this.transactional;
  }

  /**
   * Characters of the SQL texts that the program has kept since it was built. A statement with lists has one text per
   * length of its lists.
   */
  get textsKept(): number {
    const { statements } = this.#program;
    let sum = 0;
    for (let i = 0; i < statements.length; i++) sum += (statements[i] as Statement).textsKept;
    return sum;
  }

  evaluate(run: Run): unknown {
    return this.#program.root.evaluate(run);
  }

  /** The plan node by which Prisma's runtime maps a value to the reply's data, if the program cannot write it. */
  mapping(value: unknown): QueryPlanNode {
    const args = { expr: valueNode(plainOf(value)), structure: this.#structure, enums: this.#enums };
    return { type: 'dataMap', args: args as Extract<QueryPlanNode, { type: 'dataMap' }>['args'] };
  }

  /**
   * Writes the value that `evaluate` gave. Throws `NeedsRuntime` and `reply_too_large`. The caller must call `detach`
   * before the second slice.
   */
  *writing(out: JsonWriter, value: unknown): Slices<void> {
    if (this.#structure.type === 'affectedRows') {
      if (typeof value !== 'number') throw new NeedsRuntime();
      out.raw(COUNT);
      out.text(String(value));
      out.byte(CLOSE);
    } else {
      if (!(value instanceof RecordSet) || this.#structure.type !== 'object') throw new NeedsRuntime();
      if (value.single && value.rows.length === 0) {
        // Nothing was joined to a missing record, so no writer fits it.
        out.raw(NULL);
        return;
      }
      if (this.#writer?.fits(value) !== true) this.#writer = new RecordWriter(this.#structure, this.#enums, value);
      yield* this.#writer.writing(out, value);
    }
  }

  /**
   * Writes each record as a text of its own, with the given members only, and decodes its key. Throws `NeedsRuntime`
   * for a key of a type whose values may be equal although their texts differ.
   */
  *records(
    out: JsonWriter,
    value: unknown,
    members: ReadonlySet<string>,
    keys: readonly string[],
  ): Slices<KeyedRecord[]> {
    const structure = this.#structure;
    if (!(value instanceof RecordSet) || value.single || structure.type !== 'object') throw new NeedsRuntime();
    const columns = keys.map((name) => {
      const field = Object.hasOwn(structure.fields, name) ? structure.fields[name] : undefined;
      if (field?.type !== 'field' || field.fieldType.arity === 'list') throw new NeedsRuntime();
      if (!KEY_TYPES.has(field.fieldType.type)) throw new NeedsRuntime();
      return field.dbName;
    });
    const fields = Object.fromEntries(Object.entries(structure.fields).filter(([name]) => members.has(name)));
    const keyed = yield* decodedColumns(value, columns);
    const texts = yield* new RecordWriter({ ...structure, fields }, this.#enums, value).texts(out, value);
    return texts.map((text, position) => ({ key: keyed[position] as unknown[], text }));
  }

  /** Leaves the record writer to the reply that is being written. The next reply gets another writer. */
  detach(): void {
    this.#writer = undefined;
  }
}

/** Builds the program for a well-formed plan. Gives undefined for a plan that only Prisma's runtime can execute. */
export type BuildProgram = (plan: QueryPlanNode) => Program | undefined;

/** Builds no program: for an engine in which Prisma's runtime executes every plan. */
export const neverBuilt: BuildProgram = () => undefined;

/** Builds a program, unless the plan has a node that only the runtime knows. */
export const buildProgram: BuildProgram = (plan) => {
  const transactional = plan.type === 'transaction';
  const mapped = transactional ? plan.args : plan;
  if (mapped.type !== 'dataMap') return undefined;
  const { expr, structure, enums } = mapped.args;
  if (structure.type === 'field') return undefined;
  try {
    return new Program(transactional, buildNodes(expr), structure, enums);
  } catch (error) {
    if (error instanceof NeedsRuntime) return undefined;
    throw error;
  }
};

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

/** Fields whose values are told apart by the text of what the database gave. */
const KEY_TYPES: ReadonlySet<string> = new Set(['string', 'int', 'bigint', 'boolean']);
const COUNT = Buffer.from('{"count":');
const CLOSE = 0x7d;

/** A record of several that were asked for by key. */
export interface KeyedRecord {
  readonly key: readonly unknown[];
  /** As JSON. */
  readonly text: string;
}

/** A plan as a program: its SQL rendered, its result's form known. */
export class Program {
  /** Whether all of it, up to the writing of the reply, is one transaction. */
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

  /** Whether the request's parameters can be bound: if not, the runtime says what is wrong with them. */
  accepts(parameters: JsonObject): boolean {
    const { variables } = this.#program;
    for (let i = 0; i < variables.length; i++) if (Object.hasOwn(parameters, variables[i] as string)) return false;
    return areBindable(parameters, this.#program.parameters);
  }

  /** Whether it does nothing but read. */
  get reads(): boolean {
    return this.#program.reads && !this.transactional;
  }

  /** Characters of texts that it keeps beyond what a plan has at first: of statements with lists, one text a length. */
  get textsKept(): number {
    const { statements } = this.#program;
    let sum = 0;
    for (let i = 0; i < statements.length; i++) sum += (statements[i] as Statement).textsKept;
    return sum;
  }

  evaluate(run: Run): unknown {
    return this.#program.root.evaluate(run);
  }

  /** The writing of a value as Prisma's runtime does it: for values of rare forms, and for errors that it words. */
  mapping(value: unknown): QueryPlanNode {
    const args = { expr: valueNode(plainOf(value)), structure: this.#structure, enums: this.#enums };
    return { type: 'dataMap', args: args as Extract<QueryPlanNode, { type: 'dataMap' }>['args'] };
  }

  /**
   * Writes what `evaluate` gave. Throws `NeedsRuntime`, or `reply_too_large`. Before the second slice `detach` must be
   * called.
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
        // Nothing was joined to a record that is not there.
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

  /** Leaves the writer to who has it; the next reply gets another. */
  detach(): void {
    this.#writer = undefined;
  }
}

/** Compiles a plan that is known to be well formed, or gives undefined for one that is the runtime's alone. */
export type BuildProgram = (plan: QueryPlanNode) => Program | undefined;

/** For an engine whose plans all run on Prisma's runtime. */
export const neverBuilt: BuildProgram = () => undefined;

/** Gives undefined for a plan with parts that only the runtime knows. */
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

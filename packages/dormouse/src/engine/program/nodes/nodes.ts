import type { PrismaValue } from '@prisma/client-engine-runtime';
import type { StatementResult } from '../../../pool/index.ts';
import { columnCodec, decodeResult } from '../../statements/index.ts';
import { type Argument, argumentValue } from '../argument.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { isEmpty, RecordSet, type Rule, satisfies } from '../records/index.ts';
import type { Run } from '../run.ts';
import type { Statement } from '../statement.ts';

/**
 * A part of a compiled plan. Gives records as rows or, where a part was left to Prisma's runtime, as it holds them; a
 * number of affected rows; a plain value; or a promise of one of these.
 */
export interface Node {
  evaluate(run: Run): unknown;
}

/** Applies `work` to a value or, without one more turn for those that are there, to what a promise gives. */
export function whenThere(value: unknown, work: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(work) : work(value);
}

export class QueryNode implements Node {
  readonly #statement: Statement;
  /** Columns that were looked at. */
  #readable: RecordSet['fields'] | undefined;
  constructor(statement: Statement) {
    this.#statement = statement;
  }
  evaluate(run: Run): Promise<unknown> {
    const sent = sentOrNot(this.#statement, run);
    if (sent === undefined) return run.evaluateByRuntime({ type: 'query', args: this.#statement.evaluated(run) });
    return sent.then(this.#rows);
  }
  readonly #rows = (result: StatementResult): RecordSet => {
    const { fields, rows } = result;
    if (fields !== this.#readable) {
      // A type that Prisma cannot read fails, whether or not the column is used.
      if (fields.some(({ typeOid }) => columnCodec(typeOid) === undefined)) decodeResult(result);
      this.#readable = fields;
    }
    return new RecordSet(fields, rows);
  };
}

export class ExecuteNode implements Node {
  readonly #statement: Statement;
  constructor(statement: Statement) {
    this.#statement = statement;
  }
  evaluate(run: Run): Promise<unknown> {
    const sent = sentOrNot(this.#statement, run);
    if (sent === undefined) return run.evaluateByRuntime({ type: 'execute', args: this.#statement.evaluated(run) });
    return sent.then(affectedRows);
  }
}

function affectedRows(result: StatementResult): number {
  return result.affectedRows;
}

/** Sends a statement; undefined for one that only the runtime can send. */
function sentOrNot(statement: Statement, run: Run): Promise<StatementResult> | undefined {
  try {
    return statement.execute(run);
  } catch (error) {
    if (error instanceof NeedsRuntime) return undefined;
    throw error;
  }
}

export class ValueNode implements Node {
  readonly #argument: Argument;
  constructor(argument: Argument) {
    this.#argument = argument;
  }
  evaluate(run: Run): unknown {
    return argumentValue(this.#argument, run);
  }
}

/** A generator that only the runtime has. */
export class GeneratorNode implements Node {
  readonly #call: PrismaValue;
  constructor(call: PrismaValue) {
    this.#call = call;
  }
  evaluate(run: Run): Promise<unknown> {
    return run.generate(this.#call);
  }
}

export class VariableNode implements Node {
  readonly #index: number;
  constructor(index: number) {
    this.#index = index;
  }
  evaluate(run: Run): unknown {
    return run.variables[this.#index];
  }
}

/** The first of some variables that holds anything; an empty list if none does. */
export class FirstNonEmptyNode implements Node {
  readonly #indexes: readonly number[];
  constructor(indexes: readonly number[]) {
    this.#indexes = indexes;
  }
  evaluate(run: Run): unknown {
    for (const index of this.#indexes) {
      const value = run.variables[index];
      if (!isEmpty(value)) return value;
    }
    return [];
  }
}

export const UNIT: Node = { evaluate: () => undefined };

/** Sets variables one after the other, then gives what the inner expression gives. */
export class LetNode implements Node {
  readonly #bindings: readonly { readonly index: number; readonly node: Node }[];
  readonly #inner: Node;
  constructor(bindings: readonly { readonly index: number; readonly node: Node }[], inner: Node) {
    this.#bindings = bindings;
    this.#inner = inner;
  }
  evaluate(run: Run): unknown {
    return this.#from(0, run);
  }
  #from(start: number, run: Run): unknown {
    for (let at = start; at < this.#bindings.length; at++) {
      const { index, node } = this.#bindings[at] as { index: number; node: Node };
      const value = node.evaluate(run);
      if (value instanceof Promise) {
        return value.then((given) => {
          run.variables[index] = given;
          return this.#from(at + 1, run);
        });
      }
      run.variables[index] = value;
    }
    return this.#inner.evaluate(run);
  }
}

/** One after the other; gives what the last gives. */
export class SequenceNode implements Node {
  readonly #nodes: readonly Node[];
  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }
  evaluate(run: Run): unknown {
    return this.#from(0, run);
  }
  #from(start: number, run: Run): unknown {
    let value: unknown;
    for (let at = start; at < this.#nodes.length; at++) {
      value = this.#nodes[at]?.evaluate(run);
      if (value instanceof Promise) {
        const last = at === this.#nodes.length - 1;
        return last ? value : value.then(() => this.#from(at + 1, run));
      }
    }
    return value;
  }
}

/** One of two branches, by a rule that a value keeps or not. */
export class ChoiceNode implements Node {
  readonly #value: Node;
  readonly #rule: Rule;
  readonly #kept: Node;
  readonly #broken: Node;
  constructor(value: Node, rule: Rule, kept: Node, broken: Node) {
    this.#value = value;
    this.#rule = rule;
    this.#kept = kept;
    this.#broken = broken;
  }
  evaluate(run: Run): unknown {
    return whenThere(this.#value.evaluate(run), (value) =>
      (satisfies(value, this.#rule) ? this.#kept : this.#broken).evaluate(run),
    );
  }
}

/** A part that is a transaction by itself, unless it is in one already. */
export class TransactionNode implements Node {
  readonly #inner: Node;
  constructor(inner: Node) {
    this.#inner = inner;
  }
  evaluate(run: Run): Promise<unknown> {
    return run.within(async () => this.#inner.evaluate(run));
  }
}

/** Values one after the other, as a list. */
export class ListNode implements Node {
  readonly #nodes: readonly Node[];
  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }
  async evaluate(run: Run): Promise<unknown[]> {
    const values: unknown[] = [];
    for (const node of this.#nodes) values.push(await node.evaluate(run));
    return values;
  }
}

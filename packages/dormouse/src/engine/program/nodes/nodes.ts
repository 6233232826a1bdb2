import type { PrismaValue } from '@prisma/client-engine-runtime';
import type { StatementResult } from '../../../pool/index.ts';
import { columnCodec, decodeResult } from '../../statements/index.ts';
import { type Argument, argumentValue } from '../argument.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { isEmpty, RecordSet, type Rule, satisfies } from '../records/index.ts';
import type { Run } from '../run.ts';
import type { Statement } from '../statement.ts';

/**
 * A node of a program. It gives a `RecordSet` (or, if Prisma's runtime evaluated it, records as the runtime holds
 * them), a number of affected rows, a plain value, or a promise of one of these.
 */
export interface Node {
  evaluate(run: Run): unknown;
}

/**
 * Applies `work` to a value, or to the result of a promise. A value that is no promise is handled at once, without a
 * turn of the event loop.
 */
export function whenThere(value: unknown, work: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(work) : work(value);
}

export class QueryNode implements Node {
  readonly #statement: Statement;
  /** The columns of the last result, all of which Prisma can read. */
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
      // A column of a type that Prisma cannot read is an error, even if the plan does not use the column.
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

/** Sends a statement. Gives undefined for a statement that only the runtime can send. */
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

/** A value from a generator that only the runtime has. */
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

/** The first of several variables that holds a record or value; an empty list if none does. */
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

/** Sets variables one after the other, then gives the value of the inner expression. */
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

/** Evaluates nodes one after the other; gives the value of the last. */
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

/** Evaluates one of two branches, depending on whether a value satisfies a rule. */
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

/** Evaluates a node in a transaction, unless the run is in a transaction already. */
export class TransactionNode implements Node {
  readonly #inner: Node;
  constructor(inner: Node) {
    this.#inner = inner;
  }
  evaluate(run: Run): Promise<unknown> {
    return run.within(async () => this.#inner.evaluate(run));
  }
}

/** Evaluates nodes one after the other; gives the list of their values. */
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

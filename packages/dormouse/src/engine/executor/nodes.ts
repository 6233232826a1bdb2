import type { PrismaValue } from '@prisma/client-engine-runtime';
import { columnCodec } from '../column-types.ts';
import { type Argument, argumentValue } from './argument.ts';
import { processRows, type RecordOperations } from './in-memory.ts';
import { NotCovered } from './not-covered.ts';
import { decodedColumns, matchChildren } from './record-values.ts';
import { Rows } from './rows.ts';
import type { Run } from './run.ts';
import type { Statement } from './statement.ts';

/** A part of a compiled plan: gives records, a number of affected rows, a plain value, or a promise of one. */
export interface Node {
  evaluate(run: Run): unknown;
}

/** Applies `work` to a value or, without one more turn for those that are there, to what a promise gives. */
function then(value: unknown, work: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(work) : work(value);
}

function rowsOf(value: unknown): Rows {
  if (!(value instanceof Rows)) throw new NotCovered();
  return value;
}

export class QueryNode implements Node {
  readonly #statement: Statement;
  /** Columns that were looked at. */
  #readable: Rows['fields'] | undefined;
  constructor(statement: Statement) {
    this.#statement = statement;
  }
  async evaluate(run: Run): Promise<Rows> {
    const { fields, rows } = await this.#statement.execute(run);
    if (fields !== this.#readable) {
      // A type that Prisma cannot read fails the runtime, whether or not the column is used.
      for (const field of fields) if (columnCodec(field.typeOid) === undefined) throw new NotCovered();
      this.#readable = fields;
    }
    return new Rows(fields, rows);
  }
}

export class ExecuteNode implements Node {
  readonly #statement: Statement;
  constructor(statement: Statement) {
    this.#statement = statement;
  }
  async evaluate(run: Run): Promise<number> {
    return (await this.#statement.execute(run)).affectedRows;
  }
}

/** A node that turns what another gives into something else. */
export class MapNode implements Node {
  readonly #of: Node;
  readonly #map: (value: unknown, run: Run) => unknown;
  constructor(of: Node, map: (value: unknown, run: Run) => unknown) {
    this.#of = of;
    this.#map = map;
  }
  evaluate(run: Run): unknown {
    const value = this.#of.evaluate(run);
    return value instanceof Promise ? value.then((given) => this.#map(given, run)) : this.#map(value, run);
  }
}

/** The first record, or null. */
export function unique(value: unknown): Rows {
  const rows = rowsOf(value);
  if (rows.rows.length > 1) throw new NotCovered();
  return rows.single ? rows : new Rows(rows.fields, rows.rows, true, rows.attachments);
}

/** At least one record. */
export function required(value: unknown): Rows {
  const rows = rowsOf(value);
  if (rows.rows.length === 0) throw new NotCovered();
  return rows;
}

export function reversed(value: unknown): Rows {
  const rows = rowsOf(value);
  return rows.single ? rows : rows.pick(rows.rows.map((_row, index) => rows.rows.length - 1 - index));
}

/** A rule on the number of records, or of affected rows. What breaks it is the runtime's to put into words. */
export interface Rule {
  readonly type: 'rowCountEq' | 'rowCountNeq' | 'affectedRowCountEq' | 'never';
  readonly args?: number;
}

export function validated(value: unknown, rules: readonly Rule[]): unknown {
  for (const { type, args } of rules) {
    if (type === 'never') throw new NotCovered();
    if (type === 'affectedRowCountEq') {
      if (value !== args) throw new NotCovered();
      continue;
    }
    const count = rowsOf(value).rows.length;
    if ((count === args) !== (type === 'rowCountEq')) throw new NotCovered();
  }
  return value;
}

/** One column's values: of a list of records a list, of one record one. */
export function fieldValues(value: unknown, field: string): unknown {
  const rows = rowsOf(value);
  const values = decodedColumns(rows, [field]).map(([only]) => only);
  return rows.single ? (values[0] ?? null) : values;
}

export function processed(value: unknown, operations: RecordOperations, cursor: RecordOperations['pagination']): Rows {
  return processRows(rowsOf(value), { ...operations, pagination: cursor });
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

export interface JoinedChild {
  readonly node: Node;
  readonly name: string;
  readonly on: readonly (readonly [parent: string, child: string])[];
  readonly single: boolean;
}

/** Records with those of other lists that belong to them. Children know only their parents' keys: they are read at once. */
export class JoinNode implements Node {
  readonly #parent: Node;
  readonly #children: readonly JoinedChild[];
  constructor(parent: Node, children: readonly JoinedChild[]) {
    this.#parent = parent;
    this.#children = children;
  }
  evaluate(run: Run): unknown {
    return then(this.#parent.evaluate(run), (parent) => this.#join(rowsOf(parent), run));
  }
  #join(parent: Rows, run: Run): Rows | Promise<Rows> {
    if (parent.single && parent.rows.length === 0) return parent;
    const attach = (children: readonly unknown[]): Rows => {
      const attachments = this.#children.map(({ name, on, single }, index) => {
        const child = rowsOf(children[index]);
        return { name, child, single, children: matchChildren(parent, child, on) };
      });
      return new Rows(parent.fields, parent.rows, parent.single, [...parent.attachments, ...attachments]);
    };
    // Each in a promise of its own, also one that fails at once: no other's failure may go unseen.
    return Promise.all(this.#children.map(async ({ node }) => node.evaluate(run))).then(attach);
  }
}

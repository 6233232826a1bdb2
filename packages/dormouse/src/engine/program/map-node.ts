import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { processRows, type RecordOperations } from './in-memory.ts';
import { type Node, whenThere } from './nodes.ts';
import { NotCovered } from './not-covered.ts';
import { decodedColumns, recordKeys } from './record-values.ts';
import { Rows } from './row-set.ts';
import { countOf, type Rule, satisfies } from './rules.ts';
import type { Run } from './run.ts';

/** Turns a value into another. Throws `NotCovered` for one that only the runtime can turn, or refuse in its words. */
type Work = (value: unknown, run: Run) => unknown;
/** The same as a node of a plan, with the value in it. */
type Foreign = (value: unknown, run: Run) => QueryPlanNode;

/**
 * A node that turns what another gives into something else: here or, what is rare or to be refused, by Prisma's
 * runtime.
 */
export class MapNode implements Node {
  readonly #of: Node;
  readonly #work: Work;
  readonly #foreign: Foreign;
  constructor(of: Node, work: Work, foreign: Foreign) {
    this.#of = of;
    this.#work = work;
    this.#foreign = foreign;
  }
  evaluate(run: Run): unknown {
    return whenThere(this.#of.evaluate(run), (value) => this.#apply(value, run));
  }
  #apply(value: unknown, run: Run): unknown {
    const handOver = (error: unknown): unknown => {
      if (!(error instanceof NotCovered)) throw error;
      return run.interpret(this.#foreign(value, run));
    };
    try {
      const result = this.#work(value, run);
      return result instanceof Promise ? result.catch(handOver) : result;
    } catch (error) {
      return handOver(error);
    }
  }
}

function rowsOf(value: unknown): Rows {
  if (!(value instanceof Rows)) throw new NotCovered();
  return value;
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

/** The value, if it keeps the rules. */
export function validated(value: unknown, rules: readonly Rule[]): unknown {
  if (!rules.every((rule) => satisfies(value, rule))) throw new NotCovered();
  return value;
}

/** What is to be said of a value that breaks a rule depends on its count only: something small of the same count. */
export function standIn(value: unknown): unknown {
  if (value instanceof Rows && value.single) return value.rows.length === 0 ? null : {};
  if (value instanceof Rows || Array.isArray(value)) return new Array<null>(countOf(value)).fill(null);
  return value;
}

/** One column's values: of a list of records a list, of one record one. */
export function fieldValues(value: unknown, field: string, run: Run): unknown {
  const rows = rowsOf(value);
  return whenThere(run.pace.work(decodedColumns(rows, [field])), (decoded) => {
    const values = (decoded as unknown[][]).map(([only]) => only);
    return rows.single ? (values[0] ?? null) : values;
  });
}

export function processed(
  value: unknown,
  operations: RecordOperations,
  pagination: RecordOperations['pagination'],
  run: Run,
): Rows | Promise<Rows> {
  return run.pace.work(processRows(rowsOf(value), { ...operations, pagination }));
}

/** The records of a list that are not in another, by some of their columns. The value is the pair of both. */
export function difference(value: unknown, fields: readonly string[], run: Run): Rows | Promise<Rows> {
  const [from, to] = (value as unknown[]).map(rowsOf) as [Rows, Rows];
  // Null counts as a record here.
  if ((from.single && from.rows.length === 0) || (to.single && to.rows.length === 0)) throw new NotCovered();
  return run.pace.work(
    (function* () {
      const known = new Set(yield* recordKeys(to, fields));
      const keys = yield* recordKeys(from, fields);
      const places = keys.flatMap((key, place) => (known.has(key) ? [] : [place]));
      const { fields: columns, rows, attachments } = from.pick(places);
      return new Rows(columns, rows, false, attachments);
    })(),
  );
}

/** The sum of affected rows. */
export function total(value: unknown): number {
  let sum = 0;
  for (const each of value as unknown[]) {
    if (typeof each !== 'number') throw new NotCovered();
    sum += each;
  }
  return sum;
}

/** Lists of records one behind the other. */
export function concatenated(value: unknown): Rows {
  const [first, ...others] = (value as unknown[]).map(rowsOf);
  if (first === undefined || first.single || first.attachments.length > 0) throw new NotCovered();
  const rows = [...first.rows];
  for (const other of others) {
    const alike =
      !other.single &&
      other.attachments.length === 0 &&
      other.fields.length === first.fields.length &&
      other.fields.every(
        ({ name, typeOid }, index) => name === first.fields[index]?.name && typeOid === first.fields[index]?.typeOid,
      );
    if (!alike) throw new NotCovered();
    for (const row of other.rows) rows.push(row);
  }
  return new Rows(first.fields, rows);
}

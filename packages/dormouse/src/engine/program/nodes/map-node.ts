import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { NeedsRuntime } from '../needs-runtime.ts';
import {
  countOf,
  decodedColumns,
  processRecords,
  type RecordOperations,
  RecordSet,
  type Rule,
  recordKeys,
  satisfies,
} from '../records/index.ts';
import type { Run } from '../run.ts';
import { type Node, whenThere } from './nodes.ts';

/**
 * Converts a value. Throws `NeedsRuntime` for a value that only the runtime can convert, or must refuse in its words.
 */
type Work = (value: unknown, run: Run) => unknown;
/** The plan node that does the same, over the value. */
type AsPlanNode = (value: unknown, run: Run) => QueryPlanNode;

/** A node that converts the value of another node. Prisma's runtime converts rare values, and refuses values. */
export class MapNode implements Node {
  readonly #of: Node;
  readonly #work: Work;
  readonly #asPlanNode: AsPlanNode;
  constructor(of: Node, work: Work, foreign: AsPlanNode) {
    this.#of = of;
    this.#work = work;
    this.#asPlanNode = foreign;
  }
  evaluate(run: Run): unknown {
    return whenThere(this.#of.evaluate(run), (value) => this.#apply(value, run));
  }
  #apply(value: unknown, run: Run): unknown {
    const handOver = (error: unknown): unknown => {
      if (!(error instanceof NeedsRuntime)) throw error;
      return run.evaluateByRuntime(this.#asPlanNode(value, run));
    };
    try {
      const result = this.#work(value, run);
      return result instanceof Promise ? result.catch(handOver) : result;
    } catch (error) {
      return handOver(error);
    }
  }
}

function recordSetOf(value: unknown): RecordSet {
  if (!(value instanceof RecordSet)) throw new NeedsRuntime();
  return value;
}

/** The only record, or null. */
export function unique(value: unknown): RecordSet {
  const records = recordSetOf(value);
  if (records.rows.length > 1) throw new NeedsRuntime();
  return records.single ? records : new RecordSet(records.fields, records.rows, true, records.attachments);
}

/** The records, of which there must be at least one. */
export function required(value: unknown): RecordSet {
  const records = recordSetOf(value);
  if (records.rows.length === 0) throw new NeedsRuntime();
  return records;
}

export function reversed(value: unknown): RecordSet {
  const records = recordSetOf(value);
  return records.single ? records : records.pick(records.rows.map((_row, index) => records.rows.length - 1 - index));
}

/** The value, which must satisfy the rules. */
export function validated(value: unknown, rules: readonly Rule[]): unknown {
  if (!rules.every((rule) => satisfies(value, rule))) throw new NeedsRuntime();
  return value;
}

/**
 * A small value with the same number of records. The runtime's error for a value that breaks a rule depends only on
 * that number.
 */
export function standIn(value: unknown): unknown {
  if (value instanceof RecordSet && value.single) return value.rows.length === 0 ? null : {};
  if (value instanceof RecordSet || Array.isArray(value)) return new Array<null>(countOf(value)).fill(null);
  return value;
}

/** The values of one column: a list for a list of records, one value for a single record. */
export function fieldValues(value: unknown, field: string, run: Run): unknown {
  const records = recordSetOf(value);
  return whenThere(run.pace.work(decodedColumns(records, [field])), (decoded) => {
    const values = (decoded as unknown[][]).map(([only]) => only);
    return records.single ? (values[0] ?? null) : values;
  });
}

export function processed(
  value: unknown,
  operations: RecordOperations,
  pagination: RecordOperations['pagination'],
  run: Run,
): RecordSet | Promise<RecordSet> {
  return run.pace.work(processRecords(recordSetOf(value), { ...operations, pagination }));
}

/** The records of the first of two lists that are not in the second, compared by the given columns. */
export function difference(value: unknown, fields: readonly string[], run: Run): RecordSet | Promise<RecordSet> {
  const [from, to] = (value as unknown[]).map(recordSetOf) as [RecordSet, RecordSet];
  // The runtime counts null as a record here.
  if ((from.single && from.rows.length === 0) || (to.single && to.rows.length === 0)) throw new NeedsRuntime();
  return run.pace.work(
    (function* () {
      const known = new Set(yield* recordKeys(to, fields));
      const keys = yield* recordKeys(from, fields);
      const positions = keys.flatMap((key, position) => (known.has(key) ? [] : [position]));
      const { fields: columns, rows, attachments } = from.pick(positions);
      return new RecordSet(columns, rows, false, attachments);
    })(),
  );
}

/** The sum of affected rows. */
export function total(value: unknown): number {
  let sum = 0;
  for (const each of value as unknown[]) {
    if (typeof each !== 'number') throw new NeedsRuntime();
    sum += each;
  }
  return sum;
}

/** Several lists of records as one. */
export function concatenated(value: unknown): RecordSet {
  const [first, ...others] = (value as unknown[]).map(recordSetOf);
  if (first === undefined || first.single || first.attachments.length > 0) throw new NeedsRuntime();
  const rows = [...first.rows];
  for (const other of others) {
    const alike =
      !other.single &&
      other.attachments.length === 0 &&
      other.fields.length === first.fields.length &&
      other.fields.every(
        ({ name, typeOid }, index) => name === first.fields[index]?.name && typeOid === first.fields[index]?.typeOid,
      );
    if (!alike) throw new NeedsRuntime();
    for (const row of other.rows) rows.push(row);
  }
  return new RecordSet(first.fields, rows);
}

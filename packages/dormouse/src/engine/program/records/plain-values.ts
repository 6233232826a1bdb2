import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import { DormouseError } from '../../../base/index.ts';
import { decodeResult } from '../../statements/index.ts';
import { RecordSet } from './record-set.ts';

/**
 * Records that may stand below others in one value, counted once for each parent. A join in which every record is a
 * child of every other would fill the memory.
 */
const RELATED_MAX = 2_000_000;

type PlainRecord = Record<string, unknown>;

/**
 * A value as Prisma's runtime holds it: each record is an object. Fails as the runtime does for a column of a type
 * that it cannot read, and with `reply_too_large` for too many related records.
 */
export function plainOf(value: unknown): unknown {
  if (!(value instanceof RecordSet)) return value;
  const records = recordsOf(value, { relatedLeft: RELATED_MAX });
  return value.single ? (records[0] ?? null) : records;
}

/** A plan node that gives a value. */
export function valueNode(plain: unknown): QueryPlanNode {
  return { type: 'value', args: plain as PrismaValue };
}

function recordsOf({ fields, rows, attachments }: RecordSet, bound: { relatedLeft: number }): PlainRecord[] {
  const { columnNames, rows: decoded } = decodeResult({ fields, rows, commandTag: '', affectedRows: 0 });
  const related = attachments.map(({ child }) => recordsOf(child, bound));
  return decoded.map((values, position) => {
    const record: PlainRecord = {};
    for (let column = 0; column < columnNames.length; column++) record[columnNames[column] as string] = values[column];
    for (const [index, { name, children, single }] of attachments.entries()) {
      const positions = children[position] ?? [];
      const records = related[index] as PlainRecord[];
      bound.relatedLeft -= single ? 1 : positions.length;
      if (bound.relatedLeft < 0) throw new DormouseError('reply_too_large');
      record[name] = single
        ? (records[positions[positions.length - 1] ?? -1] ?? null)
        : positions.map((each) => records[each]);
    }
    return record;
  });
}

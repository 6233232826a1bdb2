import { describe, expect, it } from 'vitest';
import { dataRow, field, gives, testRun } from '../../../../test/support/program-run.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { plainOf, valueNode } from '../records/plain-values.ts';
import { RecordSet } from '../records/record-set.ts';
import { countOf } from '../records/rules.ts';
import {
  concatenated,
  difference,
  fieldValues,
  MapNode,
  required,
  reversed,
  standIn,
  total,
  unique,
  validated,
} from './map-node.ts';

const rows = (...ids: number[]): RecordSet =>
  new RecordSet(
    [field('id')],
    ids.map((id) => dataRow(String(id))),
  );
const single = (...ids: number[]): RecordSet =>
  new RecordSet(
    [field('id')],
    ids.map((id) => dataRow(String(id))),
    true,
  );
const idsOf = (value: unknown): unknown => (plainOf(value) as { id: number }[]).map(({ id }) => id);

describe('MapNode', () => {
  it('MapNode gives the runtime a value that the node cannot convert, in the form in which the runtime holds the value', async () => {
    const run = testRun();
    const node = new MapNode(gives([{ id: 3 }]), unique, (value) => ({
      type: 'unique',
      args: valueNode(plainOf(value)),
    }));
    expect(await node.evaluate(run)).toEqual({ id: 3 });
    expect(run.handedOver).toBe(true);
  });

  it('MapNode lets the runtime refuse a value in the words of the runtime', async () => {
    const context = { operation: 'an update' };
    const node = new MapNode(
      gives(single()),
      (value) => validated(value, [{ type: 'rowCountNeq', args: 0 }]),
      (value) => ({
        type: 'validate',
        args: {
          expr: valueNode(standIn(value)),
          rules: [{ type: 'rowCountNeq', args: 0 }],
          errorIdentifier: 'MISSING_RECORD',
          context,
        },
      }),
    );
    await expect(node.evaluate(testRun())).rejects.toMatchObject({ code: 'P2025', meta: context });
  });
});

describe('a conversion of records', () => {
  it('a conversion of records gives the only record of a list, or null', () => {
    expect(plainOf(unique(rows(4)))).toEqual({ id: 4 });
    expect(plainOf(unique(rows()))).toBe(null);
    expect(() => unique(rows(1, 2))).toThrow(NeedsRuntime);
    expect(() => required(rows())).toThrow(NeedsRuntime);
    expect(idsOf(required(rows(1)))).toEqual([1]);
  });

  it('a conversion of records reverses a list', () => {
    expect(idsOf(reversed(rows(1, 2, 3)))).toEqual([3, 2, 1]);
  });

  it('a conversion of records gives the values of one column', () => {
    expect(fieldValues(rows(1, 2), 'id', testRun())).toEqual([1, 2]);
    expect(fieldValues(single(1), 'id', testRun())).toBe(1);
    expect(fieldValues(single(), 'id', testRun())).toBe(null);
    expect(() => fieldValues(rows(1), 'other', testRun())).toThrow(NeedsRuntime);
  });

  it('a conversion of records gives the records that are not in another list', async () => {
    expect(idsOf(await difference([rows(1, 2, 3), rows(2)], ['id'], testRun()))).toEqual([1, 3]);
    expect(idsOf(await difference([single(1), rows(2)], ['id'], testRun()))).toEqual([1]);
    expect(() => difference([single(), rows(2)], ['id'], testRun())).toThrow(NeedsRuntime);
  });

  it('a conversion of records concatenates lists with the same columns, and sums numbers of affected rows', () => {
    expect(idsOf(concatenated([rows(1), rows(), rows(2, 3)]))).toEqual([1, 2, 3]);
    expect(() => concatenated([rows(1), new RecordSet([field('id', 25)], [])])).toThrow(NeedsRuntime);
    expect(total([1, 2, 0])).toBe(3);
    expect(() => total([1, 'x'])).toThrow(NeedsRuntime);
  });

  it('a conversion of records gives a small stand-in with the same number of records', () => {
    for (const value of [rows(1, 2), rows(), single(), single(1), 5, null, [1, 2, 3]]) {
      expect(countOf(standIn(value))).toBe(countOf(value));
    }
  });
});

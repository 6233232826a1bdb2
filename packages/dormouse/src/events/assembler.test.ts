import { expect, test } from 'vitest';
import type { PgoutputMessage } from '../wire/index.ts';
import { TransactionAssembler } from './assembler.ts';

const relation = (oid: number, schema: string, name: string, type = 25): PgoutputMessage => ({
  kind: 'relation',
  oid,
  schema,
  name,
  identity: 'd',
  columns: [
    { name: 'id', typeOid: 23, typeModifier: -1, key: true },
    { name: 'v', typeOid: type, typeModifier: -1, key: false },
  ],
});
const begin = (lsn: bigint): PgoutputMessage => ({ kind: 'begin', commitLsn: lsn, committedAtMs: 1, xid: 2 });
const commit = (lsn: bigint): PgoutputMessage => ({
  kind: 'commit',
  commitLsn: lsn,
  endLsn: lsn + 8n,
  committedAtMs: 1,
});
const insert = (oid: number, id: string): PgoutputMessage => ({ kind: 'insert', relationOid: oid, after: [id, null] });

function assembler(pieceBytes: number, ...messages: PgoutputMessage[]): TransactionAssembler {
  const out = new TransactionAssembler(pieceBytes);
  for (const message of messages) out.push(message, 10);
  return out;
}

test('nothing of a transaction is handed over before it commits, then all of it with its end', () => {
  const open = assembler(1000, begin(100n), relation(1, 'public', 't'), insert(1, '7'));
  expect(open.take()).toBeUndefined();
  expect(open.empty).toBe(false);
  open.push(commit(100n), 0);
  open.push(begin(200n), 0);
  open.push(insert(1, '8'), 10);
  expect(open.take()).toMatchObject({
    relations: [{ schema: 'public', name: 't' }],
    transactions: [
      { commitLsn: 100n, firstIndex: 0, events: [{ relation: 0, operation: 'insert', after: ['7', null] }] },
    ],
    endLsn: 108n,
  });
  open.push(commit(200n), 0);
  expect(open.take()?.endLsn).toBe(208n);
  expect(open.take()).toBeUndefined();
  expect(open.empty).toBe(true);
  expect(open.bytes).toBe(0);
});

test('a giant transaction goes in pieces that count on', () => {
  const big = assembler(25, begin(100n), relation(1, 'public', 't'), insert(1, '1'), insert(1, '2'), insert(1, '3'));
  const piece = big.take();
  expect(piece).toMatchObject({ endLsn: undefined, transactions: [{ firstIndex: 0 }] });
  expect(piece?.transactions[0]?.events).toHaveLength(3);
  big.push(insert(1, '4'), 10);
  expect(big.take()).toBeUndefined();
  big.push(commit(100n), 0);
  expect(big.take()).toMatchObject({
    endLsn: 108n,
    transactions: [{ firstIndex: 3, events: [{ after: ['4', null] }] }],
  });
});

test('our own tables are nobody’s events; a changed table is another relation', () => {
  const batch = assembler(
    1000,
    begin(100n),
    relation(9, 'dormouse', 'full_identity'),
    insert(9, '1'),
    relation(1, 'public', 't'),
    relation(1, 'public', 't'),
    insert(1, '2'),
    relation(1, 'public', 't', 20),
    insert(1, '3'),
    commit(100n),
  ).take();
  expect(batch?.relations).toHaveLength(2);
  expect(batch?.transactions[0]?.events.map((event) => event.relation)).toEqual([0, 1]);
});

test('what an event does not carry is unknown, and what the old row says is known', () => {
  const batch = assembler(
    1000,
    begin(100n),
    relation(1, 'public', 't'),
    { kind: 'update', relationOid: 1, beforeKind: undefined, before: undefined, after: ['1', undefined] },
    { kind: 'update', relationOid: 1, beforeKind: 'row', before: ['1', 'old'], after: ['1', undefined] },
    { kind: 'update', relationOid: 1, beforeKind: 'key', before: ['1', null], after: ['2', 'x'] },
    { kind: 'delete', relationOid: 1, beforeKind: 'key', before: ['2', null] },
    commit(100n),
  ).take();
  expect(batch?.transactions[0]?.events.map(({ before, after }) => [before, after])).toEqual([
    [undefined, ['1', 0]],
    [
      ['1', 'old'],
      ['1', 'old'],
    ],
    [
      ['1', 0],
      ['2', 'x'],
    ],
    [['2', 0], undefined],
  ]);
});

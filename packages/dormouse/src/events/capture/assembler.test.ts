import { expect, test } from 'vitest';
import { type DecodedMessage, TestDecodingReader } from '../../wire/index.ts';
import type { AppendBatch, TableFacts, TableName } from '../log/event-log.ts';
import { TransactionAssembler } from './assembler.ts';
import { CapturedTables } from './captured-tables.ts';
import type { CatalogTable } from './catalog-lookup.ts';

const reader = new TestDecodingReader();
const read = (text: string): DecodedMessage => reader.decode(Buffer.from(text));
const begin = (): DecodedMessage => read('BEGIN 2');
const commit = (): DecodedMessage => read('COMMIT 2 (at 2026-01-01 00:00:00+00)');
const insert = (id: number, table = 't'): DecodedMessage =>
  read(`table public.${table}: INSERT: id[integer]:${id} v[text]:null`);

function pushAll(to: TransactionAssembler, endLsn: bigint, ...messages: DecodedMessage[]): void {
  for (const message of messages) to.push(message, message.kind === 'commit' ? endLsn : 0n, 10);
}

function table(name: string, key: readonly string[] | null, more: Partial<CatalogTable> = {}): CatalogTable {
  const columns = [
    { name: 'id', type: 'integer', virtual: false },
    { name: 'v', type: 'text', virtual: false },
  ];
  return { schema: 'public', name, key, kind: 'r', identity: 'd', ancestors: [], columns, ...more };
}

/** Tables as a catalog has them, which the test may change; counts what is asked. */
function catalog(tables: CatalogTable[], recorded: TableFacts[] = []) {
  const asked: string[][] = [];
  let nowMs = 0;
  const captured = new CapturedTables(
    recorded,
    async (wanted: readonly TableName[]) => {
      asked.push(wanted.map(({ name }) => name));
      return tables.filter((table) => wanted.some(({ name }) => name === table.name));
    },
    () => nowMs,
  );
  return {
    asked,
    tables,
    later: (ms: number) => {
      nowMs += ms;
    },
    async batch(from: TransactionAssembler): Promise<AppendBatch | undefined> {
      const assembly = from.take();
      return assembly && captured.complete(assembly, 7);
    },
  };
}

test('a transaction is handed over once it commits, as a whole and with its end', async () => {
  const { batch } = catalog([table('t', ['id'])]);
  const assembler = new TransactionAssembler(1000, 50n);
  pushAll(assembler, 0n, begin(), insert(7));
  expect(assembler.take()).toBeUndefined();
  expect(assembler.empty).toBe(false);
  pushAll(assembler, 108n, commit(), begin(), insert(8));
  expect(await batch(assembler)).toMatchObject({
    relations: [
      {
        schema: 'public',
        name: 't',
        columns: [
          { name: 'id', typeOid: 23, key: true },
          { name: 'v', key: false },
        ],
      },
    ],
    // By where the one before ended, at first where the stream began.
    transactions: [
      {
        lsn: 50n,
        firstIndex: 0,
        committedAtMs: Date.UTC(2026, 0, 1),
        events: [{ relation: 0, operation: 'insert', after: ['7', null] }],
      },
    ],
    tables: [{ schema: 'public', name: 't', key: ['id'], ancestors: [] }],
    endLsn: 108n,
  });
  pushAll(assembler, 208n, commit());
  expect(await batch(assembler)).toMatchObject({ endLsn: 208n, transactions: [{ lsn: 108n }] });
  expect(assembler.take()).toBeUndefined();
  expect(assembler.empty).toBe(true);
  expect(assembler.bytes).toBe(0);
});

test('a giant transaction is handed over in pieces whose indexes continue', async () => {
  const { batch } = catalog([table('t', ['id'])]);
  const big = new TransactionAssembler(25, 50n);
  pushAll(big, 0n, begin(), insert(1), insert(2), insert(3));
  const piece = await batch(big);
  expect(piece).toMatchObject({ endLsn: undefined, transactions: [{ lsn: 50n, firstIndex: 0, committedAtMs: 7 }] });
  expect(piece?.transactions[0]?.events).toHaveLength(3);
  pushAll(big, 0n, insert(4));
  expect(big.take()).toBeUndefined();
  pushAll(big, 108n, commit());
  expect(await batch(big)).toMatchObject({
    endLsn: 108n,
    transactions: [{ lsn: 50n, firstIndex: 3, events: [{ after: ['4', null] }] }],
  });
});

test('a value that an event does not carry is unknown, unless the old row has it', async () => {
  const { batch, tables } = catalog([table('t', ['id'])]);
  const assembler = new TransactionAssembler(1000, 50n);
  const rows = async (...texts: string[]): Promise<unknown> => {
    pushAll(
      assembler,
      assembler.bytes === 0 ? ++end : end,
      begin(),
      ...texts.map((text) => read(`table public.t: ${text}`)),
      commit(),
    );
    const events = (await batch(assembler))?.transactions[0]?.events;
    return events?.map(({ before, after }) => [before, after]);
  };
  let end = 100n;
  expect(
    await rows(
      'UPDATE: id[integer]:1 v[text]:unchanged-toast-datum',
      "UPDATE: old-key: id[integer]:1 v[text]:'old' new-tuple: id[integer]:1 v[text]:unchanged-toast-datum",
      "UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 v[text]:'x'",
      'DELETE: id[integer]:2',
    ),
  ).toEqual([
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
  // The whole old row leaves out what was NULL.
  tables[0] = table('t', ['id'], { identity: 'f' });
  expect(await rows()).toBeUndefined();
  expect(await rows('DELETE: id[integer]:2')).toEqual([[['2', null], undefined]]);
  // Without a key and without the whole row nothing says which one it was.
  tables[0] = table('t', null);
  await rows();
  expect(await rows('DELETE: (no-tuple-data)')).toEqual([[[0, 0], undefined]]);
});

test('a delete that is the first change of its table has the columns of the catalog, and no event has virtual columns', async () => {
  const columns = [...table('t', ['id']).columns, { name: 'twice', type: 'integer', virtual: true }];
  const { batch } = catalog([table('t', ['id'], { columns, identity: 'f' })]);
  const assembler = new TransactionAssembler(1000, 50n);
  pushAll(
    assembler,
    108n,
    begin(),
    read('table public.t: DELETE: id[integer]:1'),
    read("table public.t: INSERT: id[integer]:2 v[text]:'x' twice[integer]:null"),
    commit(),
  );
  const got = await batch(assembler);
  expect(got?.relations.map((relation) => relation.columns.map(({ name }) => name))).toEqual([
    ['id', 'v'],
    ['id', 'v'],
  ]);
  expect(got?.transactions[0]?.events).toMatchObject([{ before: ['1', null] }, { after: ['2', 'x'] }]);
});

test('a table is looked up once, and again when it may have changed', async () => {
  const { batch, asked, later } = catalog([table('t', ['id']), table('k', null)]);
  const assembler = new TransactionAssembler(1000, 50n);
  let end = 100n;
  const transaction = async (...messages: DecodedMessage[]): Promise<void> => {
    pushAll(assembler, ++end, begin(), ...messages, commit());
    await batch(assembler);
  };
  await transaction(insert(1));
  await transaction(insert(2));
  expect(asked.splice(0)).toEqual([['t']]);
  // Its form is another.
  await transaction(read('table public.t: INSERT: id[integer]:3'));
  expect(asked.splice(0)).toEqual([['t']]);
  // A transaction without rows may have changed any; one that is known to have no key is asked for at once.
  await transaction(read('table public.t: INSERT: id[integer]:3'), insert(1, 'k'));
  expect(asked.splice(0)).toEqual([['k']]);
  await transaction();
  expect(asked.splice(0)).toEqual([['k']]);
  await transaction(read('table public.t: INSERT: id[integer]:4'));
  expect(asked.splice(0)).toEqual([['t']]);
  // The server prints another key than the catalog had.
  await transaction(read("table public.t: DELETE: v[text]:'x'"));
  expect(asked.splice(0)).toEqual([['t']]);
  later(11_000);
  await transaction(read('table public.t: INSERT: id[integer]:4'));
  expect(asked.splice(0)).toEqual([['t']]);
});

test('a key that is added later is told to the log, and materialized views and system tables have no events', async () => {
  const { batch, tables } = catalog([table('t', null), table('mv', null, { kind: 'm' })]);
  const assembler = new TransactionAssembler(1000, 50n);
  pushAll(
    assembler,
    101n,
    begin(),
    insert(1),
    insert(1, 'mv'),
    read('table information_schema.x: INSERT: a[integer]:1'),
    commit(),
  );
  const first = await batch(assembler);
  expect(first?.transactions[0]?.events).toHaveLength(1);
  expect(first?.tables).toEqual([{ schema: 'public', name: 't', key: null, ancestors: [] }]);
  tables[0] = table('t', ['id'], { ancestors: [{ schema: 'public', name: 'root' }] });
  pushAll(assembler, 102n, begin(), commit());
  expect(await batch(assembler)).toMatchObject({
    transactions: [],
    tables: [{ key: ['id'], ancestors: [{ schema: 'public', name: 'root' }] }],
    endLsn: 102n,
  });
});

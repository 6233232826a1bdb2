import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolError } from '../bytes/protocol-error.ts';
import {
  BEYOND,
  type DecodedChange,
  type DecodedMessage,
  TestDecodingReader,
  type TupleValue,
} from './test-decoding.ts';

const decode = (text: string): DecodedMessage => new TestDecodingReader().decode(Buffer.from(text));

/** As PostgreSQL's `quote_identifier` and `print_literal` write them. */
const identifier = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) && name !== 'select' ? name : `"${name.replaceAll('"', '""')}"`;
const literal = (type: string, value: TupleValue): string => {
  if (value === null) return 'null';
  if (value === undefined) return 'unchanged-toast-datum';
  const text = value as string;
  if (/^(integer|numeric|double precision)$/.test(type)) return text;
  if (type === 'boolean') return text === 't' ? 'true' : 'false';
  if (type === 'bit') return `B'${text}'`;
  return `'${text.replaceAll("'", "''")}'`;
};
const name = fc.oneof(
  fc.constantFrom(
    'id',
    'select',
    'new',
    'a b',
    '"',
    '[',
    ']',
    ']:',
    'x]:y',
    "'",
    ' new-tuple:',
    'null',
    'é',
    '\n',
    'ü"]:[\'',
  ),
  fc.string({ minLength: 1, maxLength: 8 }).filter((text) => !text.includes('\0')),
);
const text = fc.oneof(
  fc.constantFrom(
    '',
    "'",
    "''",
    'null',
    'unchanged-toast-datum',
    ' new-tuple: a[integer]:1',
    '\\',
    '\n',
    "x' y[text]:'z",
    '☂',
  ),
  fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => !value.includes('\0')),
);
const column = fc.oneof(
  fc.record({
    type: fc.constantFrom('integer', 'numeric', 'double precision'),
    value: fc.constantFrom('0', '-12.5', 'NaN', '-Infinity', '1e+300'),
  }),
  fc.record({ type: fc.constant('boolean'), value: fc.constantFrom('t', 'f') }),
  fc.record({ type: fc.constant('bit'), value: fc.constantFrom('', '101') }),
  fc.record({
    type: fc.oneof(
      fc.constantFrom('text', 'text[]', 'timestamp with time zone', '"char"'),
      fc
        .tuple(name, name, fc.boolean())
        .map(([schema, type, list]) => `${identifier(schema)}.${identifier(type)}${list ? '[]' : ''}`),
    ),
    value: text,
  }),
);
const values = fc.record({ name, column, state: fc.constantFrom('known', 'null', 'toasted') }).map((made) => ({
  name: made.name,
  type: made.column.type,
  value: made.state === 'known' ? made.column.value : made.state === 'null' ? null : undefined,
}));
const tuple = fc.array(values, { maxLength: 6 });
type Made = readonly { name: string; type: string; value: TupleValue }[];
const print = (columns: Made): string =>
  columns.map((each) => ` ${identifier(each.name)}[${each.type}]:${literal(each.type, each.value)}`).join('');
const read = (made: Made) => ({
  columns: made.map(({ name, type }) => ({ name, type })),
  values: made.map(({ value }) => value),
});
const table = fc.record({ schema: name, name });
const change = fc.oneof(
  fc.record({ table, operation: fc.constant('insert' as const), before: fc.constant(undefined), after: tuple }),
  fc.record({
    table,
    operation: fc.constant('update' as const),
    before: fc.option(tuple, { nil: undefined }),
    after: tuple,
  }),
  fc.record({ table, operation: fc.constant('delete' as const), before: tuple, after: fc.constant(undefined) }),
);
const printed = (made: {
  table: { schema: string; name: string };
  operation: string;
  before: Made | undefined;
  after: Made | undefined;
}): string => {
  const { before, after, operation } = made;
  const head = `table ${identifier(made.table.schema)}.${identifier(made.table.name)}: ${operation.toUpperCase()}:`;
  if (operation === 'delete') return head + print(before ?? []);
  return `${head}${before === undefined ? '' : ` old-key:${print(before)} new-tuple:`}${print(after ?? [])}`;
};

test('every change that Postgres can print is read unchanged, even by a reader that knows other forms', () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.boolean(), (changes, twice) => {
      const reader = new TestDecodingReader();
      for (const made of twice ? [...changes, ...changes] : changes) {
        const message = reader.decode(Buffer.from(printed(made)));
        expect(message).toEqual({
          kind: 'change',
          operation: made.operation,
          table: made.table,
          before: made.before === undefined ? undefined : read(made.before),
          after: made.after === undefined ? undefined : read(made.after),
          cut: false,
        });
      }
    }),
    { numRuns: 500 },
  );
});

test('of a change that was cut anywhere behind its kind, the whole values are read, and no other value is made up', () => {
  fc.assert(
    fc.property(change, fc.nat(), (made, at) => {
      const bytes = Buffer.from(printed(made));
      const head = bytes.indexOf(`: ${made.operation.toUpperCase()}:`) + made.operation.length + 3;
      fc.pre(!`${made.table.schema}${made.table.name}`.includes(':') && head < bytes.length);
      const cut = new TestDecodingReader().decode(
        bytes.subarray(0, head + (at % (bytes.length - head))),
        true,
      ) as DecodedChange;
      for (const which of ['before', 'after'] as const) {
        const got = cut[which];
        const whole = made[which];
        for (const [index, value] of (got?.values ?? []).entries()) {
          expect(got?.columns[index]).toEqual({ name: whole?.[index]?.name, type: whole?.[index]?.type });
          if (value !== BEYOND) expect(value).toEqual(whole?.[index]?.value);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('changes of one form share that form, so that a table is recognised without reading its names', () => {
  const reader = new TestDecodingReader();
  const insert = (id: number) =>
    reader.decode(Buffer.from(`table public.t: INSERT: id[integer]:${id} v[text]:'x'`)) as DecodedChange;
  const [first, second] = [insert(1), insert(2)];
  expect(second.after?.columns).toBe(first.after?.columns);
  expect(second.table).toBe(first.table);
});

test('begin, commit, truncate and logical messages are read', () => {
  expect(decode('BEGIN 757')).toEqual({ kind: 'begin', xid: 757 });
  expect(decode('COMMIT 757 (at 2026-11-30 00:06:56.286617+00)')).toEqual({
    kind: 'commit',
    xid: 757,
    committedAtMs: Date.UTC(2026, 10, 30, 0, 6, 56, 286),
  });
  expect(decode('table public.v, "a.b"."c, d": TRUNCATE: restart_seqs cascade')).toEqual({
    kind: 'truncate',
    tables: [
      { schema: 'public', name: 'v' },
      { schema: 'a.b', name: 'c, d' },
    ],
  });
  expect(decode('table public.v: TRUNCATE: (no-flags)')).toMatchObject({ kind: 'truncate' });
  expect(decode('table public.n: DELETE: (no-tuple-data)')).toMatchObject({ before: undefined, after: undefined });
  expect(decode('message: transactional: 1 prefix: table public.t: INSERT:, sz: 1 content:x')).toEqual({
    kind: 'other',
  });
});

test('a message that test_decoding does not write is a protocol error', () => {
  for (const wrong of [
    '',
    'BEGIN',
    'BEGIN x',
    'COMMIT 1',
    'table t: INSERT:',
    'table public.t: MERGE:',
    "table public.t: INSERT: a[text]:'x",
    'table public.t: INSERT: a[integer]:',
  ]) {
    expect(() => decode(wrong), wrong).toThrow(ProtocolError);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, cut) => {
      for (const start of ['', 'table public.t: UPDATE: ', 'table ']) {
        try {
          new TestDecodingReader().decode(Buffer.concat([Buffer.from(start), bytes]), cut);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }
    }),
  );
});

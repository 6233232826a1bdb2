import { expect, test } from 'vitest';
import type { Epoch } from '../../base/index.ts';
import type { Operation, Row, StoredEvent } from '../log/event-log.ts';
import { compileFilter, passes } from './filter.ts';

const RELATION = {
  schema: 'public',
  name: 't',
  columns: [
    { name: 'id', typeOid: 23, key: true },
    { name: 'email_address', typeOid: 25, key: false },
    { name: 'big', typeOid: 20, key: false },
    { name: 'at', typeOid: 1184, key: false },
    { name: 'tags', typeOid: 1009, key: false },
    { name: 'js', typeOid: 3802, key: false },
    { name: 'raw', typeOid: 17, key: false },
    { name: 'ok', typeOid: 16, key: false },
  ],
};
const ROW: Row = [
  '7',
  'Ada@example.com',
  '9007199254740993',
  '2026-01-02 03:04:05+00',
  '{math,"po,etry"}',
  '{"a": [1]}',
  '\\x00ff',
  't',
];
const FIELDS: Record<string, string> = { email: 'email_address' };
const columnOf = (field: string): string | undefined =>
  FIELDS[field] ?? RELATION.columns.find((column) => column.name === field)?.name;

function event(operation: Operation, row: Row = ROW): StoredEvent {
  return {
    position: { ordinal: 1, lsn: 1n, index: 0 },
    epoch: '0'.repeat(16) as Epoch,
    xid: 1,
    committedAtMs: 0,
    operation,
    relation: RELATION,
    before: operation === 'delete' ? row : undefined,
    after: operation === 'delete' ? undefined : row,
  };
}
const matches = (where: unknown, row: Row = ROW): boolean =>
  passes(compileFilter({ create: where }, columnOf), event('insert', row));

const TRUE: unknown[] = [
  {},
  { id: 7 },
  { id: { gt: 6, lte: 7 } },
  { id: { in: [1, 7] } },
  { id: { notIn: [1, 2] } },
  { id: { not: 8 } },
  { id: { not: { in: [8, 9] } } },
  { email: { contains: 'example', startsWith: 'Ada', endsWith: '.com' } },
  { email: { equals: 'ADA@EXAMPLE.COM', mode: 'insensitive' } },
  { email: { not: null } },
  { big: { $type: 'BigInt', value: '9007199254740993' } },
  { big: { gt: { $type: 'BigInt', value: '9007199254740992' } } },
  { at: { $type: 'DateTime', value: '2026-01-02T03:04:05.000Z' } },
  { at: { lt: { $type: 'DateTime', value: '2026-01-03T00:00:00.000Z' } } },
  { tags: { has: 'po,etry' } },
  { tags: { hasEvery: ['math', 'po,etry'] } },
  { tags: { hasSome: ['x', 'math'] } },
  { tags: { isEmpty: false } },
  { tags: ['math', 'po,etry'] },
  { js: { $type: 'Json', value: '{"a":[1]}' } },
  { raw: { $type: 'Bytes', value: 'AP8=' } },
  { ok: true },
  { OR: [{ id: 1 }, { id: 7 }] },
  { AND: [{ id: 7 }, { ok: true }] },
  { NOT: { id: 8 } },
  { NOT: [{ id: 8 }, { id: 9 }] },
];
const FALSE: unknown[] = [
  { id: 8 },
  { id: { gt: 7 } },
  { email: { contains: 'EXAMPLE' } },
  { email: null },
  { big: { $type: 'BigInt', value: '9007199254740992' } },
  { tags: { has: 'etry' } },
  { tags: ['math'] },
  { OR: [] },
  { NOT: { id: 7 } },
  { ok: { not: true } },
];

test.each(TRUE.map((where) => [where]))('the filter %j lets the row through', (where) => {
  expect(matches(where)).toBe(true);
});
test.each(FALSE.map((where) => [where]))('the filter %j does not let the row through', (where) => {
  expect(matches(where)).toBe(false);
});

test('NULL and values that are not known are neither equal to a value nor different from it', () => {
  const empty: Row = ['7', null, 0, null, null, null, null, null];
  for (const where of [
    { email: 'x' },
    { email: { not: 'x' } },
    { NOT: { email: 'x' } },
    { big: { not: null } },
    { big: null },
  ]) {
    expect(matches(where, empty)).toBe(false);
  }
  expect(matches({ email: null }, empty)).toBe(true);
  expect(matches({ OR: [{ email: 'x' }, { id: 7 }] }, empty)).toBe(true);
});

test('a filter that names operations lets only those through, and a filter that names none lets every event through', () => {
  expect(passes(compileFilter({ update: {} }, columnOf), event('insert'))).toBe(false);
  expect(passes(compileFilter({ update: { after: { id: 7 } } }, columnOf), event('update'))).toBe(true);
  expect(passes(compileFilter({ delete: { id: 7 } }, columnOf), event('delete'))).toBe(true);
  for (const operation of ['insert', 'update', 'delete'] as const) {
    expect(passes(compileFilter({ name: 'n' }, columnOf), event(operation))).toBe(true);
  }
});

test.each([
  [{ create: { nope: 1 } }, 'nope'],
  [{ create: { id: { near: 1 } } }, 'near'],
  [{ update: { before: {} } }, 'before'],
  [{ upsert: {} }, 'upsert'],
  [{ create: { id: { in: 1 } } }, 'list'],
  [{ create: { email: { contains: 1 } } }, 'string'],
  [{ create: { id: { equals: { $type: 'FieldRef', value: {} } } } }, 'value'],
  [{ create: 7 }, 'object'],
])('%j is refused, and the message says why', (filter, why) => {
  expect(() => compileFilter(filter, columnOf)).toThrow(
    expect.objectContaining({ code: 'request_invalid', message: expect.stringContaining(why) }),
  );
});

test('a filter that is nested too deeply is refused', () => {
  let where: unknown = { id: 7 };
  for (let i = 0; i < 50; i++) where = { AND: [where] };
  expect(() => compileFilter({ create: where }, columnOf)).toThrow(
    expect.objectContaining({ code: 'request_invalid' }),
  );
});

import { describe, expect, it } from 'vitest';
import { asksForReads, isKeepable } from './cacheable.ts';

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const reply = (body: string, status = 200) => ({ status, headers: {}, body });

describe('asksForReads', () => {
  it.each([
    'findUnique',
    'findUniqueOrThrow',
    'findFirst',
    'findFirstOrThrow',
    'findMany',
    'count',
    'aggregate',
    'groupBy',
  ])('takes %s', (name) => {
    expect(asksForReads('prisma7', bytes({ operation: name, plan: {} }))).toBe(true);
    expect(asksForReads('prisma6', bytes({ action: name, query: {} }))).toBe(true);
  });

  it.each([
    'createOne',
    'createMany',
    'createManyAndReturn',
    'updateOne',
    'updateMany',
    'updateManyAndReturn',
    'upsertOne',
    'deleteOne',
    'deleteMany',
    'queryRaw',
    'executeRaw',
    'runCommandRaw',
    'findRaw',
    'aggregateRaw',
    'somethingNew',
    '',
    null,
    ['findMany'],
  ])('refuses %s', (name) => {
    expect(asksForReads('prisma7', bytes({ operation: name, plan: {} }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ action: name, query: {} }))).toBe(false);
  });

  it('takes the field of its own protocol only', () => {
    expect(asksForReads('prisma7', bytes({ action: 'findMany', operation: 'createOne' }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ action: 'createOne', operation: 'findMany' }))).toBe(false);
  });

  it('knows a large one by its first words, if no others could mean something else', () => {
    const ids = Array.from({ length: 20_000 }, (_, id) => id);
    const six = (action: string, where: object, more: object = {}) =>
      asksForReads('prisma6', bytes({ modelName: 'User', action, query: { arguments: { where } }, ...more }));
    expect(six('findMany', { id: { in: ids } })).toBe(true);
    expect(six('findMany', { id: { in: ids }, name: '"action":"deleteMany"' })).toBe(true);
    expect(six('deleteMany', { id: { in: ids } })).toBe(false);
    expect(six('findMany', { id: { in: ids }, action: 'a column' })).toBe(false);
    expect(six('findMany', { id: { in: ids } }, { batch: [] })).toBe(false);
    expect(six('findMany', { id: { in: ids } }, { transaction: {} })).toBe(false);
    expect(asksForReads('prisma6', bytes({ query: { ids }, action: 'findMany' }))).toBe(false);
    const batch = [{ modelName: 'User', action: 'findMany', query: { ids } }];
    expect(asksForReads('prisma6', bytes({ batch }))).toBe(false);
    const seven = (operation: string, more: object = {}) =>
      asksForReads('prisma7', bytes({ model: 'User', operation, plan: {}, params: { ids }, ...more }));
    expect(seven('findMany')).toBe(true);
    expect(seven('deleteMany')).toBe(false);
    expect(asksForReads('prisma7', bytes(`{"operation":"findMany","params":[${ids}],"operation":"deleteMany"}`))).toBe(
      false,
    );
  });

  it('takes a batch of reads, never one with a write, a transaction, or nothing in it', () => {
    const read = { modelName: 'User', action: 'findUnique', query: {} };
    expect(asksForReads('prisma6', bytes({ batch: [read, read] }))).toBe(true);
    expect(asksForReads('prisma6', bytes({ batch: [read, { ...read, action: 'deleteOne' }] }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ batch: [read], transaction: {} }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ action: 'findMany', batch: [] }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ batch: [null] }))).toBe(false);
  });

  it.each(['', '{', 'null', '[]', '"findMany"'])('refuses the body %s', (body) => {
    expect(asksForReads('prisma6', bytes(body))).toBe(false);
    expect(asksForReads('prisma7', bytes(body))).toBe(false);
  });
});

describe('isKeepable', () => {
  it('keeps good replies, also with rows that speak of errors', () => {
    expect(isKeepable(reply('{"data":1}'))).toBe(true);
    expect(isKeepable(reply('{"data":{"title":"errors"}}'))).toBe(true);
    expect(isKeepable(reply('{"data":{"errors":1}}'))).toBe(true);
    expect(isKeepable({ ...reply(''), body: bytes('{"data":{"errors":1}}') })).toBe(true);
  });

  it('keeps nothing that failed', () => {
    expect(isKeepable(reply('{"data":1}', 400))).toBe(false);
    expect(isKeepable(reply('{"data":1}', 301))).toBe(false);
    expect(isKeepable(reply('{"errors":[]}'))).toBe(false);
    expect(isKeepable(reply('{"data":1,"errors":[{}]}'))).toBe(false);
    expect(isKeepable(reply('{"batchResult":[{"data":1},{"errors":[{}]}]}'))).toBe(false);
    expect(isKeepable(reply('{"batchResult":["errors"]}'))).toBe(false);
  });
});

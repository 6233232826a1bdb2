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
  ])('the operation %s only reads', (name) => {
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
  ])('the operation %s is not known to only read, so its reply is not kept', (name) => {
    expect(asksForReads('prisma7', bytes({ operation: name, plan: {} }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ action: name, query: {} }))).toBe(false);
  });

  it('each protocol reads the operation from its own field only', () => {
    expect(asksForReads('prisma7', bytes({ action: 'findMany', operation: 'createOne' }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ action: 'createOne', operation: 'findMany' }))).toBe(false);
  });

  it('a large body is judged by its beginning, unless a later member could name another operation', () => {
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

  it('a batch only reads if each of its queries does; a batch in a transaction and an empty batch do not count as reads', () => {
    const read = { modelName: 'User', action: 'findUnique', query: {} };
    expect(asksForReads('prisma6', bytes({ batch: [read, read] }))).toBe(true);
    expect(asksForReads('prisma6', bytes({ batch: [read, { ...read, action: 'deleteOne' }] }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ batch: [read], transaction: {} }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ action: 'findMany', batch: [] }))).toBe(false);
    expect(asksForReads('prisma6', bytes({ batch: [null] }))).toBe(false);
  });

  it.each(['', '{', 'null', '[]', '"findMany"'])('the body "%s" does not ask for reads', (body) => {
    expect(asksForReads('prisma6', bytes(body))).toBe(false);
    expect(asksForReads('prisma7', bytes(body))).toBe(false);
  });
});

describe('isKeepable', () => {
  it('a reply that succeeded may be kept, also if its rows contain the word errors', () => {
    expect(isKeepable(reply('{"data":1}'))).toBe(true);
    expect(isKeepable(reply('{"data":{"title":"errors"}}'))).toBe(true);
    expect(isKeepable(reply('{"data":{"errors":1}}'))).toBe(true);
    expect(isKeepable({ ...reply(''), body: bytes('{"data":{"errors":1}}') })).toBe(true);
  });

  it('a reply that failed, or a batch of which a part failed, may not be kept', () => {
    expect(isKeepable(reply('{"data":1}', 400))).toBe(false);
    expect(isKeepable(reply('{"data":1}', 301))).toBe(false);
    expect(isKeepable(reply('{"errors":[]}'))).toBe(false);
    expect(isKeepable(reply('{"data":1,"errors":[{}]}'))).toBe(false);
    expect(isKeepable(reply('{"batchResult":[{"data":1},{"errors":[{}]}]}'))).toBe(false);
    expect(isKeepable(reply('{"batchResult":["errors"]}'))).toBe(false);
  });
});

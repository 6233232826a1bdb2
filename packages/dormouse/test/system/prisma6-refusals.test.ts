import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Loose } from '../support/clients.ts';
import { seedLibrary } from '../support/library.ts';
import { startTargets, type Targets } from '../support/target.ts';

// Queries of Prisma 6 that do not fit their schema, sent without the checks of the client's types. Message and code are
// those of the vendor's engine, and in a batch the other queries get their results.

let ours: Targets;
let theirs: Targets;
let our: Loose;
let their: Loose;
beforeAll(async () => {
  ours = await startTargets({ kind: 'platform', versions: [6] });
  theirs = await startTargets({ kind: 'vendor', versions: [6] });
  our = ours.of(6).open();
  their = theirs.of(6).open();
  for (const [prisma, targets] of [
    [our, ours],
    [their, theirs],
  ] as const) {
    await prisma.$connect();
    await seedLibrary(prisma, targets.of(6).module.Prisma);
  }
});
afterAll(async () => {
  await ours?.stop();
  await theirs?.stop();
});

function user(action: string, args: Loose, selection: Loose = { $scalars: true }): Loose {
  return { modelName: 'User', action, query: { arguments: args, selection } };
}
const good = user('findMany', { orderBy: { id: 'asc' }, take: 1 }, { id: true });

/**
 * These queries are refused for their action or model. The vendor's engine refuses the whole body for one of them, the
 * platform the query alone.
 */
const UNKNOWN: Readonly<Record<string, Loose>> = {
  'an action of another database': user('aggregateRaw', {}, {}),
  'another such action': user('findRaw', {}, {}),
  'an action without a model': { action: 'runCommandRaw', query: { arguments: { command: '{}' }, selection: {} } },
  'an action that needs a model': { action: 'findMany', query: { arguments: {}, selection: { $scalars: true } } },
  'an unknown model': { ...good, modelName: 'Nobody' },
  'a raw query of a model': user('queryRaw', { query: 'SELECT 1', parameters: '[]' }, {}),
};

const UNFIT: Readonly<Record<string, Loose>> = {
  'an unknown field to select': user('findMany', {}, { nobody: true }),
  'an unknown group of fields': user('findMany', {}, { $nothing: true }),
  'nothing to select': user('findMany', {}, {}),
  'a selection below a scalar': user('findMany', {}, { email: { arguments: {}, selection: { x: true } } }),
  'an unknown argument': user('findMany', { nobody: 1 }),
  'an unknown field in a filter': user('findMany', { where: { nobody: 1 } }),
  'an unknown operator': user('findMany', { where: { id: { nobody: 1 } } }),
  'a value of another type': user('findMany', { where: { id: 'x' } }),
  'an unknown value of an enum': user('findMany', { where: { role: 'NOBODY' } }),
  'a missing argument': user('findUnique', {}),
  'an empty unique filter': user('findUnique', { where: {} }),
  'a missing value': user('createOne', { data: {} }),
  'a raw query without SQL': { action: 'queryRaw', query: { arguments: {}, selection: {} } },
  'a raw query of a number': {
    action: 'queryRaw',
    query: { arguments: { query: 5, parameters: '[]' }, selection: {} },
  },
};

function shown(error: Loose): Loose {
  // A misspelling in the vendor's engine that its compiler no longer has.
  const message = error.message.replace('Invalid argument agument value', 'Invalid argument value');
  return { name: error.name, message, code: error.code, kind: error.meta?.kind };
}

const alone = (prisma: Loose, query: Loose): Promise<Loose> =>
  prisma._engine
    .request(query, { isWrite: false, clientMethod: 'x' })
    .then(({ data }: Loose) => data.data ?? data, shown);

/** Returns the results of a batch, or its error. */
function batch(prisma: Loose, queries: readonly Loose[], transaction?: Loose): Promise<Loose> {
  return prisma._engine
    .requestBatch(queries, { containsWrite: false, transaction })
    .then(
      (results: readonly Loose[]) =>
        results.map((each) => (each instanceof Error ? shown(each) : (each.data.data ?? each.data))),
      shown,
    );
}

describe.each(Object.entries({ ...UNKNOWN, ...UNFIT }))('%s', (name, query) => {
  it('a query that does not fit its schema is refused as by the vendor’s engine, alone and in a transaction', async () => {
    const expected = await alone(their, query);
    expect(expected.name).toMatch(/^PrismaClient(Known|Unknown)RequestError$/);
    expect(await alone(our, query)).toEqual(expected);
    const transaction = { kind: 'batch', options: {} };
    expect(await batch(our, [good, query, good], transaction)).toEqual(
      await batch(their, [good, query, good], transaction),
    );
  });

  it('a query that does not fit its schema does not end a batch', async () => {
    const refused = await alone(their, query);
    const [before, , after] = await batch(their, [good, good, good]);
    for (const others of [good, user('createMany', { data: [] }, { count: true })]) {
      const [first, middle, last] = await batch(our, [good, query, others]);
      expect(middle).toEqual(refused);
      expect(first).toEqual(before);
      expect(last).toEqual(others === good ? after : { createManyUser: { count: 0 } });
    }
    if (!(name in UNKNOWN)) expect((await batch(their, [good, query, good]))[1]).toEqual(refused);
  });
});

it('an unknown action is refused with the message of the vendor’s engine', async () => {
  const message = "Operation 'nonsense' for model 'User' does not match any query.";
  const refused = { name: 'PrismaClientUnknownRequestError', message };
  expect(await alone(our, user('nonsense', {}))).toMatchObject(refused);
  expect(await batch(our, [user('nonsense', {}), good])).toEqual([expect.objectContaining(refused), expect.anything()]);
  await expect(our.user.aggregateRaw()).rejects.toThrow();
});

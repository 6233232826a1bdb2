import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { type BareEngine, startBareEngine } from '../support/bare-engine.ts';
import { type Loose, loadClient, schemaText } from '../support/clients.ts';
import { exchange, openEngineHttpDoor } from '../support/engine-http-door.ts';
import { seedLibrary } from '../support/library.ts';
import { openPrisma6Requests, type Prisma6Requests } from '../support/prisma6-requests.ts';
import { pushSchema } from '../support/push-schema.ts';

// While the metadata of a schema has not been read, queries of Prisma 6 are compiled with their values. The replies
// must equal those of the usual path, which takes the values out, also for values that only a hostile client sends.

let engine: BareEngine;
let unread: EngineDatabase;
let door: Prisma6Requests;
beforeAll(async () => {
  engine = await startBareEngine({ limits: { queryMs: 60_000 } });
  const { endpoint } = engine.instance;
  const directory = endpoint.kind === 'unix' ? dirname(endpoint.path) : '';
  await pushSchema(`postgresql://owner@localhost/postgres?host=${encodeURIComponent(directory)}`, 6);
  unread = engine.reopenUnread();
  door = await openPrisma6Requests([engine.database, unread], schemaText(6));
  const module = await loadClient(6);
  const seeding = await openEngineHttpDoor((request) => exchange(engine.database, request));
  const prisma = new module.PrismaClient({ datasourceUrl: seeding.prismaUrl });
  await seedLibrary(prisma, module.Prisma);
  await prisma.$disconnect();
  await seeding.close();
});
afterAll(() => engine?.close());

const LONE = '\ud800';
const TEXTS = [
  ...['2024-02-29T23:59:59.999Z', '2024-02-30T00:00:00Z', '2024-02-29', '2024-02-29T12:00:00+02:00', 'infinity', ''],
  ...['5', '-0', '01', '5.5', '1e5', '1e+21', '0x10', ' 5', 'NaN', 'Infinity', '99999999999999999999', '0.1000'],
  ...['AP8=', 'AP8', 'AP9=', '!!', '{"a":1}', '{ "a":1,"a":2 }', 'null', '[1,2]', '"x"', '{', 'x', 'ADMIN', LONE],
  ...['{"a":"\\ud800"}', '{"a":"\\\\ud800"}', '{"a":"\\u0000"}'],
];
const VALUES: readonly unknown[] = [
  ...['x', '', LONE, `a${LONE}b`, 'a\u0000b', '5', 'true', 'ADMIN', 'NOBODY', '2024-02-29T12:00:00Z', 'é😀'],
  ...[0, -0, 1.5, -1, 2147483648, 2 ** 53, 1e20, 1e300, 5e-324, true, null],
  ...[[], [1], ['x'], [null], [LONE], {}, { a: 1 }, { a: LONE }, { [LONE]: 1 }],
  ...[
    { $type: 'DateTime', value: 5 },
    { $type: 'DateTime' },
    { $type: 'Bytes', value: null },
    { $type: 'Json', value: 5 },
  ],
];
/** The tag of each field's values. */
const FIELDS: Readonly<Record<string, string>> = {
  ...{
    int: 'Nothing',
    big: 'BigInt',
    float: 'Decimal',
    decimal: 'Decimal',
    bool: 'Enum',
    text: 'Nothing',
    bytes: 'Bytes',
  },
  ...{ json: 'Json', timestamptz: 'DateTime', date: 'DateTime', role: 'Enum' },
};
const LISTS: Readonly<Record<string, string>> = { texts: 'Json', roles: 'Enum', jsons: 'Json', timestamps: 'DateTime' };

function valuesOf(tag: string): readonly unknown[] {
  return [...VALUES, ...[...new Set([tag, 'Json'])].flatMap(($type) => TEXTS.map((value) => ({ $type, value })))];
}

function queriesOf(field: string, value: unknown): Loose[] {
  const query = (action: string, args: Loose): Loose => ({
    modelName: 'Sample',
    action,
    query: { arguments: args, selection: { [field]: true } },
  });
  const isList = field in LISTS;
  return [
    query('findMany', { where: { [field]: isList || field === 'json' ? { equals: value } : value } }),
    query('findMany', { where: { [field]: isList ? { has: value } : { in: [value, value] } } }),
    query('createOne', { data: { [field]: value, required: 'r' } }),
  ];
}

async function answer(database: EngineDatabase, query: Loose): Promise<Loose> {
  const { status, body } = await (query.action === 'findMany'
    ? door.ask(database, query)
    : door.askAndUndo(database, query));
  // For an empty list only one of the two paths knows the element type.
  return { status, json: JSON.parse(body.replaceAll('"List<Enum>"', '"()"')) };
}

it.each(Object.entries({ ...FIELDS, ...LISTS }))(
  'a query with any value of %s gets the same reply before and after the metadata is read',
  async (field, tag) => {
    for (const value of valuesOf(tag)) {
      for (const query of queriesOf(field, value)) {
        const usual = await answer(engine.database, query);
        expect(await answer(unread, query), JSON.stringify(query)).toEqual(usual);
        // A bad value must fail only its own query, so the status is 200.
        expect(usual.status, JSON.stringify(query)).toBe(200);
      }
    }
  },
  240_000,
);

it('a bad value in a batch does not affect the replies of the other queries', async () => {
  const good = {
    modelName: 'User',
    action: 'findUnique',
    query: { arguments: { where: { id: 1 } }, selection: { id: true } },
  };
  const odd = (value: unknown): Loose => ({
    ...good,
    query: { arguments: { where: { email: value } }, selection: { id: true } },
  });
  const found = { data: { findUniqueUser: { id: 1 } } };
  for (const database of [engine.database, unread]) {
    for (const value of [LONE, { $type: 'Json', value: '{' }, { $type: 'DateTime', value: 'x' }]) {
      const { body } = await door.ask(database, { batch: [good, odd(value), good] });
      expect(JSON.parse(body).batchResult).toEqual([found, { errors: [expect.anything()] }, found]);
    }
  }
});

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cancellation, LARGE_BODY_BYTES } from '../../src/base/index.ts';
import type { EngineDatabase } from '../../src/engine/index.ts';
import {
  type Answer,
  type AskOptions,
  askEngine,
  type BareEngine,
  rawPlan,
  startBareEngine,
  uploadOf,
} from '../support/bare-engine.ts';
import { numberFrom } from '../support/seeded.ts';
import { countsThreadTime, inOneGo, longestTurn } from '../support/turns.ts';

// Queries whose bodies are too large to be parsed on the main loop: what they cost other queries, and that their
// answers are the same as those of small queries.

const SCHEMA = `
generator client {
  provider = "prisma-client-js"
}
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
model Note {
  id   Int       @id
  text String
  kind Kind      @default(PLAIN)
  at   DateTime?
}
enum Kind {
  PLAIN
  LOUD  @map("loud")
}
`;
const { base64, hash } = uploadOf(SCHEMA);
const PATH = `/6.19.0/${hash}`;

let engine: BareEngine;
let neighbour: EngineDatabase;
beforeAll(async () => {
  // This limit is longer than any query here may take, so that only the test ends a query.
  engine = await startBareEngine({
    limits: { queryMs: 120_000 },
    largeBodyBytes: LARGE_BODY_BYTES,
    largeBodyPrepareMs: 60_000,
  });
  neighbour = engine.neighbour();
  await engine.sql(`
    CREATE TYPE "Kind" AS ENUM ('PLAIN', 'loud');
    CREATE TABLE "Note" (id int PRIMARY KEY, text text NOT NULL, kind "Kind" NOT NULL DEFAULT 'PLAIN', at timestamp(3));
    INSERT INTO "Note" SELECT i, 't' || i % 7, CASE i % 3 WHEN 0 THEN 'loud' ELSE 'PLAIN' END::"Kind", '2026-01-01' FROM generate_series(1, 30) i`);
  for (const database of [engine.database, neighbour]) {
    expect((await askEngine(database, `${PATH}/schema`, base64, { method: 'PUT' })).status).toBe(200);
  }
});
afterAll(() => engine?.close());

const selection = { $composites: true, $scalars: true };
const find = (where: unknown, action = 'findMany', more: object = {}): object => ({
  modelName: 'Note',
  action,
  query: { arguments: { where, ...more }, selection },
});
const ask = (body: unknown, options: AskOptions = {}, database = engine.database): Promise<Answer> =>
  askEngine(database, `${PATH}/graphql`, body, options);
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => -1 - index);
/** A query that takes the compiler minutes. */
const hostile = (): object =>
  find({ OR: numbers(150_000).map((id) => ({ id: { equals: id }, text: { contains: `x${id}` } })) });

const inPlan = (list: unknown, params: object): object => ({
  operation: 'findMany',
  plan: {
    type: 'dataMap',
    args: {
      expr: {
        type: 'query',
        args: {
          type: 'templateSql',
          fragments: [
            { type: 'stringChunk', chunk: 'SELECT id FROM "Note" WHERE id IN ' },
            { type: 'parameterTuple', itemPrefix: '', itemSeparator: ',', itemSuffix: '' },
          ],
          placeholderFormat: { prefix: '$', hasNumbering: true },
          args: [list],
          argTypes: [{ arity: 'scalar', scalarType: 'int' }],
          chunkable: true,
        },
      },
      structure: {
        type: 'object',
        serializedName: null,
        fields: { id: { type: 'field', dbName: 'id', fieldType: { type: 'int', arity: 'scalar' } } },
        skipNulls: false,
      },
      enums: {},
    },
  },
  params,
});
const parameter = { prisma__type: 'param', prisma__value: { name: 'ids', type: 'Int' } };

describe.skipIf(!countsThreadTime)('a large body', () => {
  const many = numbers(500_000);
  const list = JSON.stringify(many);
  it.each([
    [
      'a query with a long list',
      '/graphql',
      () => find({ id: { in: many } }),
      { status: 200, json: { data: { findManyNote: [] } } },
    ],
    [
      'a long batch',
      '/graphql',
      () => ({ batch: numbers(6000).map((id) => find({ id, text: 'x'.repeat(300) }, 'findUnique')) }),
      { status: 200 },
    ],
    [
      'a raw query with a long list',
      '/graphql',
      () => ({
        action: 'queryRaw',
        query: { arguments: { query: 'SELECT cardinality($1::int[]) AS n', parameters: JSON.stringify([many]) } },
      }),
      { status: 200, json: { data: { queryRaw: { rows: [[many.length]] } } } },
    ],
    [
      'a plan with a long list among its parameters',
      '/query',
      () => inPlan(parameter, { ids: many }),
      { status: 200, json: { data: [] } },
    ],
    ['a plan that contains a long list', '/query', () => inPlan(many, {}), { status: 200, json: { data: [] } }],
  ])(
    '%s never blocks the main loop for longer than it takes to parse and print such a list twice',
    async (_name, path, make, expected) => {
      const bytes = Buffer.from(JSON.stringify(make()));
      expect(bytes.length).toBeGreaterThan(LARGE_BODY_BYTES);
      const twiceMs = inOneGo(() => {
        for (let time = 0; time < 2; time++) JSON.stringify(JSON.parse(list));
      });
      const { result, longestMs } = await longestTurn(() =>
        engine.ask(path === '/query' ? path : `${PATH}${path}`, bytes),
      );
      expect(result).toMatchObject(expected);
      // Before large bodies had threads, the longest block was one to seven times this bound; now it is a fifth of the
      // bound or less for most bodies.
      expect(longestMs).toBeLessThan(twiceMs);
    },
  );
});

describe('a query that occupies the compiler', () => {
  it('a query that occupies the compiler delays no query of another database, large or small, and ends with its client', async () => {
    const cancellation = new Cancellation();
    let isOver = false;
    const monster = ask(hostile(), { cancellation }).finally(() => {
      isOver = true;
    });
    const large = Buffer.from(JSON.stringify(find({ id: { in: numbers(40_000) } })));
    const answers = await Promise.all([
      // Each query has another shape, so that each is compiled.
      ...[1, 2, 3, 4, 5].map((take) => ask(find({ id: 1 }, 'findMany', { take }), {}, neighbour)),
      ask(large, {}, neighbour),
      ask(large, {}, neighbour),
    ]);
    expect(isOver).toBe(false);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    cancellation.cancel();
    expect(await monster).toMatchObject({ code: 'interrupted' });
    // The thread of the cancelled query serves other queries now.
    expect(await ask(large)).toMatchObject({ status: 200 });
    expect([engine.pool('owner').stats.leased, engine.pool('owner').stats.waiting]).toEqual([0, 0]);
  });

  it('queries of more databases than there are compiler threads take turns', async () => {
    const names = ['one', 'two', 'three', 'four', 'five'];
    const databases = names.map((name) => engine.neighbour(name));
    for (const database of databases) await askEngine(database, `${PATH}/schema`, base64, { method: 'PUT' });
    const large = Buffer.from(JSON.stringify(find({ id: { in: numbers(12_000) } })));
    const headers = { 'x-query-timeout': 'PT1S' };
    const [hostiles, answers] = await Promise.all([
      Promise.all(databases.slice(0, 2).map((database) => ask(hostile(), { headers }, database))),
      Promise.all(databases.slice(2).flatMap((database) => [1, 2, 3].map(() => ask(large, {}, database)))),
    ]);
    expect(hostiles.map(({ code }) => code)).toEqual(['query_timeout', 'query_timeout']);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    for (const database of databases) expect((await ask(large, {}, database)).status).toBe(200);
  });

  it('a query that occupies the compiler is refused when its time is up', async () => {
    expect(await ask(hostile(), { headers: { 'x-query-timeout': 'PT0.5S' } })).toMatchObject({ code: 'query_timeout' });
    expect(await ask(find({ id: 1 }))).toMatchObject({ status: 200 });
  });
});

describe('a query in a thread', () => {
  let inThread: EngineDatabase;
  beforeAll(() => {
    inThread = engine.reopen(0);
  });

  const id = fc.integer({ min: 0, max: 32 });
  const word = fc.constantFrom('t1', 't3', 'T', '', 'é', "'", 'x');
  const leaf = fc.oneof(
    fc.record({ id: fc.oneof(id, fc.record({ in: fc.array(id, { maxLength: 5 }) }), fc.record({ gt: id })) }),
    fc.record({ text: fc.oneof(word, fc.record({ contains: word }), fc.record({ not: word })) }),
    fc.record({ kind: fc.constantFrom('PLAIN', 'LOUD', 'NONE') }),
    fc.record({ at: fc.constantFrom(null, { $type: 'DateTime', value: '2026-01-01T00:00:00.000Z' }) }),
    fc.record({ nothing: id }),
  );
  const where = fc.oneof(leaf, fc.record({ OR: fc.array(leaf, { maxLength: 3 }) }), fc.record({ NOT: leaf }));
  const read = fc
    .tuple(where, fc.constantFrom('findMany', 'findFirst', 'findFirstOrThrow', 'findUnique'), fc.nat(3))
    .map(([condition, action, skip]) => find(condition, action, skip === 0 ? {} : { skip, orderBy: { id: 'asc' } }));
  const write = fc.oneof(
    fc.tuple(id, word).map(([key, text]) => ({
      modelName: 'Note',
      action: 'createOne',
      query: { arguments: { data: { id: key, text } }, selection },
    })),
    fc.tuple(where, word).map(([condition, text]) => ({
      modelName: 'Note',
      action: 'updateMany',
      query: { arguments: { where: condition, data: { text } }, selection: { count: true } },
    })),
    where.map((condition) => find(condition, 'deleteMany')),
  );
  const batch = fc
    .tuple(fc.array(fc.oneof(read, write), { maxLength: 3 }), fc.constantFrom({}, { transaction: {} }))
    .map(([queries, transaction]) => ({ batch: queries, ...transaction }));
  const body = fc.oneof({ weight: 3, arbitrary: read }, write, batch, fc.constantFrom({}, [], 'x', { action: 1 }));

  it('a query of any form is answered in a thread as on the main loop, and leaves the same rows', async () => {
    const answerOf = async (database: EngineDatabase, asked: unknown): Promise<unknown> => {
      const start = await ask({}, {}, database).then(() =>
        askEngine(database, `${PATH}/transaction/start`, { timeout: 60_000, max_wait: 60_000 }),
      );
      const under = `${PATH}/itx/${start.json.id}`;
      const answer = await askEngine(database, `${under}/graphql`, asked);
      const rows = await askEngine(database, `${under}/graphql`, find({}, 'findMany', { orderBy: { id: 'asc' } }));
      expect((await askEngine(database, `${under}/rollback`, '')).status).toBe(200);
      return { answer, rows };
    };
    await fc.assert(
      fc.asyncProperty(body, async (asked) => {
        expect(await answerOf(inThread, asked)).toEqual(await answerOf(engine.database, asked));
        expect(await ask(asked, { role: 'reader' }, inThread)).toEqual(await ask(asked, { role: 'reader' }));
      }),
      {
        seed: numberFrom('DORMOUSE_SEED', 20261123),
        numRuns: 40 * numberFrom('DORMOUSE_ROUNDS', 1),
        endOnFailure: true,
      },
    );
  });

  it('a query in a thread returns many rows, completely and in order', async () => {
    const plan = rawPlan(`SELECT i, repeat('é', i % 50) AS v FROM generate_series(1, 30000) i`);
    const there = await askEngine(inThread, '/query', plan);
    expect(there.json.data.rows).toHaveLength(30_000);
    expect(there).toEqual(await engine.ask('/query', plan));
  });

  it('a query in a thread runs in its transaction before the requests that came after it', async () => {
    const { json } = await askEngine(inThread, '/transaction/start', { timeout: 60_000, maxWait: 60_000 });
    const insert = rawPlan(`INSERT INTO "Note" VALUES (1000, 'last')`, [], 'execute');
    const [inserted, committed] = await Promise.all([
      askEngine(inThread, `/transaction/${json.id}/query`, insert),
      askEngine(inThread, `/transaction/${json.id}/commit`, ''),
    ]);
    expect([inserted.status, committed.status]).toEqual([200, 200]);
    expect(await engine.sql('DELETE FROM "Note" WHERE id = 1000 RETURNING text')).toEqual(['last']);
  });

  it('a query in a thread whose client vanishes is cancelled in Postgres and leaves no connection behind', async () => {
    const cancellation = new Cancellation();
    const asking = askEngine(inThread, '/query', rawPlan('SELECT pg_sleep(600)'), { cancellation });
    for (;;) {
      const [running] = await engine.sql(`SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`);
      if (running === '1') break;
    }
    cancellation.cancel();
    expect(await asking).toMatchObject({ code: 'interrupted' });
    expect(engine.pool('owner').stats.leased).toBe(0);
  });
});

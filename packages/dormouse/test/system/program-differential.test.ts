import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/base/index.ts';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { type Answer, type AskOptions, askEngine, type BareEngine } from '../support/bare-engine.ts';
import { type Loose, loadClient } from '../support/clients.ts';
import {
  type EngineHttpDoor,
  type Exchange,
  type ExchangeReply,
  exchange,
  openEngineHttpDoor,
} from '../support/engine-http-door.ts';
import {
  EVERY_TYPE_SCHEMA,
  everyTypeSql,
  type SampleQuery,
  sampleKeyed,
  sampleRead,
  sampleWrite,
} from '../support/every-type.ts';
import { startLibraryEngine } from '../support/library-engine.ts';
import { type Oracle, openOracle } from '../support/oracle.ts';
import { openPrisma6Requests, type Prisma6Requests } from '../support/prisma6-requests.ts';
import { sendPlan } from '../support/prisma7-requests.ts';
import { type RandomRead, randomRead } from '../support/random-queries.ts';
import { recordPlan } from '../support/recorded-plan.ts';
import { numberFrom, seeded } from '../support/seeded.ts';

// Every query goes to the engine's programs and to Prisma's runtime. Both must give the same reply, byte for byte. A
// plan is kept by its text when it comes again, so each is sent three times. DORMOUSE_SEED sets another sequence,
// DORMOUSE_ROUNDS its length.

let engine: BareEngine;
let oracle: Oracle;
let door: EngineHttpDoor;
let prisma: Loose;
/** The tags that the client's plugin adds to its queries. */
let tags: Record<string, string> = {};
/** The last replies of the program and the runtime that differ. */
let differences: { asked: string; program: ExchangeReply; runtime: ExchangeReply }[] = [];

/** The seed of the random queries. A failure names the seed that reproduces it. */
const SEED = numberFrom('DORMOUSE_SEED', 20261201);
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 1);

async function both(asked: Exchange): Promise<ExchangeReply> {
  if (asked.path !== '/query') return exchange(engine.database, asked);
  const ask = (database: EngineDatabase): Promise<ExchangeReply> => exchange(database, asked);
  const runtime = await oracle.runtime(ask);
  for (let time = 0; time < 3; time++) {
    const { said: program, byProgram } = await oracle.program(ask);
    if (program.status !== runtime.status || program.body !== runtime.body) {
      differences.push({ asked: asked.body.toString(), program, runtime });
    }
    // The plan of a query for no record (`take: 0`) has no statement, and no program is built from it.
    if (program.status === 200 && program.body !== '{"data":[]}') expect(byProgram).toBe(1);
  }
  return runtime;
}

beforeAll(async () => {
  const library = await startLibraryEngine();
  engine = library.engine;
  oracle = openOracle(engine);
  door = await openEngineHttpDoor(both);
  prisma = new library.module.PrismaClient({ accelerateUrl: door.prismaUrl, comments: [() => tags] });
});
afterAll(async () => {
  await prisma?.$disconnect();
  await door?.close();
  await engine?.close();
});

async function ask({ model, operation, args }: RandomRead): Promise<void> {
  differences = [];
  try {
    await prisma[model][operation](args);
  } catch (error) {
    // A query that the client refuses is not sent. A query that the engine refuses must be refused alike by both.
    if ((error as Loose).code === undefined) throw error;
  }
  door.rethrow();
  expect(differences).toEqual([]);
}

describe('reads of Prisma 7', () => {
  it('reads of random form by Prisma 7 get the same reply from programs as from the runtime', async () => {
    const before = engine.executions();
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(randomRead, async (read) => {
        // Every other query has comments, which must not change the reply.
        tags = asked++ % 2 === 0 ? {} : { route: `/page/${asked}` };
        await ask(read);
      }),
      { seed: SEED, numRuns: 300 * ROUNDS, endOnFailure: false },
    );
    const after = engine.executions();
    const byProgram = after.byProgram - before.byProgram;
    const handedOver = after.handedOver - before.handedOver;
    // There are three requests per query.
    expect(byProgram).toBeGreaterThan(asked * 3 * 0.4);
    expect(handedOver).toBeLessThan(asked * 3 * 0.1);
  });
});

describe('generated values', () => {
  it('generated values are new for each record, in the form of the generator', async () => {
    const before = engine.executions();
    const ids: string[] = [];
    for (let number = 100; number < 105; number++) {
      const asked = await recordPlan(await loadClient(7), (client) =>
        client.invoice.create({ data: { number: BigInt(number), amount: 1 } }),
      );
      const { body } = await exchange(engine.database, {
        method: 'POST',
        path: '/query',
        headers: {},
        body: Buffer.from(asked),
      });
      ids.push(JSON.parse(body).data.id);
    }
    expect(new Set(ids).size).toBe(5);
    for (const id of ids) expect(id).toMatch(/^c[a-z0-9]{24}$/);
    expect(engine.executions().byProgram - before.byProgram).toBe(5);
  });
});

/** A plan of one statement with one column, as Prisma 7 sends it. */
const samplePlan = (sql: string, type: string): string =>
  JSON.stringify({
    model: 'Sample',
    operation: 'findMany',
    plan: {
      type: 'dataMap',
      args: {
        expr: {
          type: 'query',
          args: {
            type: 'templateSql',
            fragments: [{ type: 'stringChunk', chunk: sql }],
            args: [],
            argTypes: [],
            placeholderFormat: { prefix: '$', hasNumbering: true },
            chunkable: false,
          },
        },
        structure: {
          type: 'object',
          serializedName: null,
          fields: { v: { type: 'field', dbName: 'v', fieldType: { arity: 'scalar', type } } },
          skipNulls: false,
        },
        enums: {},
      },
    },
    params: {},
  });

/** A plan that joins the rows of two statements, each with one column, in memory. */
function joinPlan(parent: string, child: string, on: readonly (readonly [string, string])[]): string {
  const plan = JSON.parse(samplePlan(parent, 'int'));
  const statement = plan.plan.args.expr;
  const fields = (dbName: string): object => ({
    [dbName]: { type: 'field', dbName, fieldType: { arity: 'scalar', type: 'int' } },
  });
  const { structure } = plan.plan.args;
  structure.fields = {
    ...fields('id'),
    others: { ...structure, serializedName: 'others', fields: fields('other') },
  };
  const childStatement = {
    ...statement,
    args: { ...statement.args, fragments: [{ type: 'stringChunk', chunk: child }] },
  };
  plan.plan.args.expr = {
    type: 'join',
    args: {
      parent: statement,
      children: [{ child: childStatement, on, parentField: 'others', isRelationUnique: false }],
      canAssumeStrictEquality: true,
    },
  };
  return JSON.stringify(plan);
}

/** Gives the result of the work, and the number of turns of the event loop that others had meanwhile. */
async function alongside<T>(work: () => Promise<T>): Promise<readonly [T, number]> {
  let turns = 0;
  let running = true;
  const turn = (): void => {
    turns++;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    return [await work(), turns];
  } finally {
    running = false;
  }
}

/** The replies of the runtime and of the program to a plan. */
async function bothOf(
  plan: string,
  options: AskOptions = {},
): Promise<{ readonly runtime: Answer; readonly program: Answer }> {
  const ask = (database: EngineDatabase): Promise<Answer> => askEngine(database, '/query', plan, options);
  const runtime = await oracle.runtime(ask);
  let program: Answer | undefined;
  for (let time = 0; time < 3; time++) {
    const { said, byProgram } = await oracle.program(ask);
    expect(byProgram).toBe(1);
    if (program !== undefined) expect(said).toEqual(program);
    program = said;
  }
  return { runtime, program: program as Answer };
}

describe("the comments of a client's query", () => {
  const commented = (plan: string, comments: Record<string, string>): string =>
    JSON.stringify({ ...JSON.parse(plan), comments });

  it('the comments of a query follow the statement in the form in which the runtime writes comments', async () => {
    const plan = samplePlan('SELECT current_query() AS v', 'string');
    const text = fc.string({ unit: 'grapheme', maxLength: 12 });
    const awkward = fc.constantFrom("it's */ 100%", '', '__proto__', 'ä', 'Z', 'a', '\0');
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.oneof(text, awkward), fc.oneof(text, awkward), { maxKeys: 5 }),
        async (given) => {
          const { runtime, program } = await bothOf(commented(plan, given));
          expect(program).toEqual(runtime);
          expect(program.status).toBe(200);
          if (Object.keys(given).length > 0) asked++;
        },
      ),
      { seed: SEED, numRuns: 40 },
    );
    expect(asked).toBeGreaterThan(20);
    const { program } = await bothOf(commented(plan, { b: "it's */ 100%", a: '1' }));
    expect(program.json.data).toEqual([{ v: "SELECT current_query() AS v /*a='1',b='it\\'s%20*%2F%20100%25'*/" }]);
  });

  it('the comments of a query follow also the statements that a program leaves to the runtime, and only the statements of the same request', async () => {
    const plan = JSON.parse(samplePlan('SELECT right(current_query(), 20) AS v WHERE 1 IN ', 'string'));
    const { args } = plan.plan.args.expr;
    const tuple = { type: 'parameterTuple', itemPrefix: '', itemSeparator: ',', itemSuffix: '' };
    args.fragments.push(tuple, { type: 'stringChunk', chunk: ' AND 1 IN ' }, tuple);
    args.chunkable = true;
    for (const name of ['one', 'other']) {
      args.args.push({ prisma__type: 'param', prisma__value: { name, type: 'Int' } });
      args.argTypes.push({ arity: 'scalar', scalarType: 'int', dbType: 'INTEGER' });
      // Both lists together have more values than a statement may have, so the runtime splits the statement in two.
      plan.params[name] = Array.from({ length: 20_000 }, () => 1);
    }
    const text = JSON.stringify(plan);
    const { runtime, program } = await bothOf(commented(text, { n: '7' }));
    expect(program).toEqual(runtime);
    expect(program.json.data).toHaveLength(2);
    for (const { v } of program.json.data) expect(v).toMatch(/\/\*n='7'\*\/$/);
    const plain = (await bothOf(text)).program.json.data;
    for (const { v } of plain) expect(v).toMatch(/\)$/);
  });
});

describe('the execution of a program', () => {
  it.each<[string, string, AskOptions, object]>([
    [
      'a reply that is too large',
      samplePlan("SELECT repeat('x', 100) AS v FROM generate_series(1, 50)", 'string'),
      { headers: { 'x-max-response-size': '3000' } },
      { code: 'reply_too_large' },
    ],
    [
      'a reply that becomes too large by its escapes',
      samplePlan("SELECT repeat(E'\\x01', 100) AS v FROM generate_series(1, 20)", 'string'),
      { headers: { 'x-max-response-size': '3000' } },
      { code: 'reply_too_large' },
    ],
    [
      'a statement that takes too long',
      samplePlan('SELECT pg_sleep(20)::text AS v', 'string'),
      { headers: { 'x-query-timeout': 'PT0.1S' } },
      { code: 'query_timeout' },
    ],
    ['an error of Postgres', samplePlan('SELECT 1/0 AS v', 'int'), {}, { status: 400, json: { code: 'P2039' } }],
    ['a missing table', samplePlan('SELECT v FROM nowhere', 'int'), {}, { status: 400, json: { code: 'P2021' } }],
    [
      'a role without the privilege',
      samplePlan('INSERT INTO users DEFAULT VALUES RETURNING id AS v', 'int'),
      { role: 'reader' },
      { status: 400, json: { code: 'P1010' } },
    ],
    [
      'a number that JavaScript cannot represent',
      samplePlan('SELECT 9007199254740993::int8 AS v', 'int'),
      {},
      { status: 400, json: { code: 'P2023' } },
    ],
    [
      'a type that Prisma cannot read',
      samplePlan("SELECT '(1,2)'::point AS v", 'string'),
      {},
      { json: { code: 'P2010' } },
    ],
  ])(
    'the execution of a program ends with the error of the runtime because of %s',
    async (_name, plan, options, expected) => {
      const { runtime, program } = await bothOf(plan, options);
      expect(program).toEqual(runtime);
      expect(program).toMatchObject(expected);
    },
  );

  it('a program gives the same reply as the runtime for many rows, and lets other requests have a turn', async () => {
    const plan = samplePlan("SELECT repeat('é', 10) || i AS v FROM generate_series(1, 60000) i", 'string');
    const [rows] = await alongside(async () => {
      const { runtime, program } = await bothOf(plan);
      expect(program).toEqual(runtime);
      return program.json.data.length as number;
    });
    expect(rows).toBe(60_000);
  });

  it('a program ends a join of all rows with all rows once the reply is too large, and lets other requests have a turn', async () => {
    const plan = joinPlan(
      'SELECT i AS id FROM generate_series(1, 5000) i',
      'SELECT i AS other FROM generate_series(1, 5000) i',
      [],
    );
    // The runtime would take about twelve seconds for this join.
    const [{ said, byProgram }, turns] = await alongside(() =>
      oracle.program((database) => askEngine(database, '/query', plan)),
    );
    expect(byProgram).toBe(1);
    expect(said).toMatchObject({ code: 'reply_too_large' });
    // The reply reaches four megabytes, in slices.
    expect(turns).toBeGreaterThan(8);
  });

  it('a program lets other requests have a turn during a join of many rows, and ends the join when the client is gone', async () => {
    const plan = joinPlan(
      'SELECT i AS id FROM generate_series(1, 150000) i',
      'SELECT i AS other FROM generate_series(1, 150000) i WHERE i % 100 = 0',
      [['id', 'other']],
    );
    const [{ said: answer, byProgram }, turns] = await alongside(() =>
      oracle.program((database) => askEngine(database, '/query', plan)),
    );
    expect(byProgram).toBe(1);
    expect(answer.status).toBe(200);
    expect(answer.json.data[99]).toEqual({ id: 100, others: [{ other: 100 }] });
    expect(turns).toBeGreaterThan(30);
    const cancellation = new Cancellation();
    const asking = engine.ask('/query', plan, { cancellation });
    // By then, the join is running or has not begun. The cancellation ends it in both cases.
    await new Promise((resolve) => setImmediate(resolve));
    cancellation.cancel();
    expect(await asking).toMatchObject({ code: 'interrupted' });
  });

  it('a program follows changes of the columns of a table', async () => {
    await engine.sql('CREATE TABLE changing (v int); INSERT INTO changing VALUES (1)');
    const plan = samplePlan('SELECT * FROM changing', 'int');
    const asked = async (): Promise<unknown> => (await bothOf(plan)).program.json.data;
    expect(await asked()).toEqual([{ v: 1 }]);
    await engine.sql('ALTER TABLE changing ADD COLUMN before text');
    expect(await asked()).toEqual([{ v: 1 }]);
    await engine.sql('ALTER TABLE changing ALTER COLUMN v TYPE float8 USING 1.75');
    expect(await asked()).toEqual([{ v: 1 }]);
    await engine.sql('ALTER TABLE changing ALTER COLUMN v TYPE text USING $$12$$');
    expect(await asked()).toEqual([{ v: 12 }]);
    await engine.sql('ALTER TABLE changing DROP COLUMN v');
    const { runtime, program } = await bothOf(plan);
    expect(program).toEqual(runtime);
    expect(program.status).not.toBe(200);
  });
});

let samples: Prisma6Requests;

const isError = ({ status, body }: ExchangeReply): boolean => status !== 200 || body.startsWith('{"errors"');
/**
 * A reply with data. The plan of a query for no record (`take: 0`) has no statement, and no program is built from it.
 * In a batch, each query has its own error.
 */
const ANSWER = /"data":\{"\w+":(?!\[\]\})/;

/** Asks the runtime and the program, and compares their replies. */
async function bothSay(ask: (database: EngineDatabase) => Promise<ExchangeReply>, by = oracle): Promise<ExchangeReply> {
  const runtime = await by.runtime(ask);
  // The first time, the query is planned. The second time, its plan is found by the query's text.
  for (let time = 0; time < 2; time++) {
    const { said, byProgram } = await by.program(ask);
    expect(said).toEqual(runtime);
    if (ANSWER.test(said.body)) expect(byProgram).toBeGreaterThan(0);
  }
  return runtime;
}

describe('queries of every type by the JSON protocol', () => {
  beforeAll(async () => {
    for (const statement of everyTypeSql(seeded(SEED)).split(';\n')) await engine.sql(statement);
    samples = await openPrisma6Requests([engine.database, oracle.runtimeDatabase], EVERY_TYPE_SCHEMA);
  });

  it.each<[string, fc.Arbitrary<SampleQuery>, 'ask' | 'askAndUndo', number]>([
    ['reads', sampleRead, 'ask', 400],
    ['writes', sampleWrite, 'askAndUndo', 200],
  ])(
    '%s of every type by the JSON protocol get the same reply from programs as from the runtime',
    async (_name, arbitrary, ask, numRuns) => {
      const before = engine.executions();
      let asked = 0;
      let errors = 0;
      await fc.assert(
        fc.asyncProperty(arbitrary, async (query) => {
          asked++;
          const runtime = await bothSay((database) => samples[ask](database, query));
          if (isError(runtime)) errors++;
        }),
        { seed: SEED, numRuns: numRuns * ROUNDS, endOnFailure: false },
      );
      const after = engine.executions();
      const byProgram = after.byProgram - before.byProgram;
      expect(errors).toBeLessThan(asked * 0.3);
      expect(byProgram).toBeGreaterThan(asked * 0.5);
    },
  );

  it('queries of every type in a batch get the same reply from programs as from the runtime', async () => {
    const before = engine.executions();
    const batch = fc.tuple(fc.array(sampleRead, { minLength: 2, maxLength: 3 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(batch, async ([queries, together]) => {
        const asked = { batch: queries, ...(together ? { transaction: {} } : {}) };
        await bothSay((database) => samples.ask(database, asked));
      }),
      { seed: SEED, numRuns: 60 * ROUNDS, endOnFailure: false },
    );
    expect(engine.executions().byProgram - before.byProgram).toBeGreaterThan(60 * ROUNDS);
  });

  it('findUniques of every type that are compiled to one query get the same replies from programs as from the runtime', async () => {
    const before = engine.executions();
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(sampleKeyed, async (queries) => {
        asked++;
        await bothSay((database) => samples.ask(database, { batch: queries }));
      }),
      { seed: SEED, numRuns: 100 * ROUNDS, endOnFailure: false },
    );
    // Half of the records contain a rare value.
    expect(engine.executions().byProgram - before.byProgram).toBeGreaterThan(asked * 0.3);
  });

  it('queries of every type get the same reply from programs as from the runtime also in a thread for large bodies', async () => {
    const there = openOracle(engine, 0);
    const doors = await openPrisma6Requests([there.database, there.runtimeDatabase], EVERY_TYPE_SCHEMA);
    const kinds: [fc.Arbitrary<SampleQuery>, 'ask' | 'askAndUndo'][] = [
      [sampleRead, 'ask'],
      [sampleWrite, 'askAndUndo'],
    ];
    for (const [arbitrary, ask] of kinds) {
      await fc.assert(
        fc.asyncProperty(arbitrary, async (query) => {
          await bothSay((database) => doors[ask](database, query), there);
        }),
        { seed: SEED, numRuns: 30 * ROUNDS, endOnFailure: false },
      );
    }
    const plan = samplePlan('SELECT i AS v FROM generate_series(1, 3) i', 'int');
    const reply = await bothSay((database) => sendPlan(database, plan), there);
    expect(reply.body).toBe('{"data":[{"v":1},{"v":2},{"v":3}]}');
  });
});

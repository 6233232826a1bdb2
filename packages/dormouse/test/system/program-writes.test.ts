import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import type { BareEngine } from '../support/bare-engine.ts';
import type { Loose } from '../support/clients.ts';
import {
  type EngineHttpDoor,
  type Exchange,
  type ExchangeReply,
  exchange,
  openEngineHttpDoor,
} from '../support/engine-http-door.ts';
import { type KeptTables, keepTables, LIBRARY_TABLES } from '../support/kept-tables.ts';
import { startLibraryEngine } from '../support/library-engine.ts';
import { type Oracle, openOracle } from '../support/oracle.ts';
import { randomManyWrite } from '../support/random-many-writes.ts';
import { type RandomWrite, randomWrite } from '../support/random-writes.ts';
import { numberFrom } from '../support/seeded.ts';

// Every write goes to Prisma's runtime and to the engine's programs, each over the same rows. Both must give the same
// reply, byte for byte, and leave the same rows. DORMOUSE_SEED sets another sequence, DORMOUSE_ROUNDS its length (90
// writes per round).

let engine: BareEngine;
let oracle: Oracle;
let door: EngineHttpDoor;
let prisma: Loose;
let tables: KeptTables;
/** Headers that are added to each request. */
let headers: Record<string, string> = {};
let asked: { readonly runtime: Outcome; readonly program: Outcome }[] = [];

interface Outcome extends ExchangeReply {
  readonly rows: string;
}

/** The seed of the random queries. A failure names the seed that reproduces it. */
const SEED = numberFrom('DORMOUSE_SEED', 20261201);
const RUNS = 90 * numberFrom('DORMOUSE_ROUNDS', 1);

async function outcome(ask: () => Promise<ExchangeReply>): Promise<Outcome> {
  await tables.restore();
  const reply = await ask();
  // The executions happen at different times, so `now` differs.
  const touched = reply.body.replace(
    /("updatedAt":\{"\$type":"DateTime","value":")20(?:2[5-9]|[3-9]\d)[^"]*/g,
    '$1touched',
  );
  return { status: reply.status, body: touched, rows: await tables.rows() };
}

async function both(request: Exchange): Promise<ExchangeReply> {
  if (request.path !== '/query') return exchange(engine.database, request);
  const ask = (database: EngineDatabase): Promise<ExchangeReply> =>
    exchange(database, { ...request, headers: { ...request.headers, ...headers } });
  const runtime = await outcome(() => oracle.runtime(ask));
  const program = async (): Promise<ExchangeReply> => {
    const { said, byProgram } = await oracle.program(ask);
    // A write of an empty list has no statement. A malformed write is refused before any statement.
    if (said.status === 200 && said.body !== '{"data":[]}' && said.body !== '{"data":{"count":0}}') {
      expect(byProgram).toBe(1);
    }
    return said;
  };
  asked.push({ runtime, program: await outcome(program) });
  await program();
  // From the third time on, a plan is found by its text.
  asked.push({ runtime, program: await outcome(program) });
  return runtime;
}

beforeAll(async () => {
  const library = await startLibraryEngine();
  engine = library.engine;
  oracle = openOracle(engine);
  tables = await keepTables(engine, LIBRARY_TABLES);
  door = await openEngineHttpDoor(both);
  prisma = new library.module.PrismaClient({ accelerateUrl: door.prismaUrl });
});
afterAll(async () => {
  await prisma?.$disconnect();
  await door?.close();
  await engine?.close();
});

/** Compares a write by the runtime and by programs. Gives the status of the reply. */
async function write({ model, operation, args }: RandomWrite): Promise<number> {
  asked = [];
  try {
    await prisma[model][operation](args);
  } catch (error) {
    // A write that the client refuses is not sent. A write that the engine refuses must be refused alike by both.
    if ((error as Loose).code === undefined && asked.length > 0) throw error;
  }
  door.rethrow();
  for (const { runtime, program } of asked) expect(program).toEqual(runtime);
  return asked[0]?.runtime.status ?? 0;
}

describe('writes of Prisma 7', () => {
  it.each<[string, fc.Arbitrary<RandomWrite>]>([
    ['of random form', randomWrite],
    ['of many records or with deep nesting', randomManyWrite],
  ])('%s give the same reply and leave the same rows', async (_name, arbitrary) => {
    const before = engine.executions();
    let done = 0;
    await fc.assert(
      fc.asyncProperty(arbitrary, async (each) => {
        if ((await write(each)) === 200) done++;
      }),
      { seed: SEED, numRuns: RUNS, endOnFailure: false },
    );
    const after = engine.executions();
    expect(done).toBeGreaterThan(RUNS * 0.3);
    // There are three requests per write.
    expect(after.handedOver - before.handedOver).toBeLessThan(done * 3 * 0.1);
  });

  it('that fail at their commit give the same error and leave no rows', async () => {
    await engine.sql(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514', CONSTRAINT = 'deferred_check'; END $$;
       CREATE CONSTRAINT TRIGGER refusing AFTER INSERT ON posts DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (NEW.title = 'refused') EXECUTE FUNCTION refuse()`,
    );
    const status = await write({
      model: 'user',
      operation: 'update',
      args: {
        where: { id: 1 },
        data: {
          updatedAt: new Date(0),
          posts: {
            create: [
              { id: 30, title: 'fine' },
              { id: 31, title: 'refused' },
            ],
          },
        },
      },
    });
    expect(status).toBe(400);
    await tables.restore();
    expect(asked[0]?.program.rows).toBe(await tables.rows());
  });

  it('with a reply that is too large are rolled back', async () => {
    await tables.restore();
    const before = await tables.rows();
    asked = [];
    headers = { 'x-max-response-size': '4000' };
    await prisma.post
      .updateManyAndReturn({ data: { body: 'x'.repeat(2000) }, include: { author: true } })
      .catch(() => undefined);
    headers = {};
    const [pair] = asked;
    expect(JSON.parse(pair?.program.body ?? '')).toMatchObject({ code: 'P6009' });
    expect(pair?.program).toEqual(pair?.runtime);
    expect(pair?.program.rows).toBe(before);
  });

  it('with a reply that cannot be written are rolled back', async () => {
    // Prisma reads the column as an Int, and JavaScript cannot represent its value.
    await engine.sql(
      'DROP VIEW author_stats; ALTER TABLE posts ALTER views TYPE bigint; ALTER TABLE kept.posts ALTER views TYPE bigint',
    );
    for (const views of [5, 9_007_199_254_740_993n]) {
      await engine.sql(`UPDATE kept.posts SET views = ${views}`);
      const status = await write({
        model: 'post',
        operation: 'update',
        args: { where: { id: 1 }, data: { title: 'Changed', categories: { connect: { id: 3 } } } },
      });
      expect(status).toBe(views === 5 ? 200 : 400);
      await tables.restore();
      expect((await tables.rows()) === asked[0]?.program.rows).toBe(views !== 5);
    }
  });
});

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import type { BareEngine } from '../support/bare-engine.ts';
import type { Loose } from '../support/clients.ts';
import {
  type EngineDoor,
  type Exchange,
  type ExchangeReply,
  exchange,
  openEngineDoor,
} from '../support/engine-door.ts';
import { type KeptTables, keepTables, LIBRARY_TABLES } from '../support/kept-tables.ts';
import { startLibraryEngine } from '../support/library-engine.ts';
import { type Oracle, openOracle } from '../support/oracle.ts';
import { randomManyWrite } from '../support/random-many-writes.ts';
import { type RandomWrite, randomWrite } from '../support/random-writes.ts';
import { numberFrom } from '../support/seeded.ts';

// Every write goes to Prisma's runtime and to the engine's programs, each over the same rows: the same reply, byte
// for byte, and the same rows afterwards. DORMOUSE_SEED makes another sequence, DORMOUSE_ROUNDS longer ones (90 writes
// a round).

let engine: BareEngine;
let oracle: Oracle;
let door: EngineDoor;
let prisma: Loose;
let tables: KeptTables;
/** Sent along with each request. */
let headers: Record<string, string> = {};
let asked: { readonly runtime: Outcome; readonly program: Outcome }[] = [];

interface Outcome extends ExchangeReply {
  readonly rows: string;
}

/** The seed of what is asked. A failure names its own. */
const SEED = numberFrom('DORMOUSE_SEED', 20261201);
const RUNS = 90 * numberFrom('DORMOUSE_ROUNDS', 1);

async function outcome(ask: () => Promise<ExchangeReply>): Promise<Outcome> {
  await tables.restore();
  const reply = await ask();
  // Two moments: `now` is not the same.
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
    // A list without an element is written by no statement, and what is not well formed is refused before any.
    if (said.status === 200 && said.body !== '{"data":[]}' && said.body !== '{"data":{"count":0}}') {
      expect(byProgram).toBe(1);
    }
    return said;
  };
  asked.push({ runtime, program: await outcome(program) });
  await program();
  // The third time a plan is known by its text.
  asked.push({ runtime, program: await outcome(program) });
  return runtime;
}

beforeAll(async () => {
  const library = await startLibraryEngine();
  engine = library.engine;
  oracle = openOracle(engine);
  tables = await keepTables(engine, LIBRARY_TABLES);
  door = await openEngineDoor(both);
  prisma = new library.module.PrismaClient({ accelerateUrl: door.prismaUrl });
});
afterAll(async () => {
  await prisma?.$disconnect();
  await door?.close();
  await engine?.close();
});

/** Asks both; gives the reply's status. */
async function write({ model, operation, args }: RandomWrite): Promise<number> {
  asked = [];
  try {
    await prisma[model][operation](args);
  } catch (error) {
    // What the client refuses before sending it compares nothing; what the engine refuses, both must refuse alike.
    if ((error as Loose).code === undefined && asked.length > 0) throw error;
  }
  door.rethrow();
  for (const { runtime, program } of asked) expect(program).toEqual(runtime);
  return asked[0]?.runtime.status ?? 0;
}

describe('writes of Prisma 7', () => {
  it.each<[string, fc.Arbitrary<RandomWrite>]>([
    ['of random form', randomWrite],
    ['of many records, and deep ones', randomManyWrite],
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
    // Of three requests a write.
    expect(after.handedOver - before.handedOver).toBeLessThan(done * 3 * 0.1);
  });

  it('that fail only when they commit fail alike, and leave nothing', async () => {
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

  it('whose reply is too large are rolled back', async () => {
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

  it('whose reply cannot be written are rolled back', async () => {
    // Prisma reads it as an Int, and JavaScript has no such number.
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

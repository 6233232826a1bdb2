import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { type BareEngine, startBareEngine } from '../support/bare-engine.ts';
import type { ExchangeReply } from '../support/engine-http-door.ts';
import { keepTables } from '../support/kept-tables.ts';
import { type Oracle, openOracle } from '../support/oracle.ts';
import { openPrisma6Requests, type Prisma6Requests } from '../support/prisma6-requests.ts';
import { openPrisma7Requests, type Prisma7Requests, sendPlan, sendPlanWithin } from '../support/prisma7-requests.ts';
import { pushSchemaText } from '../support/push-schema.ts';
import { randomSchema } from '../support/random-schema.ts';
import { type ModelQuery, ModelReads } from '../support/random-schema-reads.ts';
import { ModelWrites } from '../support/random-schema-writes.ts';
import { numberFrom, seeded } from '../support/seeded.ts';

// Random data models with random rows: random reads and writes go to Prisma's runtime and to the engine's programs.
// Both must give the same reply, byte for byte, and leave the same rows. DORMOUSE_SEED sets another sequence,
// DORMOUSE_ROUNDS the number of models.

const SEED = numberFrom('DORMOUSE_SEED', 20261201);
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 4);
const READS = 60;
const WRITES = 60;

/** Times and ids that are generated anew for each execution. Only their length is compared. */
const GENERATED =
  /"(20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT[^"]*|[a-z][a-z\d]{23,24}|[\dA-HJKMNP-TV-Z]{26}|[\w-]{21}|(?!00000000|7b7f3c4e)[\da-f]{8}-[\da-f]{4}-[47][\da-f-]{21})"/g;
const equalize = (text: string): string =>
  text.replace(GENERATED, (_whole, value: string) =>
    value.includes('T') && value.includes(':') ? '"now"' : `"generated ${value.length}"`,
  );

/** The number of queries, and of their replies by kind. */
interface Seen {
  asked: number;
  /** Replies that contain data. */
  full: number;
  /** Replies that refuse the query. */
  refused: number;
  /** Queries that a program executed each time, wholly or except for rare values. */
  byProgram: number;
  /** Queries that were sent as plans, as Prisma 7 does. The others were sent as JSON queries, as Prisma 6 does. */
  plans: number;
}
type Kind = 'reads' | 'writes';
/** The counts over all rounds. */
const seen: Record<Kind, Seen> = {
  reads: { asked: 0, full: 0, refused: 0, byProgram: 0, plans: 0 },
  writes: { asked: 0, full: 0, refused: 0, byProgram: 0, plans: 0 },
};
let engine: BareEngine;
let oracle: Oracle;
let postgresUrl = '';

beforeAll(async () => {
  console.log(`random schemas: DORMOUSE_SEED=${SEED} DORMOUSE_ROUNDS=${ROUNDS}`);
  engine = await startBareEngine({ limits: { queryMs: 60_000, schemasMax: ROUNDS + 1 } });
  oracle = openOracle(engine);
  const { endpoint } = engine.instance;
  const directory = endpoint.kind === 'unix' ? dirname(endpoint.path) : '';
  postgresUrl = `postgresql://owner@localhost/postgres?host=${encodeURIComponent(directory)}`;
});
afterAll(async () => {
  await engine?.close();
});

/** One query, as one of the two protocols sends it. */
interface Asked {
  readonly isPlan: boolean;
  ask(database: EngineDatabase): Promise<ExchangeReply>;
}

describe.each(Array.from({ length: ROUNDS }, (_, round) => round))('random schema %i', (round) => {
  const random = seeded(SEED).branch(`schema ${round}`);
  const schema = randomSchema(random.branch('models'));
  let json: Prisma6Requests;
  let plans: Prisma7Requests;

  beforeAll(async () => {
    await engine.sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    await pushSchemaText(postgresUrl, schema.text);
    await engine.sql(schema.rows);
    json = await openPrisma6Requests([engine.database, oracle.runtimeDatabase], schema.text);
    plans = openPrisma7Requests(schema.text);
  });
  afterAll(async () => {
    await plans?.close();
  });

  /**
   * Chooses the protocol. Queries alternate between the two protocols, and plans alternate between running alone and in
   * a transaction. A query that the compiler refuses has no plan, so only the protocol of Prisma 6 can send it.
   */
  async function protocol(query: ModelQuery, number: number): Promise<Asked> {
    const body = number % 2 === 0 ? undefined : await plans.plan(query).catch(() => undefined);
    return body === undefined
      ? { isPlan: false, ask: (database) => json.ask(database, query) }
      : { isPlan: true, ask: (database) => (number % 4 === 1 ? sendPlanWithin : sendPlan)(database, body) };
  }

  const told = (query: ModelQuery): string =>
    `DORMOUSE_SEED=${SEED}, schema ${round}: ${JSON.stringify(query)}\n${schema.text}`;

  function note(kind: Kind, { isPlan }: Asked, { status, body }: ExchangeReply, byProgram: boolean): void {
    const counts = seen[kind];
    counts.asked++;
    if (status !== 200 || body.startsWith('{"errors"')) counts.refused++;
    // The plan of a query for no record (`take: 0`) has no statement, and no program is built from it.
    else if (!/:\[\]\}?\}$/.test(body)) expect.soft(byProgram, body).toBe(true);
    if (!/^\{"(?:errors|data":(?:\{"\w+":)?(?:null|\[\]|\{"count":0\})\}?\}$)/.test(body)) counts.full++;
    if (byProgram) counts.byProgram++;
    if (isPlan) counts.plans++;
  }

  it('random reads get the same reply from programs as from the runtime', async () => {
    const reads = new ModelReads(schema, random.branch('reads'));
    for (let number = 0; number < READS; number++) {
      const query = reads.next();
      const asked = await protocol(query, number);
      const runtime = await oracle.runtime(asked.ask);
      // From the third time on, a plan is found by its text.
      let byProgram = 0;
      for (let time = 0; time < 3; time++) {
        const program = await oracle.program(asked.ask);
        expect.soft(program.said, told(query)).toEqual(runtime);
        byProgram += program.byProgram;
      }
      note('reads', asked, runtime, byProgram === 3);
    }
  });

  it('random writes get the same reply and leave the same rows, by programs and by the runtime', async () => {
    const writes = new ModelWrites(schema, random.branch('writes'));
    const { tables, sequences } = schema;
    const kept = await keepTables(engine, { tables, sequences, equalize });
    const outcome = async (ask: () => Promise<ExchangeReply>): Promise<ExchangeReply & { rows: string }> => {
      await kept.restore();
      const { status, body } = await ask();
      return { status, body: equalize(body), rows: await kept.rows() };
    };
    for (let number = 0; number < WRITES; number++) {
      const query = writes.next();
      const asked = await protocol(query, number);
      const runtime = await outcome(() => oracle.runtime(asked.ask));
      let byProgram = 0;
      const program = async (): Promise<ExchangeReply> => {
        const { said, byProgram: more } = await oracle.program(asked.ask);
        byProgram += more;
        return said;
      };
      expect.soft(await outcome(program), told(query)).toEqual(runtime);
      await program();
      // From the third time on, a plan is found by its text.
      expect.soft(await outcome(program), told(query)).toEqual(runtime);
      note('writes', asked, runtime, byProgram === 3);
    }
  });
});

it('programs executed most of the random queries, and most replies had data to compare', () => {
  console.log(`random schemas: ${JSON.stringify(seen)}`);
  const { reads, writes } = seen;
  expect([reads.asked, writes.asked]).toEqual([ROUNDS * READS, ROUNDS * WRITES]);
  for (const { asked, plans, refused, full } of [reads, writes]) {
    expect(plans).toBeGreaterThan(asked * 0.3);
    expect(refused).toBeLessThan(asked * 0.4);
    expect(full).toBeGreaterThan(asked * 0.4);
  }
  expect(reads.byProgram).toBeGreaterThan(reads.asked * 0.9);
  expect(writes.byProgram).toBeGreaterThan(writes.asked * 0.9);
});

import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { type BareEngine, startBareEngine } from '../support/bare-engine.ts';
import type { ExchangeReply } from '../support/engine-door.ts';
import { type JsonDoor, openJsonDoor } from '../support/json-door.ts';
import { keepTables } from '../support/kept-tables.ts';
import { type Oracle, openOracle } from '../support/oracle.ts';
import { openPlanDoor, type PlanDoor, sendPlan, sendPlanWithin } from '../support/plan-door.ts';
import { pushSchemaText } from '../support/push-schema.ts';
import { randomSchema } from '../support/random-schema.ts';
import { type ModelQuery, ModelReads } from '../support/random-schema-reads.ts';
import { ModelWrites } from '../support/random-schema-writes.ts';
import { numberFrom, seeded } from '../support/seeded.ts';

// Random data models with random rows: random reads and writes go to Prisma's runtime and to the engine's programs,
// which must reply the same, byte for byte, and leave the same rows. DORMOUSE_SEED makes another sequence,
// DORMOUSE_ROUNDS more models.

const SEED = numberFrom('DORMOUSE_SEED', 20261201);
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 4);
const READS = 60;
const WRITES = 60;

/** Moments and ids that are made anew: of the same length, if nothing else. */
const MADE =
  /"(20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT[^"]*|[a-z][a-z\d]{23,24}|[\dA-HJKMNP-TV-Z]{26}|[\w-]{21}|(?!00000000|7b7f3c4e)[\da-f]{8}-[\da-f]{4}-[47][\da-f-]{21})"/g;
const equalize = (text: string): string =>
  text.replace(MADE, (_whole, made: string) =>
    made.includes('T') && made.includes(':') ? '"now"' : `"made ${made.length}"`,
  );

/** How often something was asked, and what came of it. */
interface Seen {
  asked: number;
  /** Replies with something in them. */
  full: number;
  /** Replies that say what is wrong with the query. */
  refused: number;
  /** Those that a compiled plan answered each time, whole or but for a value of a rare form. */
  byProgram: number;
  /** Of all asked, those that were plans of Prisma 7; the others were queries of Prisma 6. */
  plans: number;
}
type Kind = 'reads' | 'writes';
/** Over all rounds. */
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

/** One query as one of the two protocols sends it. */
interface Asked {
  readonly isPlan: boolean;
  ask(database: EngineDatabase): Promise<ExchangeReply>;
}

describe.each(Array.from({ length: ROUNDS }, (_, round) => round))('random schema %i', (round) => {
  const random = seeded(SEED).branch(`schema ${round}`);
  const schema = randomSchema(random.branch('models'));
  let json: JsonDoor;
  let plans: PlanDoor;

  beforeAll(async () => {
    await engine.sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    await pushSchemaText(postgresUrl, schema.text);
    await engine.sql(schema.rows);
    json = await openJsonDoor([engine.database, oracle.runtimeDatabase], schema.text);
    plans = openPlanDoor(schema.text);
  });
  afterAll(async () => {
    await plans?.close();
  });

  /**
   * The protocols take turns, and so do plans by themselves and in a transaction; what is refused before there is a
   * plan only 6 asks us.
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
    // Of nothing (`take: 0`) there is a plan without a statement, which is not worth a program.
    else if (!/:\[\]\}?\}$/.test(body)) expect.soft(byProgram, body).toBe(true);
    if (!/^\{"(?:errors|data":(?:\{"\w+":)?(?:null|\[\]|\{"count":0\})\}?\}$)/.test(body)) counts.full++;
    if (byProgram) counts.byProgram++;
    if (isPlan) counts.plans++;
  }

  it('reads get the same reply', async () => {
    const reads = new ModelReads(schema, random.branch('reads'));
    for (let number = 0; number < READS; number++) {
      const query = reads.next();
      const asked = await protocol(query, number);
      const runtime = await oracle.runtime(asked.ask);
      // The third time a plan is known by its text.
      let byProgram = 0;
      for (let time = 0; time < 3; time++) {
        const program = await oracle.program(asked.ask);
        expect.soft(program.said, told(query)).toEqual(runtime);
        byProgram += program.byProgram;
      }
      note('reads', asked, runtime, byProgram === 3);
    }
  });

  it('writes get the same reply and leave the same rows', async () => {
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
      // The third time a plan is known by its text.
      expect.soft(await outcome(program), told(query)).toEqual(runtime);
      note('writes', asked, runtime, byProgram === 3);
    }
  });
});

it("most of it was the executor's, and had something to compare", () => {
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

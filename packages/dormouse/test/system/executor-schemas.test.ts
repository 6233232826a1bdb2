import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BareEngine, startBareEngine } from '../support/bare-engine.ts';
import type { ExchangeReply } from '../support/engine-door.ts';
import { type JsonDoor, openJsonDoor, SEEN } from '../support/json-door.ts';
import { keepTables } from '../support/kept-tables.ts';
import { openPlanDoor, type PlanDoor } from '../support/plan-door.ts';
import { pushSchemaText } from '../support/push-schema.ts';
import { randomSchema } from '../support/random-schema.ts';
import { type ModelQuery, ModelReads } from '../support/random-schema-reads.ts';
import { ModelWrites } from '../support/random-schema-writes.ts';
import { numberFrom, seeded } from '../support/seeded.ts';

// Random data models with random rows: random reads and writes go to Prisma's runtime and to the engine's own executor, which must reply
// the same, byte for byte, and leave the same rows. DORMOUSE_SEED makes another sequence, DORMOUSE_ROUNDS more models.

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
  /** Replies that were the executor's, whole or but for a value of a rare form. */
  compiled: number;
  /** Of all asked, those that were plans of Prisma 7; the others were queries of Prisma 6. */
  plans: number;
}
type Kind = 'reads' | 'writes';
/** Over all rounds. */
const seen: Record<Kind, Seen> = {
  reads: { asked: 0, full: 0, refused: 0, compiled: 0, plans: 0 },
  writes: { asked: 0, full: 0, refused: 0, compiled: 0, plans: 0 },
};
let engine: BareEngine;
let postgresUrl = '';

beforeAll(async () => {
  console.log(`random schemas: DORMOUSE_SEED=${SEED} DORMOUSE_ROUNDS=${ROUNDS}`);
  engine = await startBareEngine({ limits: { queryMs: 60_000, schemasMax: ROUNDS + 1 } });
  const { endpoint } = engine.instance;
  const directory = endpoint.kind === 'unix' ? dirname(endpoint.path) : '';
  postgresUrl = `postgresql://owner@localhost/postgres?host=${encodeURIComponent(directory)}`;
});
afterAll(async () => {
  await engine?.close();
});

/** One query as one of the two sends it: to the runtime, and to the executor. */
interface Asked {
  readonly isPlan: boolean;
  runtime(): Promise<ExchangeReply>;
  executor(): Promise<ExchangeReply>;
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
    json = await openJsonDoor(engine.database, schema.text);
    plans = openPlanDoor(engine.database, schema.text);
  });
  afterAll(async () => {
    await plans?.close();
  });

  /** The protocols take turns; what is refused before there is a plan only Prisma 6 asks us. */
  async function protocol(query: ModelQuery, number: number): Promise<Asked> {
    const body = number % 2 === 0 ? undefined : await plans.plan(query).catch(() => undefined);
    if (body === undefined) {
      return { isPlan: false, runtime: () => json.ask(query, SEEN), executor: () => json.ask(query, {}) };
    }
    return { isPlan: true, runtime: () => plans.send(` ${body}`), executor: () => plans.send(body) };
  }

  const told = (query: ModelQuery): string =>
    `DORMOUSE_SEED=${SEED}, schema ${round}: ${JSON.stringify(query)}\n${schema.text}`;
  const executed = (): number => engine.executions().compiled + engine.executions().handedOver;

  function note(kind: Kind, { isPlan }: Asked, { status, body }: ExchangeReply, compiled: boolean): void {
    const counts = seen[kind];
    counts.asked++;
    if (status !== 200 || body.startsWith('{"errors"')) counts.refused++;
    else if (!/^\{"data":(?:\{"\w+":)?(?:null|\[\]|\{"count":0\})\}?\}$/.test(body)) counts.full++;
    if (compiled) counts.compiled++;
    if (isPlan) counts.plans++;
  }

  it('reads get the same reply', async () => {
    const reads = new ModelReads(schema, random.branch('reads'));
    for (let number = 0; number < READS; number++) {
      const query = reads.next();
      const asked = await protocol(query, number);
      const runtime = await asked.runtime();
      await asked.executor();
      const before = executed();
      // A plan is compiled when it comes again; after that it is known by its text.
      for (let time = 0; time < 2; time++) expect.soft(await asked.executor(), told(query)).toEqual(runtime);
      note('reads', asked, runtime, executed() > before);
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
      const runtime = await outcome(asked.runtime);
      for (let time = 0; time < 2; time++) await asked.executor();
      const before = executed();
      expect.soft(await outcome(asked.executor), told(query)).toEqual(runtime);
      note('writes', asked, runtime, executed() > before);
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
  expect(reads.compiled).toBeGreaterThan(reads.asked * 0.7);
  // Of what fails nothing is counted; Prisma 6's createMany is planned anew each time.
  expect(writes.compiled).toBeGreaterThan(writes.asked * 0.5);
});

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Loose, loadClient } from '../support/clients.ts';
import { counterText, Ledger, type SeenEvent } from '../support/ledger.ts';
import { FAULTS, pickFault, stateOf, type Victim } from '../support/life-faults.ts';
import { type Door, prismaDoor, rawDoor, sessionDoor, Writer } from '../support/life-writers.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema, runSql } from '../support/push-schema.ts';
import { processesOf } from '../support/reaper.mjs';
import { recordPlan } from '../support/recorded-plan.ts';
import { numberFrom, seeded, seedFromEnvironment } from '../support/seeded.ts';
import { checkSubscriber, NamedSubscriber, readWholeLog, type StreamSource, tailOf } from '../support/stream-reader.ts';
import { clientOptions } from '../support/target.ts';
import { until } from '../support/until.ts';

// Writes through both doors while platform and Postgres are killed, suspended, stopped and started, round after round.
// DORMOUSE_SEED repeats the sequence of faults, DORMOUSE_ROUNDS lengthens it.
const SEED = seedFromEnvironment();
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 50);
/**
 * Upper bound of one round, including the writes that prove that the platform goes on; a round takes a second or two.
 */
const ROUND_MS = 60_000;

const LIMIT_S = 10;
const FLAGS = [
  '--suspend-after',
  '300ms',
  '--stop-after',
  '2s',
  '--wake-timeout',
  `${LIMIT_S}s`,
  '--query-timeout',
  `${LIMIT_S}s`,
];
/**
 * Within this time every request gets a reply or the end of its connection. It is the sum of the wake, the query, the
 * margin of the call, and the four tries of Prisma 6.
 */
const ANSWER_MS = 4 * (2 * LIMIT_S + 5) * 1000;

let platform: Platform;
let database: DatabaseUrls;
let source: StreamSource;

beforeAll(async () => {
  console.log(`fault test: DORMOUSE_SEED=${SEED} DORMOUSE_ROUNDS=${ROUNDS}`);
  platform = await startPlatform({ flags: FLAGS });
  database = await platform.createDatabase('life');
  await pushSchema(database.postgresUrl, 7);
  source = { base: () => platform.http, apiKey: database.apiKey as string, table: 'public.samples' };
});
afterAll(async () => {
  await platform?.stop();
});

/** The writer's own counter: each of its counting transactions adds one. */
async function makeCounter(writer: string): Promise<string> {
  const id = randomUUID();
  await runSql(
    database.postgresUrl,
    `INSERT INTO samples (id, text, int) VALUES ('${id}', '${counterText(writer)}', 0)`,
  );
  return id;
}

async function openDoors(random: ReturnType<typeof seeded>): Promise<Door[]> {
  const doors: Door[] = [];
  const seven = await loadClient(7);
  const six = await loadClient(6);
  const prisma = async (writer: string, version: 6 | 7, module: Loose): Promise<Door> =>
    prismaDoor(
      writer,
      version,
      new module.PrismaClient(clientOptions(version, database.prismaUrl)),
      await makeCounter(writer),
      random.branch(`forms of ${writer}`),
    );
  doors.push(await prisma('prisma7-a', 7, seven), await prisma('prisma7-b', 7, seven), await prisma('prisma6', 6, six));
  for (const writer of ['session-a', 'session-b']) {
    await makeCounter(writer);
    doors.push(sessionDoor(writer, () => database.postgresUrl, ANSWER_MS));
  }
  const plan = await recordPlan(seven, (client) =>
    client.sample.create({ data: { text: 'RECORDED' }, select: { id: true } }),
  );
  expect(plan).toContain('RECORDED');
  doors.push(rawDoor('raw', () => platform.http, database.apiKey as string, plan, 'RECORDED'));
  return doors;
}

async function readRows(): Promise<{ rows: string[]; counters: Map<string, number> }> {
  const client = new pg.Client({ connectionString: database.postgresUrl });
  await client.connect();
  try {
    const result = await client.query<{ text: string; int: number | null }>('SELECT text, int FROM samples');
    const isCounter = ({ text }: { text: string }): boolean => text.startsWith(counterText(''));
    return {
      rows: result.rows.filter((row) => !isCounter(row)).map((row) => row.text),
      counters: new Map(
        result.rows.filter(isCounter).map(({ text, int }) => [text.slice(counterText('').length), int as number]),
      ),
    };
  } finally {
    await client.end();
  }
}

it(
  'the platform loses no acknowledged write and no event, whatever is killed',
  async () => {
    const random = seeded(SEED);
    const subscriber = new NamedSubscriber(source, 'life');
    await until(() => subscriber.place !== '', { what: 'the subscriber has its place' });
    const ledger = new Ledger();
    const doors = await openDoors(random);
    const writers = doors.map((door) => new Writer(door, ledger, random.branch(door.writer), ANSWER_MS));
    const victim: Victim = { platform, database, writers, random: random.branch('faults') };
    const chosen = new Map<string, number>();

    for (let round = 0; round < ROUNDS; round++) {
      // The first rounds inject every fault once, whatever the seed.
      const fault = FAULTS[round] ?? pickFault(victim.random);
      chosen.set(fault.name, (chosen.get(fault.name) ?? 0) + 1);
      await fault.run(victim).catch((error: Error) => {
        throw new Error(`round ${round}, ${fault.name}: ${error.message}\n${platform.log().slice(-4000)}`, {
          cause: error,
        });
      });
      // Each door must acknowledge a write that was begun after the fault.
      const before = new Map(doors.map(({ writer }) => [writer, ledger.acknowledged(writer) + 1]));
      await until(() => doors.every(({ writer }) => ledger.acknowledged(writer) > (before.get(writer) ?? 0)), {
        what: `every door writes again after round ${round}, ${fault.name}`,
        withinMs: ROUND_MS,
      });
      if (ledger.unclear.length > 0) break;
    }
    await Promise.all(writers.map((writer) => writer.end()));
    console.log([...chosen].map(([name, times]) => `${times} × ${name}`).join(', '));
    console.log(
      [...ledger.outcomes]
        .sort()
        .map(([outcome, times]) => `${outcome} ${times}`)
        .join('; '),
    );
    expect(ledger.unclear).toEqual([]);

    const { rows, counters } = await readRows();
    expect(rows.length).toBeGreaterThan(ROUNDS * doors.length);
    expect(ledger.checkRows(rows, counters)).toEqual([]);

    // Capture is a little behind the writes. If an event never arrives, the ledger reports it below.
    const texts = new Set(rows);
    let log: SeenEvent[] = [];
    await until(
      async () => {
        log = await readWholeLog(source);
        return log.filter((event) => texts.has(event.text)).length >= rows.length;
      },
      { what: 'an event of every row' },
    ).catch(() => {});
    expect(ledger.checkLog(log, rows)).toEqual([]);
    await until(async () => subscriber.place >= (await tailOf(source)), { what: 'the subscriber is at the tail' });
    await subscriber.close();
    log = await readWholeLog(source);
    expect(ledger.checkLog(log, rows)).toEqual([]);
    expect(checkSubscriber(subscriber.received, log)).toEqual([]);
    expect(subscriber.unclear).toEqual([]);
    console.log(
      `${ledger.writes.length} writes, ${log.length} events, ${subscriber.connections} connections of the subscriber`,
    );

    // At the end the platform stops cleanly, no process is left, and the next run of the platform finds the same rows.
    expect(await platform.terminate()).toBe(0);
    expect(processesOf(platform.data)).toEqual([]);
    await platform.start();
    expect(await stateOf(platform, database.id)).toBe('stopped');
    expect((await readRows()).rows.sort()).toEqual(rows.sort());
    expect(await readWholeLog(source)).toEqual(log);
    expect(await platform.terminate()).toBe(0);
    expect(processesOf(platform.data)).toEqual([]);
  },
  ROUNDS * 10_000 + 120_000,
);

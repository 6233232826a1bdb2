import { dirname } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BareEngine, startBareEngine, uploadOf } from '../support/bare-engine.ts';
import { type Loose, loadClient } from '../support/clients.ts';
import {
  type EngineDoor,
  type Exchange,
  type ExchangeReply,
  exchange,
  openEngineDoor,
} from '../support/engine-door.ts';
import { EVERY_TYPE_SCHEMA, everyTypeSql, type SampleQuery, sampleRead, sampleWrite } from '../support/every-type.ts';
import { seedLibrary } from '../support/library.ts';
import { pushSchema } from '../support/push-schema.ts';
import { type RandomRead, randomRead } from '../support/random-queries.ts';
import { recordPlan } from '../support/recorded-plan.ts';
import { seeded } from '../support/seeded.ts';

// Every query goes to the engine's own executor and to Prisma's runtime: both must reply the same, byte for byte.
// A plan is compiled when it comes again, so each is sent until it is; a body that starts with a space is never kept,
// so that the runtime alone answers it.

let engine: BareEngine;
let door: EngineDoor;
let prisma: Loose;
/** What the executor and the runtime said last, when they differ. */
let differences: { asked: string; executor: ExchangeReply; runtime: ExchangeReply }[] = [];

/** The seed of what is asked; another one by DORMOUSE_TEST_SEED. A failure names its own. */
const SEED = Number(process.env.DORMOUSE_TEST_SEED ?? 20261201);

async function both(asked: Exchange): Promise<ExchangeReply> {
  if (asked.path !== '/query') return exchange(engine.database, asked);
  const runtime = await exchange(engine.database, { ...asked, body: Buffer.concat([Buffer.from(' '), asked.body]) });
  await exchange(engine.database, asked);
  await exchange(engine.database, asked);
  const executor = await exchange(engine.database, asked);
  if (executor.status !== runtime.status || executor.body !== runtime.body) {
    differences.push({ asked: asked.body.toString(), executor, runtime });
  }
  return runtime;
}

beforeAll(async () => {
  engine = await startBareEngine({ limits: { queryMs: 60_000 } });
  const { endpoint } = engine.instance;
  const directory = endpoint.kind === 'unix' ? dirname(endpoint.path) : '';
  await pushSchema(`postgresql://owner@localhost/postgres?host=${encodeURIComponent(directory)}`, 7);
  const module = await loadClient(7);
  const plainDoor = await openEngineDoor((asked) => exchange(engine.database, asked));
  const seeding = new module.PrismaClient({ accelerateUrl: plainDoor.prismaUrl });
  await seedLibrary(seeding, module.Prisma);
  await seeding.$disconnect();
  await plainDoor.close();
  door = await openEngineDoor(both);
  prisma = new module.PrismaClient({ accelerateUrl: door.prismaUrl });
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
    // What the client refuses before sending it compares nothing; what the engine refuses, both must refuse alike.
    if ((error as Loose).code === undefined) throw error;
  }
  expect(differences).toEqual([]);
}

describe('reads of Prisma 7', () => {
  it('of random form get the same reply', async () => {
    const before = engine.executions();
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(randomRead, async (read) => {
        asked++;
        await ask(read);
      }),
      { seed: SEED, numRuns: 300, endOnFailure: false },
    );
    const after = engine.executions();
    const compiled = after.compiled - before.compiled;
    const handedOver = after.handedOver - before.handedOver;
    // Of three requests a query the last one or two can be compiled.
    expect(compiled).toBeGreaterThan(asked * 0.8);
    expect(handedOver).toBeLessThan(asked * 0.3);
  });
});

describe('generated values', () => {
  it('are made anew for each record, in the form of their generator', async () => {
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
    expect(engine.executions().compiled - before.compiled).toBe(3);
  });
});

// Prisma 6 sends no plans: what asks for its queries back is answered by the runtime, with more behind the data.

const VERSION = '6.19.0';
const upload = uploadOf(EVERY_TYPE_SCHEMA);
const SEEN = { 'x-capture-telemetry': 'query' };

async function askSample(query: SampleQuery, headers: Record<string, string>, under = ''): Promise<ExchangeReply> {
  const path = `/${VERSION}/${upload.hash}${under}/graphql`;
  const body = Buffer.from(JSON.stringify(query));
  const reply = await exchange(engine.database, { method: 'POST', path, headers, body });
  const at = headers === SEEN ? reply.body.lastIndexOf(',"extensions":') : -1;
  return at < 0 ? reply : { status: reply.status, body: `${reply.body.slice(0, at)}}` };
}

/** Runs a query in a transaction that is rolled back, so that the next one finds what it found. */
async function askAndUndo(query: SampleQuery, headers: Record<string, string>): Promise<ExchangeReply> {
  const base = `/${VERSION}/${upload.hash}`;
  const start = {
    method: 'POST',
    path: `${base}/transaction/start`,
    headers: {},
    body: Buffer.from('{"max_wait":9000,"timeout":9000}'),
  };
  const { id } = JSON.parse((await exchange(engine.database, start)).body);
  try {
    return await askSample(query, headers, `/itx/${id}`);
  } finally {
    await exchange(engine.database, { ...start, path: `${base}/itx/${id}/rollback` });
  }
}

describe('every type, by the JSON protocol', () => {
  beforeAll(async () => {
    for (const statement of everyTypeSql(seeded(SEED)).split(';\n')) await engine.sql(statement);
    const path = `/${VERSION}/${upload.hash}/schema`;
    await exchange(engine.database, { method: 'PUT', path, headers: {}, body: Buffer.from(upload.base64) });
  });

  it.each<[string, fc.Arbitrary<SampleQuery>, typeof askSample, number]>([
    ['reads', sampleRead, askSample, 400],
    ['writes', sampleWrite, askAndUndo, 200],
  ])('%s get the same reply', async (_name, arbitrary, ask, numRuns) => {
    const before = engine.executions();
    let asked = 0;
    let errors = 0;
    await fc.assert(
      fc.asyncProperty(arbitrary, async (query) => {
        asked++;
        const runtime = await ask(query, SEEN);
        await ask(query, {});
        const executor = await ask(query, {});
        expect(executor).toEqual(runtime);
        if (runtime.body.startsWith('{"errors"')) errors++;
      }),
      { seed: SEED, numRuns, endOnFailure: false },
    );
    const after = engine.executions();
    const compiled = after.compiled - before.compiled;
    expect(errors).toBeLessThan(asked * 0.3);
    expect(compiled).toBeGreaterThan(asked * 0.5);
  });
});

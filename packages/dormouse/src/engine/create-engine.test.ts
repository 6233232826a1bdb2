import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { originRoute } from '../../test/support/origin-route.ts';
import {
  Cancellation,
  cryptoRandom,
  type DatabaseId,
  Deadline,
  DormouseError,
  type KeyId,
  type MinimalReply,
  type RequestId,
  silentLogger,
  systemClock,
  Timings,
} from '../base/index.ts';
import type { Pool } from '../pool/index.ts';
import { createEngine } from './create-engine.ts';
import type { Engine, EngineDatabase, EngineLimits } from './engine.ts';

/** A pool without a server: every acquire fails. */
const unreachable: Pool = {
  askIdle: async () => undefined,
  acquire: () => Promise.reject(new DormouseError('start_failed')),
  stats: { open: 0, idle: 0, leased: 0, waiting: 0 },
  close: async () => undefined,
};
const HASH = 'a'.repeat(64);

const LIMITS: EngineLimits = {
  replyBytesMax: 1e6,
  queryMs: 10_000,
  transactionMs: 10_000,
  transactionsMax: 10,
  schemasMax: 5,
  schemaBytesMax: 100_000,
  keptBytesMax: 2 ** 26,
};

let directory: string;
let engine: Engine;
let database: EngineDatabase;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-engine-'));
  engine = createEngine({ clock: systemClock, random: cryptoRandom, log: silentLogger, limits: LIMITS });
  database = openDatabase(engine, 'db_fuzz');
});
afterAll(async () => {
  await database?.close();
  await engine?.close();
  rmSync(directory, { recursive: true, force: true });
});

function openDatabase(by: Engine, id: string): EngineDatabase {
  return by.openDatabase({
    databaseId: id as DatabaseId,
    pool: () => unreachable,
    schemaDirectory: join(directory, id),
    publicUrl: 'http://localhost',
    onOperation: () => undefined,
  });
}

/** Sends a request. Gives the reply, or the code of a `DormouseError`; any other error fails the test. */
async function ask(
  method: string,
  path: string,
  body: Uint8Array | string,
  headers: object = {},
  of: EngineDatabase = database,
): Promise<MinimalReply | string> {
  try {
    return await of.handle(
      {
        header: (name) => (Object.hasOwn(headers, name) ? (headers as Record<string, string>)[name] : undefined),
        body: typeof body === 'string' ? Buffer.from(body) : body,
      },
      {
        requestId: '0' as RequestId,
        route: originRoute(method, path),
        principal: { keyId: 'key_fuzz' as KeyId, databaseId: 'db_fuzz' as DatabaseId, role: 'owner' },
        timings: new Timings(),
        deadline: Deadline.in(systemClock, 10_000),
        cancellation: new Cancellation(),
      },
    );
  } catch (error) {
    if (error instanceof DormouseError) return error.code;
    throw error;
  }
}

const paths = fc.constantFrom(
  ['GET', '/connection-info'],
  ['POST', '/query'],
  ['POST', '/transaction/start'],
  ['POST', `/transaction/${'0'.repeat(32)}/query`],
  ['POST', '/transaction/__proto__/commit'],
  ['PUT', `/6/${HASH}/schema`],
  ['POST', `/6/${HASH}/graphql`],
  ['POST', `/6/${HASH}/transaction/start`],
  ['POST', `/6/${HASH}/itx/${'0'.repeat(32)}/graphql`],
  ['POST', '/nowhere'],
) as fc.Arbitrary<[string, string]>;

/** The codes that a caller's mistake or the missing server may end in. `internal` is not one of them. */
const allowed = new Set([
  'request_invalid',
  'plan_invalid',
  'route_unknown',
  'method_not_allowed',
  'start_failed',
  'body_too_large',
  'schema_invalid',
  'schema_missing',
  // For a header that lowers a limit to 0.
  'reply_too_large',
  'query_timeout',
]);

function check(result: MinimalReply | string): void {
  if (typeof result === 'string') {
    expect(allowed).toContain(result);
    return;
  }
  expect(result.status).toBeGreaterThanOrEqual(200);
  expect(result.status).toBeLessThan(500);
}

/** Plans that are nearly valid: real node types around arbitrary members. */
const { plan } = fc.letrec<{ plan: unknown; anything: unknown }>((tie) => ({
  anything: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, 1, '', 'x', '__proto__', { prisma__type: 'param', prisma__value: { name: 'x' } }),
    tie('plan'),
    fc.array(tie('anything'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('name', 'expr', 'names', 'type', 'field', 'records', '__proto__'), tie('anything')),
  ),
  plan: fc.record({
    type: fc.constantFrom(
      ...[
        'value',
        'seq',
        'let',
        'get',
        'getFirstNonEmpty',
        'concat',
        'sum',
        'unique',
        'required',
        'reverse',
        'mapField',
      ],
      ...['join', 'dataMap', 'validate', 'if', 'unit', 'diff', 'initializeRecord', 'mapRecord', 'process', 'query'],
      ...['execute', 'transaction', 'constructor'],
    ),
    args: tie('anything'),
  }),
}));

describe('a request to an engine', () => {
  it('a request of arbitrary bytes ends in a reply or one documented error', async () => {
    await fc.assert(
      fc.asyncProperty(paths, fc.uint8Array({ maxLength: 200 }), async ([method, path], body) => {
        check(await ask(method, path, body));
      }),
    );
  });

  it('a request of arbitrary JSON ends in a reply or one documented error', async () => {
    await fc.assert(
      fc.asyncProperty(paths, fc.json(), async ([method, path], body) => {
        check(await ask(method, path, body));
      }),
    );
  });

  it('a request with a plan that is nearly valid ends in a reply or one documented error', async () => {
    await fc.assert(
      fc.asyncProperty(plan, fc.dictionary(fc.string(), fc.jsonValue()), async (given, params) => {
        check(await ask('POST', '/query', JSON.stringify({ operation: 'x', plan: given, params })));
      }),
      { numRuns: 1000 },
    );
  });

  it('a request with arbitrary headers ends in a reply or one documented error', async () => {
    const names = ['x-query-timeout', 'x-max-response-size', 'x-capture-telemetry', 'traceparent'];
    const body = JSON.stringify({ operation: 'x', plan: { type: 'value', args: 1 }, params: {} });
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), fc.string()), async (headers) => {
        check(await ask('POST', '/query', body, headers));
      }),
    );
  });

  it('a request with very deep or poisoned JSON does no harm', async () => {
    const deep = '['.repeat(100_000);
    for (const body of [
      deep,
      `{"plan":${deep}${']'.repeat(100_000)},"params":{}}`,
      `{"plan":${'{"type":"unique","args":'.repeat(50_000)}1${'}'.repeat(50_000)},"params":{}}`,
      `{"batch":${deep}`,
      '{"__proto__":{"plan":1}}',
      '{"plan":{"type":"value","args":1},"params":{"__proto__":{"a":1}},"comments":{"__proto__":"x"}}',
      JSON.stringify({ plan: { type: 'value', args: 1 }, params: {}, comments: { '\ud800': '\udc00' } }),
    ]) {
      for (const path of ['/query', `/6/${HASH}/graphql`, '/transaction/start']) check(await ask('POST', path, body));
    }
    expect(({} as Record<string, unknown>).plan).toBeUndefined();
  });

  it('a request with a plan that needs no database is answered', async () => {
    const body = JSON.stringify({ operation: 'x', plan: { type: 'value', args: [1, 'x', null] }, params: {} });
    expect(await ask('POST', '/query', body)).toMatchObject({ status: 200, body: '{"data":[1,"x",null]}' });
  });
});

describe('the memory that an engine keeps', () => {
  it('the memory that an engine keeps is bounded over all databases of the engine, and freed when a database is closed', async () => {
    const keptBytesMax = 200_000;
    const limits = { ...LIMITS, keptBytesMax };
    const crowded = createEngine({ clock: systemClock, random: cryptoRandom, log: silentLogger, limits });
    const databases = Array.from({ length: 20 }, (_, number) => openDatabase(crowded, `db_${number}`));
    const schema = 'datasource db {\n provider = "postgresql"\n url = env("A")\n}\nmodel A {\n id Int @id\n}\n';
    const base64 = Buffer.from(schema).toString('base64');
    const hash = createHash('sha256').update(base64).digest('hex');
    let highest = 0;
    try {
      for (const each of databases) {
        expect(await ask('PUT', `/6/${hash}/schema`, base64, {}, each)).toMatchObject({ status: 200 });
        for (let plan = 0; plan < 10; plan++) {
          const body = JSON.stringify({
            model: 'A',
            operation: 'x',
            plan: { type: 'value', args: [plan] },
            params: {},
          });
          for (let turn = 0; turn < 3; turn++) {
            expect(await ask('POST', '/query', body, {}, each)).toMatchObject({ body: `{"data":[${plan}]}` });
          }
        }
        highest = Math.max(highest, crowded.keptBytes);
      }
      expect(highest).toBeLessThanOrEqual(keptBytesMax);
      // Room was made, more than once, and never more than needed.
      expect(highest).toBeGreaterThan(keptBytesMax / 2);
      for (const each of databases) await each.close();
      expect(crowded.keptBytes).toBe(0);
    } finally {
      await crowded.close();
    }
  });
});

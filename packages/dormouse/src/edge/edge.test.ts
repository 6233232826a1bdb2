import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import {
  type Call,
  Cancellation,
  cryptoRandom,
  type DatabaseId,
  DormouseError,
  ERRORS,
  type ErrorCode,
  type KeyId,
  type KeyRecord,
  type MinimalReply,
  type MinimalRequest,
  type Role,
  silentLogger,
} from '../base/index.ts';
import { Secrets } from '../control/index.ts';
import { createEdge, DEFAULT_EDGE_LIMITS, type Edge } from './index.ts';

const HASH = 'b'.repeat(64);
const secrets = new Secrets(new Uint8Array(32).fill(7));

function keyOf(name: string, database: string, role: Role): KeyRecord & { createdAtMs: number } {
  return {
    id: `key_${name.padEnd(20, '0')}` as KeyId,
    databaseId: `db_${database.padEnd(20, '0')}` as DatabaseId,
    role,
    revoked: false,
    createdAtMs: 0,
  };
}

const OWNER = keyOf('owner', 'one', 'owner');
const SECOND = keyOf('second', 'one', 'owner');
const READER = keyOf('reader', 'one', 'reader');
const FOREIGN = keyOf('foreign', 'two', 'owner');
const KEYS = [OWNER, SECOND, READER, FOREIGN];

describe('createEdge', () => {
  let clock: ManualClock;
  let edge: Edge;
  let seen: { request: MinimalRequest; call: Call }[];
  let answer: (request: MinimalRequest, call: Call) => MinimalReply | Promise<MinimalReply>;
  let counted: string[];
  let generation: string;

  beforeEach(() => {
    clock = new ManualClock();
    seen = [];
    counted = [];
    generation = 'g1';
    answer = () => ({ status: 200, headers: { 'content-type': 'application/json' }, body: `{"data":${seen.length}}` });
    edge = createEdge({
      catalog: {
        key: (id) => KEYS.find((key) => key.id === id),
        database: (id) =>
          KEYS.some((key) => key.databaseId === id)
            ? { id, kind: 'managed', name: 'x', pgMajor: 18, createdAtMs: 0 }
            : undefined,
        count: (keyId) => counted.push(keyId),
      },
      origin: {
        handle: async (request, call) => {
          seen.push({ request, call });
          call.timings.add('sql', 1.5);
          return answer(request, call);
        },
      },
      keys: [secrets.edgeKey],
      clock,
      random: cryptoRandom,
      hash: (bytes) => createHash('sha256').update(bytes).digest('hex'),
      region: 'local',
      limits: DEFAULT_EDGE_LIMITS,
      log: silentLogger,
      generationOf: () => generation,
    });
  });

  const send = (
    method: string,
    path: string,
    options: {
      key?: typeof OWNER | null;
      headers?: Record<string, string>;
      body?: unknown;
      cancellation?: Cancellation;
    } = {},
  ): Promise<MinimalReply> => {
    const key = options.key === undefined ? OWNER : options.key;
    const headers: Record<string, string> = {
      ...(key ? { authorization: `Bearer ${secrets.apiKey(key)}` } : {}),
      ...options.headers,
    };
    const body = new TextEncoder().encode(
      typeof options.body === 'string' ? options.body : JSON.stringify(options.body ?? {}),
    );
    return edge.handle(
      { method, path, search: '', header: (name) => headers[name], body },
      options.cancellation ?? new Cancellation(),
    );
  };
  const find = { operation: 'findMany', plan: { type: 'query' }, params: {} };
  const cached = { 'cache-control': 'max-age=60' };
  const query = (options: Parameters<typeof send>[2] = {}) =>
    send('POST', '/query', { headers: cached, body: find, ...options });

  it('the edge passes a request to the origin with its principal, and reports the time of each stage', async () => {
    answer = () => {
      clock.advance(5);
      return { status: 200, headers: { 'content-type': 'application/json' }, body: '{"data":1}' };
    };
    const reply = await send('POST', '/query', { body: find });
    expect(reply).toMatchObject({ status: 200, body: '{"data":1}' });
    expect(reply.headers['server-timing']).toMatch(/^auth;dur=[\d.]+, sql;dur=1\.500, total;dur=5\.000$/);
    expect(reply.headers['cf-ray']).toMatch(/^[0-9a-f]{16}-local$/);
    expect(reply.headers['accelerate-cache-status']).toBe('none');
    expect(Date.parse(reply.headers['last-modified'] ?? '')).toBe(Date.UTC(2026, 10, 23, 12));
    expect(seen[0]?.call.principal).toEqual({ keyId: OWNER.id, databaseId: OWNER.databaseId, role: 'owner' });
    expect(seen[0]?.call.requestId).toBe(reply.headers['cf-ray']?.split('-')[0]);
  });

  it("a request that is not authenticated never reaches the origin, and its refusal has the form of the client's protocol", async () => {
    const seven = await send('POST', '/query', { key: null, body: find });
    expect([seven.status, JSON.parse(String(seven.body)).code]).toEqual([401, 'P6002']);
    const six = await send('POST', `/6.19.0/${HASH}/graphql`, { key: null });
    expect([six.status, JSON.parse(String(six.body)).code]).toEqual([401, 'P6002']);
    expect(six.headers['prisma-request-id']).toBe(six.headers['cf-ray']?.split('-')[0]);
    const nowhere = await send('GET', '/nowhere');
    expect([nowhere.status, JSON.parse(String(nowhere.body)).meta.reason]).toEqual([404, 'route_unknown']);
    const method = await send('DELETE', '/query');
    expect([method.status, method.headers.allow]).toEqual([405, 'POST']);
    expect(seen).toEqual([]);
    for (const reply of [seven, six, nowhere, method]) {
      expect(reply.headers['cf-ray']).toBeDefined();
      expect(reply.headers['server-timing']).toContain('total');
    }
  });

  it('an error that the origin throws becomes a reply, also if the error is a bug', async () => {
    answer = () => {
      throw new DormouseError('schema_missing');
    };
    const missing = await send('POST', `/6.19.0/${HASH}/graphql`, { body: { action: 'findMany' } });
    expect([missing.status, missing.body]).toEqual([404, '{"EngineNotStarted":{"reason":"SchemaMissing"}}']);
    expect(missing.headers['accelerate-cache-status']).toBe('none');
    answer = () => {
      throw new TypeError('undefined is not a function');
    };
    const bug = await send('POST', '/query', { body: find });
    expect([bug.status, JSON.parse(String(bug.body)).code]).toEqual([500, 'P6000']);
    expect(String(bug.body)).not.toContain('undefined is not');
  });

  it('a repeated read is answered from the cache, with the headers that the Accelerate extension reads', async () => {
    const first = await query();
    const again = await query();
    expect(first.headers['accelerate-cache-status']).toBe('miss');
    expect(again.headers['accelerate-cache-status']).toBe('ttl');
    expect(again.headers['accelerate-signature']).toMatch(/^[0-9a-f]{64}$/);
    expect(again.headers['last-modified']).toBe(first.headers['last-modified']);
    expect(again.headers['cf-ray']).not.toBe(first.headers['cf-ray']);
    expect(again.headers['server-timing']).toMatch(/^auth;dur=[\d.]+, cache;dur=[\d.]+, total;dur=[\d.]+$/);
    expect(new TextDecoder().decode(again.body as Uint8Array)).toBe(first.body);
    expect(seen).toHaveLength(1);
    expect(counted).toEqual([OWNER.id]);
  });

  it('each operation is counted once: the edge counts the operations that did not reach the origin', async () => {
    const swr = { headers: { 'cache-control': 'max-age=1,stale-while-revalidate=60' } };
    await query(swr);
    clock.advance(1000);
    const stale = await Promise.all([query(swr), query(swr), query(swr)]);
    expect(stale.map((reply) => reply.headers['accelerate-cache-status'])).toEqual(['swr', 'swr', 'swr']);
    expect(seen).toHaveLength(2);
    // Of four requests the miss and the refresh reached the origin, which counts them.
    expect(counted).toHaveLength(2);
    // The time of the refresh is not part of the stale reply's: the stale reply passed neither queue nor SQL.
    const [miss, refresh] = seen.map(({ call }) => call);
    expect(miss?.timings.get('auth')).toBeDefined();
    expect(refresh?.timings.get('auth')).toBeUndefined();
  });

  it('an entry is shared between the API keys of one database and role, and with no other key', async () => {
    await query();
    expect((await query({ key: SECOND })).headers['accelerate-cache-status']).toBe('ttl');
    expect((await query({ key: READER })).headers['accelerate-cache-status']).toBe('miss');
    expect((await query({ key: FOREIGN })).headers['accelerate-cache-status']).toBe('miss');
    generation = 'g2';
    expect((await query()).headers['accelerate-cache-status']).toBe('miss');
    expect((await query({ body: { ...find, params: { id: 1 } } })).headers['accelerate-cache-status']).toBe('miss');
    expect(
      (await query({ headers: { ...cached, 'x-capture-telemetry': 'query' } })).headers['accelerate-cache-status'],
    ).toBe('miss');
    const read = { modelName: 'User', action: 'findMany', query: {} };
    const paths = [`/6.19.0/${HASH}/graphql`, `/6.19.0/${'c'.repeat(64)}/graphql`];
    for (const path of paths) {
      const reply = await send('POST', path, { headers: cached, body: read });
      expect(reply.headers['accelerate-cache-status'], 'another schema is another question').toBe('miss');
    }
  });

  it('replies to writes, raw queries, transactions and failed queries are not cached, whatever the client asks for', async () => {
    const status = async (
      path: string,
      body: unknown,
      headers: Record<string, string> = cached,
    ): Promise<string | undefined> => {
      await send('POST', path, { headers, body });
      return (await send('POST', path, { headers, body })).headers['accelerate-cache-status'];
    };
    expect(await status('/query', { ...find, operation: 'createOne' })).toBe('none');
    expect(await status('/query', { ...find, operation: 'queryRaw' })).toBe('none');
    expect(await status('/transaction/0123/query', find)).toBe('none');
    expect(await status(`/6.19.0/${HASH}/graphql`, { action: 'updateOne' })).toBe('none');
    expect(await status(`/6.19.0/${HASH}/graphql`, { batch: [{ action: 'findUnique' }], transaction: {} })).toBe(
      'none',
    );
    expect(await status(`/6.19.0/${HASH}/itx/0123/graphql`, { action: 'findMany' })).toBe('none');
    expect(
      await status(`/6.19.0/${HASH}/graphql`, { action: 'findMany' }, { ...cached, 'x-transaction-id': '1' }),
    ).toBe('none');
    expect(await status('/query', find, { 'cache-control': 'no-cache' })).toBe('none');
    expect(await status('/query', find, {})).toBe('none');
    answer = () => ({ status: 200, headers: {}, body: '{"errors":[{}]}' });
    expect(await status('/query', { ...find, params: 1 })).toBe('miss');
    expect(edge.stats.entries).toBe(0);
  });

  it('the edge answers every request with a status, an id and a time, and never rejects', async () => {
    const text = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.constantFrom('max-age=1', 'a,b', 'no-cache', '1', `Bearer ${secrets.apiKey(OWNER)}`),
    );
    const path = fc.oneof(
      fc.constantFrom(
        '/query',
        '/invalidate',
        '/connection-info',
        `/6.19.0/${HASH}/graphql`,
        `/6.19.0/${HASH}/itx/1/commit`,
      ),
      fc.string({ maxLength: 30 }),
    );
    const thrown = fc.oneof(fc.constant(undefined), fc.constantFrom(...Object.keys(ERRORS)), fc.anything());
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'X'),
        path,
        fc.dictionary(
          fc.constantFrom(
            'authorization',
            'cache-control',
            'accelerate-cache-tags',
            'x-transaction-id',
            'x-capture-telemetry',
          ),
          text,
        ),
        fc.oneof(fc.json(), fc.string(), fc.constant('{"operation":"findMany"}')),
        thrown,
        async (method, where, headers, body, failure) => {
          answer = () => {
            if (typeof failure === 'string' && failure in ERRORS) throw new DormouseError(failure as ErrorCode);
            if (failure !== undefined) throw failure;
            return { status: 200, headers: {}, body: '{}' };
          };
          const reply = await send(method, where, { headers, body });
          expect(reply.status).toBeGreaterThanOrEqual(200);
          expect(reply.status).toBeLessThan(600);
          expect(reply.headers['cf-ray']).toMatch(/^[0-9a-f]{16}-local$/);
          expect(reply.headers['server-timing']).toContain('total;dur=');
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a request for caching that breaks the rules is refused', async () => {
    const long = await query({ headers: { 'cache-control': 'max-age=99999999999' } });
    expect([long.status, JSON.parse(String(long.body)).code]).toEqual([400, 'P6005']);
    const tags = await query({ headers: { ...cached, 'accelerate-cache-tags': 'a b' } });
    expect(tags.status).toBe(400);
    const six = await send('POST', `/6.19.0/${HASH}/graphql`, {
      headers: { ...cached, 'accelerate-cache-tags': '!' },
      body: {},
    });
    expect(JSON.parse(String(six.body)).InvalidRequestError.reason).toContain('cache tag');
    expect(seen).toEqual([]);
  });

  it('an invalidation by tag, or of all, drops entries of the database of its API key only', async () => {
    const tagged = { headers: { ...cached, 'accelerate-cache-tags': 'users,posts' } };
    await query(tagged);
    await query({ ...tagged, key: FOREIGN });
    await query();
    const reply = await send('POST', '/invalidate', { key: READER, body: { tags: ['posts'] } });
    expect([reply.status, reply.body]).toEqual([200, '{"invalidated":1}']);
    expect(reply.headers['cf-ray']).toBeDefined();
    expect((await query(tagged)).headers['accelerate-cache-status']).toBe('miss');
    expect((await query({ ...tagged, key: FOREIGN })).headers['accelerate-cache-status']).toBe('ttl');
    expect((await query()).headers['accelerate-cache-status']).toBe('ttl');
    expect((await send('POST', '/invalidate', { body: { tags: 'all' } })).body).toBe('{"invalidated":2}');
    expect((await send('POST', '/invalidate', { body: { tags: ['-'] } })).status).toBe(400);
    expect((await send('POST', '/invalidate', { key: null, body: { tags: 'all' } })).status).toBe(401);
  });

  it('a call to the origin that several requests share has a deadline and a cancellation of its own, not those of the first request', async () => {
    // The token is verified here, so that its verification takes no turn of the loop below.
    await send('POST', '/query', { key: SECOND, body: find });
    seen = [];
    const release: (() => void)[] = [];
    answer = () =>
      new Promise((resolve) => release.push(() => resolve({ status: 200, headers: {}, body: '{"data":1}' })));
    const leader = new Cancellation();
    const first = query({ cancellation: leader });
    await expect.poll(() => seen.length).toBe(1);
    const second = query({ key: SECOND });
    await new Promise((resolve) => setImmediate(resolve));
    leader.cancel();
    expect(seen[0]?.call.cancellation.cancelled).toBe(false);
    for (const one of release) one();
    expect((await second).status).toBe(200);
    await first;
    expect(seen).toHaveLength(1);
    expect(counted, 'who did not reach the origin is counted here').toEqual([SECOND.id]);
  });
});

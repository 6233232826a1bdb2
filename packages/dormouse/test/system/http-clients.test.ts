import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Call,
  cryptoRandom,
  type DatabaseId,
  DormouseError,
  ERRORS,
  type ErrorCode,
  type KeyId,
  type MinimalReply,
  type MinimalRequest,
  silentLogger,
  systemClock,
} from '../../src/base/index.ts';
import { Secrets } from '../../src/control/index.ts';
import { createEdge, DEFAULT_EDGE_LIMITS } from '../../src/edge/index.ts';
import { createHttpDoor, DEFAULT_HTTP_LIMITS, type HttpDoor, nodeHash } from '../../src/front/http/index.ts';
import { CLIENT_VERSIONS, type ClientVersion, type Loose, loadClient, requireOf } from '../support/clients.ts';
import { openDoor } from '../support/open-door.ts';
import { clientOptions } from '../support/target.ts';

// The stock clients against the HTTP door and the edge. Each test sets the answers of the part behind them, because
// these tests are about how replies and errors look to the clients, not about queries.

const secrets = new Secrets(new Uint8Array(32).fill(9));
const databaseId = 'db_aaaaaaaaaaaaaaaaaaaa' as DatabaseId;
const key = {
  id: 'key_aaaaaaaaaaaaaaaaaaaa' as KeyId,
  databaseId,
  role: 'owner' as const,
  revoked: false,
  createdAtMs: 0,
};
const revoked = { ...key, id: 'key_bbbbbbbbbbbbbbbbbbbb' as KeyId, revoked: true };

let door: HttpDoor;
let port: number;
let answer: (request: MinimalRequest, call: Call) => MinimalReply | Promise<MinimalReply>;
let asked: string[];

const json = (value: unknown, status = 200): MinimalReply => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});
const good = (request: MinimalRequest): MinimalReply =>
  request.path === '/query' ? json({ data: [] }) : json({ data: { findManyUser: [] } });

beforeAll(async () => {
  const edge = createEdge({
    catalog: {
      key: (id) => [key, revoked].find((one) => one.id === id),
      database: (id) =>
        id === databaseId ? { id, kind: 'managed', name: 'main', pgMajor: 18, createdAtMs: 0 } : undefined,
      count: () => {},
    },
    origin: {
      handle: async (request, call) => {
        if (request.path === '/connection-info') {
          return json({ provider: 'postgres', connectionInfo: { schemaName: 'public', supportsRelationJoins: true } });
        }
        asked.push(request.path);
        return answer(request, call);
      },
    },
    keys: [secrets.edgeKey],
    clock: systemClock,
    random: cryptoRandom,
    hash: nodeHash,
    region: 'local',
    limits: DEFAULT_EDGE_LIMITS,
    log: silentLogger,
    generationOf: () => '',
  });
  door = createHttpDoor({
    handle: (request, cancellation) => edge.handle(request, cancellation),
    mounts: [],
    upgrades: {},
    limits: DEFAULT_HTTP_LIMITS,
    clock: systemClock,
    random: cryptoRandom,
    region: 'local',
    log: silentLogger,
  });
  port = await openDoor(door);
});
afterAll(() => door.close());

describe.each(CLIENT_VERSIONS)('Prisma Client %s', (version: ClientVersion) => {
  const clients: Loose[] = [];
  let client: Loose;

  const open = async (apiKey: string): Promise<Loose> => {
    const { PrismaClient } = await loadClient(version);
    const opened = new PrismaClient(clientOptions(version, `prisma+postgres://127.0.0.1:${port}/?api_key=${apiKey}`));
    clients.push(opened);
    return opened;
  };
  const failure = async (work: Promise<unknown>): Promise<{ code?: string; message: string }> =>
    work.then(
      () => ({ message: 'no failure' }),
      (error: { code?: string; message: string }) => error,
    );

  beforeAll(async () => {
    asked = [];
    answer = good;
    client = await open(secrets.apiKey(key));
    expect(await client.user.findMany()).toEqual([]);
  });
  afterAll(async () => {
    for (const one of clients) await one.$disconnect();
  });

  // The codes that a query can be answered with; a client never sees the codes of the set-up.
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => code !== 'schema_missing');

  it.each(codes)('the client shows the code and the message of %s', async (code) => {
    asked = [];
    answer = () => {
      throw new DormouseError(code);
    };
    const error = await failure(client.user.findMany());
    expect(error.code).toBe(version === 6 ? ERRORS[code].prisma6 : ERRORS[code].prisma7);
    expect(error.message).toContain(JSON.stringify(ERRORS[code].message).slice(1, -1));
    // Prisma 6 repeats a request by itself, but never one that may have changed data.
    const repeats = version === 6 && ['P5006', 'P5008'].includes(ERRORS[code].prisma6) && asked.length > 1;
    expect(asked.length).toBe(repeats ? 4 : 1);
    if (ERRORS[code].retry === 'never' && ERRORS[code].prisma6 !== 'P5008') expect(asked).toHaveLength(1);
  });

  it('a Prisma 6 client uploads a missing schema and repeats its query, and a Prisma 7 client has no schema to upload', async () => {
    asked = [];
    if (version === 7) {
      answer = good;
      expect(await client.user.findMany()).toEqual([]);
      expect(asked).toEqual(['/query']);
      return;
    }
    let uploaded = false;
    answer = (request) => {
      if (request.method === 'PUT') {
        uploaded = true;
        return { status: 200, headers: {}, body: request.path.split('/')[2] ?? '' };
      }
      if (!uploaded) throw new DormouseError('schema_missing');
      return good(request);
    };
    expect(await client.user.findMany()).toEqual([]);
    expect(asked.map((path) => path.split('/').at(-1))).toEqual(['graphql', 'schema', 'graphql']);
  });

  it('the client is told that its key is revoked, or belongs to another platform', async () => {
    asked = [];
    for (const [apiKey, code] of [
      [secrets.apiKey(revoked), 'key_revoked'],
      [new Secrets(new Uint8Array(32).fill(8)).apiKey(key), 'key_invalid'],
      ['nonsense', 'key_invalid'],
    ] as const) {
      const error = await failure((await open(apiKey)).user.findMany());
      expect(error.code).toBe(version === 6 ? ERRORS[code].prisma6 : ERRORS[code].prisma7);
      expect(error.message).toContain(ERRORS[code].message.slice(0, 20));
    }
    expect(asked).toEqual([]);
  });

  it('the client reads from withAccelerateInfo what the cache did, and can invalidate replies', async () => {
    const { withAccelerate } = requireOf(version)('@prisma/extension-accelerate');
    const accelerated = (await open(secrets.apiKey(key))).$extends(withAccelerate());
    answer = good;
    const read = async (): Promise<Loose> =>
      (
        await accelerated.user
          .findMany({ where: { id: 1 }, cacheStrategy: { ttl: 60, swr: 60, tags: ['users'] } })
          .withAccelerateInfo()
      ).info;
    const [miss, hit] = [await read(), await read()];
    expect(miss).toMatchObject({ cacheStatus: 'miss', region: 'local' });
    expect(hit).toMatchObject({
      cacheStatus: 'ttl',
      region: 'local',
      signature: miss.signature,
      lastModified: miss.lastModified,
    });
    expect(Number.isNaN(hit.lastModified.getTime())).toBe(false);
    expect(hit.requestId).toMatch(/^[0-9a-f]{16}-local$/);
    expect(await accelerated.$accelerate.invalidate({ tags: ['users'] })).toMatchObject({
      requestId: expect.stringMatching(/-local$/),
    });
    expect((await read()).cacheStatus).toBe('miss');
    await accelerated.$accelerate.invalidateAll();
    expect((await read()).cacheStatus).toBe('miss');
    const plain = await accelerated.user.findMany({ where: { id: 2 } }).withAccelerateInfo();
    expect(plain.info).toMatchObject({ cacheStatus: 'none', region: 'local' });
    const refused = await failure(accelerated.user.findMany({ cacheStrategy: { ttl: 99_999_999_999 } }));
    expect(refused.code).toBe(version === 6 ? 'P5000' : 'P6005');
    expect(refused.message).toContain('cacheStrategy.ttl');
    await expect(accelerated.$accelerate.invalidate({ tags: ['a b'] })).rejects.toThrow('not a cache tag');
  });
});

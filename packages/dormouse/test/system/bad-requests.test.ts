import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadClient, schemaText } from '../support/clients.ts';
import { mutated } from '../support/mutate.ts';
import { type DatabaseUrls, type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema } from '../support/push-schema.ts';
import { exchange, type RawReply } from '../support/raw-http.ts';
import { recordPlan } from '../support/recorded-plan.ts';
import { seeded, seedFromEnvironment } from '../support/seeded.ts';

// Bad requests at the doors of a real platform: each gets one clear answer with a code, and all other clients are
// served as before.

const BODY_MAX = 64 * 1024;
const SEED = seedFromEnvironment();

let platform: Platform;
let database: DatabaseUrls;
let plan: string;
let slowBody: Promise<RawReply>;
let slowHeaders: Promise<RawReply>;
let session: pg.Client;

const hostOf = (): string => new URL(platform.http).host;
const authorization = (): string => `authorization: Bearer ${database.apiKey}`;

beforeAll(async () => {
  platform = await startPlatform({ flags: ['--body-max', '64KiB', '--suspend-after', '30s'] });
  database = await platform.createDatabase('bad');
  await pushSchema(database.postgresUrl, 7);
  plan = await recordPlan(await loadClient(7), (client) =>
    client.user.findMany({ where: { email: { contains: 'x' } }, take: 3, include: { posts: { take: 2 } } }),
  );
  // These two requests wait for their timeouts while the other tests run.
  const head = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\n${authorization()}\r\n`;
  slowBody = exchange(platform.http, { head: `${head}content-length: 100\r\n\r\n{`, withinMs: 120_000 });
  slowHeaders = exchange(platform.http, { head, withinMs: 120_000 });
  slowBody.catch(() => {});
  slowHeaders.catch(() => {});
  session = new pg.Client({ connectionString: database.postgresUrl });
  await session.connect();
});
afterAll(async () => {
  await session?.end();
  await platform?.stop();
});
afterEach(async () => {
  // A client that sends good requests is served and keeps its session.
  const reply = await query(plan);
  expect(reply.status).toBe(200);
  expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  expect(platform.log()).not.toMatch(/bug of ours/);
});

async function send(
  method: string,
  path: string,
  body?: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const reply = await fetch(`${platform.http}${path}`, {
    method,
    headers: { authorization: `Bearer ${database.apiKey}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: reply.status, text: await reply.text(), headers: reply.headers };
}
const query = (body: string | Uint8Array<ArrayBuffer>) => send('POST', '/query', body);

/** What a refusal says, in Prisma 7's form. */
function refusal({ status, text }: { readonly status: number; readonly text: string }): unknown {
  const { code, message, error, meta } = JSON.parse(text);
  expect(error).toBe(message);
  expect(message.length).toBeGreaterThan(20);
  return [status, code, meta.reason];
}

describe('a body', () => {
  it.each<[string, string | Uint8Array<ArrayBuffer>, string]>([
    ['an empty body', '', 'request_invalid'],
    ['a body that is not JSON', '{"plan":', 'request_invalid'],
    ['a body that is a list', '[]', 'request_invalid'],
    ['a body that is a string', '"plan"', 'request_invalid'],
    ['a body that is not UTF-8', new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), 'request_invalid'],
    ['a body of endlessly nested lists', '['.repeat(60_000), 'request_invalid'],
    [
      'a body with a deeply nested plan',
      `{"plan":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)},"params":{}}`,
      'request_invalid',
    ],
    ['a body without a plan', '{}', 'plan_invalid'],
    ['a body whose plan is a number', '{"plan":1,"params":{}}', 'plan_invalid'],
    [
      'a body whose plan has no known type',
      '{"plan":{"type":"fetchEverything","args":{}},"params":{}}',
      'plan_invalid',
    ],
    ['a body whose plan is a list', '{"plan":[],"params":{}}', 'plan_invalid'],
    ['a body whose plan lacks its parts', '{"plan":{"type":"query"},"params":{}}', 'plan_invalid'],
  ])('%s is refused', async (_, body, reason) => {
    expect(refusal(await query(body))).toEqual([400, 'P6005', reason]);
  });

  it('a body over the limit is refused, either by its declared length or once too many bytes have come', async () => {
    const big = JSON.stringify({ plan: {}, params: { x: 'x'.repeat(BODY_MAX) } });
    const whole = await query(big);
    expect(refusal(whole)).toEqual([413, 'P6005', 'body_too_large']);
    expect(whole.text).toMatch(/65536 bytes.*--body-max/);
    const head = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\n${authorization()}\r\ntransfer-encoding: chunked\r\n\r\n`;
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const chunked = await exchange(platform.http, { head, body: chunk.repeat(8) });
    expect(refusal({ status: chunked.status, text: chunked.body })).toEqual([413, 'P6005', 'body_too_large']);
    const declared = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\n${authorization()}\r\ncontent-length: 99999999999\r\n\r\n{`;
    const claimed = await exchange(platform.http, { head: declared });
    expect(refusal({ status: claimed.status, text: claimed.body })).toEqual([413, 'P6005', 'body_too_large']);
  });

  it('a body that ends too early is refused', async () => {
    const head = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\n${authorization()}\r\ncontent-length: 100\r\n\r\n`;
    const reply = await exchange(platform.http, { head, body: '{"plan":', afterwards: 'half-close' });
    expect(refusal({ status: reply.status, text: reply.body })).toEqual([400, 'P6005', 'request_invalid']);
  });

  it('a body that is cut off in the middle delays no other request', async () => {
    const { hostname, port } = new URL(platform.http);
    const head = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\n${authorization()}\r\ncontent-length: 100\r\n\r\n{`;
    for (let i = 0; i < 50; i++) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(head, () => {
            socket.resetAndDestroy();
            resolve();
          });
        });
        socket.on('error', () => {});
      });
    }
    expect((await query(plan)).status).toBe(200);
  });
});

describe('a request', () => {
  it.each([
    'GARBAGE\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'GET /query HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n',
  ])('a request that is not HTTP (%j) is refused', async (head) => {
    const reply = await exchange(platform.http, { head });
    expect(refusal({ status: reply.status, text: reply.body })).toEqual([400, 'P6005', 'request_invalid']);
  });

  it('a request with two lengths, or with a length and chunks, is refused', async () => {
    const head = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\n${authorization()}\r\ncontent-length: 5\r\n`;
    for (const more of ['content-length: 6\r\n\r\n', 'transfer-encoding: chunked\r\n\r\n']) {
      const reply = await exchange(platform.http, {
        head: head + more,
        body: '0\r\n\r\nGET /connection-info HTTP/1.1\r\n\r\n',
      });
      expect(refusal({ status: reply.status, text: reply.body })).toEqual([400, 'P6005', 'request_invalid']);
    }
  });

  it('a request with too long headers is refused', async () => {
    const head = `POST /query HTTP/1.1\r\nhost: ${hostOf()}\r\nx-long: ${'x'.repeat(300 * 1024)}\r\n\r\n`;
    const reply = await exchange(platform.http, { head });
    expect(refusal({ status: reply.status, text: reply.body })).toEqual([431, 'P6005', 'headers_too_large']);
  });

  it.each([
    ['GET', '/nothing'],
    ['POST', '/nothing/at/all'],
    ['GET', '/query/more'],
    ['POST', '/transaction/x/dance'],
    ['GET', '/%00'],
    ['GET', '/..%2f..%2fetc/passwd'],
  ])('a request to an unknown address (%s %s) is refused', async (method, path) => {
    expect(refusal(await send(method, path))).toEqual([404, 'P6005', 'route_unknown']);
  });

  it.each([
    ['GET', '/query', 'POST'],
    ['DELETE', '/query', 'POST'],
    ['POST', '/connection-info', 'GET'],
    ['GET', '/transaction/start', 'POST'],
    ['PATCH', '/invalidate', 'POST'],
  ])(
    'a request with the wrong method (%s %s) is refused, and the reply names the right method',
    async (method, path, allow) => {
      const reply = await send(method, path);
      expect(refusal(reply)).toEqual([405, 'P6005', 'method_not_allowed']);
      expect(reply.headers.get('allow')).toBe(allow);
    },
  );

  it.each([
    ['no key', '', 'key_missing'],
    ['a key that is not a key', 'Bearer nonsense', 'key_invalid'],
    ['a key of an unknown database', 'Bearer eyJhbGciOiJFZERTQSJ9.eyJkYiI6ImRiX3gifQ.AAAA', 'key_invalid'],
    ['a key without a signature', 'Bearer eyJhbGciOiJub25lIn0.eyJkYiI6ImRiX3gifQ.', 'key_invalid'],
  ])('a request with %s is refused', async (_, header, reason) => {
    expect(refusal(await send('POST', '/query', plan, { authorization: header }))).toEqual([401, 'P6002', reason]);
  });

  it('a request for a transaction that does not exist is refused', async () => {
    const [status, code] = refusal(await send('POST', `/transaction/${'0'.repeat(32)}/query`, plan)) as unknown[];
    expect([status, code]).toEqual([409, 'P2028']);
  });
});

describe('a request of a Prisma 6 client', () => {
  const base64 = Buffer.from(schemaText(6)).toString('base64');
  const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
  const upload = (text: string, hash = hashOf(text)) =>
    send('PUT', `/6.19.3/${hash}/schema`, text, { 'content-type': 'text/plain' });
  const ask = (body: string, hash = hashOf(base64)) => send('POST', `/6.19.3/${hash}/graphql`, body);
  const find = {
    modelName: 'User',
    action: 'findMany',
    query: { arguments: { take: 2 }, selection: { $scalars: true, $composites: true } },
  };

  it.each([
    ['not a schema', 'model User { id Int'],
    ['empty', ''],
    ['a model with a field of an unknown type', 'model A { id Nothing @id }'],
    [
      'for another kind of database',
      'datasource db { provider = "mongodb" url = "x" }\nmodel A { id String @id @map("_id") }',
    ],
  ])('a schema that is %s is refused', async (_, schema) => {
    const reply = await upload(Buffer.from(schema).toString('base64'));
    expect(reply.status).toBe(400);
    expect(reply.headers.get('prisma-error-code')).toBe('P5000');
    expect(JSON.parse(reply.text).InvalidRequestError.reason).toMatch(/schema/i);
  });

  it('a schema that is not base64, or that does not match its hash, is refused', async () => {
    expect((await upload('*not base64*')).status).toBe(400);
    expect((await upload(base64, 'f'.repeat(64))).status).toBe(400);
  });

  it('the reply to a query on a schema that was not uploaded asks for the schema', async () => {
    const reply = await ask(JSON.stringify(find), 'e'.repeat(64));
    expect(reply.status).toBe(404);
    expect(JSON.parse(reply.text)).toEqual({ EngineNotStarted: { reason: 'SchemaMissing' } });
  });

  it('a query on an unknown model, action or field is refused, and the reply names it', async () => {
    expect((await upload(base64)).status).toBe(200);
    expect((await ask(JSON.stringify(find))).status).toBe(200);
    for (const [name, change] of [
      ['Unicorn', { modelName: 'Unicorn' }],
      ['findEverything', { action: 'findEverything' }],
      ['colour', { query: { arguments: { where: { colour: 1 } }, selection: { $scalars: true } } }],
      ['horn', { query: { arguments: {}, selection: { horn: true } } }],
    ] as const) {
      const reply = await ask(JSON.stringify({ ...find, ...change }));
      expect([200, 400, 422]).toContain(reply.status);
      expect(reply.text).toContain(name);
      expect(reply.text).toMatch(/errors|InvalidRequestError|error_code/);
    }
  });

  it('no mutation of a query is answered with an internal error', async () => {
    await upload(base64);
    const random = seeded(SEED);
    const text = JSON.stringify({
      ...find,
      query: {
        arguments: {
          where: { email: { contains: 'x' }, createdAt: { gt: { $type: 'DateTime', value: '2020-01-01T00:00:00Z' } } },
          take: 2,
        },
        selection: { $scalars: true, posts: { arguments: { take: 1 }, selection: { $scalars: true } } },
      },
    });
    for (let i = 0; i < 300; i++) {
      const body = mutated(text, random);
      const reply = await ask(body);
      const bad = reply.status >= 500 && reply.status !== 504;
      expect(bad ? `seed ${SEED}: ${reply.status} ${reply.text} for ${body}` : '').toBe('');
    }
  });
});

describe('a query plan', () => {
  it('a mutated query plan is never answered with an internal error', async () => {
    const random = seeded(SEED);
    const write = await recordPlan(await loadClient(7), (client) =>
      client.user.create({
        data: { email: 'MARK', posts: { create: [{ title: 'a' }, { title: 'b' }] } },
        include: { posts: true },
      }),
    );
    const statuses = new Map<number, number>();
    for (let i = 0; i < 600; i++) {
      const body = mutated(i % 2 === 0 ? plan : write.replaceAll('MARK', `m${i}@x`), random);
      const reply = await query(body);
      statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
      const bad = reply.status >= 500 && reply.status !== 504;
      expect(bad ? `seed ${SEED}: ${reply.status} ${reply.text} for ${body}` : '').toBe('');
      if (reply.status !== 200) expect(JSON.parse(reply.text).code).toMatch(/^P[26]\d{3}$/);
    }
    // Some mutated plans are still right; most are not.
    expect(statuses.get(200)).toBeGreaterThan(0);
    expect(statuses.get(400)).toBeGreaterThan(0);
  });
});

describe('the TCP door', () => {
  function tcp(bytes: Uint8Array): Promise<string> {
    const { hostname, port } = new URL(platform.postgres);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write(bytes));
      let text = '';
      const timer = setTimeout(() => reject(new Error(`no end; until then ${JSON.stringify(text)}`)), 40_000);
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(text);
      });
    });
  }
  const startup = (length: number, code: number, rest = ''): Buffer => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(length, 0);
    head.writeUInt32BE(code, 4);
    return Buffer.concat([head, Buffer.from(rest, 'latin1')]);
  };

  it.each<[string, Buffer]>([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['a length of 2 GiB', startup(0x7fffffff, 196608)],
    ['a length of 0', startup(0, 196608)],
    ['protocol 2', startup(8, 131072)],
    ['random bytes', randomBytes(64)],
  ])('the TCP door answers %s with an error and closes the connection', async (_, bytes) => {
    const said = await tcp(bytes);
    expect(said).toMatch(/^E.*SFATAL.*C(08P01|0A000|28P01|28000|57014)/s);
  });

  it('the TCP door refuses a client that does not know the password', async () => {
    const url = new URL(database.postgresUrl);
    url.password = 'wrong';
    const client = new pg.Client({ connectionString: url.href });
    await expect(client.connect()).rejects.toMatchObject({
      code: '28P01',
      message: expect.stringMatching(/dormouse db show/),
    });
  });

  it.each<[string, Buffer]>([
    ['a message of an unknown type', Buffer.from([0x00, 0x00, 0x00, 0x00, 0x04])],
    ['an impossible length', Buffer.from([0x51, 0x00, 0x00, 0x00, 0x01])],
  ])('the TCP door ends a session that sends %s, and no other session', async (_, bytes) => {
    const victim = new pg.Client({ connectionString: database.postgresUrl });
    await victim.connect();
    const ended = new Promise<unknown>((resolve) => victim.on('error', resolve));
    const { stream } = (victim as unknown as { connection: { stream: { write(bytes: Uint8Array): void } } }).connection;
    stream.write(bytes);
    expect(await ended).toMatchObject({ message: expect.stringMatching(/protocol|message|terminated/i) });
  });
});

describe('the management API', () => {
  const api = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
    send(method, `/api${path}`, body, { authorization: `Bearer ${platform.adminToken}`, ...headers });

  it.each<[string, string, string | undefined, number, string]>([
    ['POST', '/databases', '{"name":', 400, 'request_invalid'],
    ['POST', '/databases', '{"name":"Not A Name"}', 400, 'name_invalid'],
    ['POST', '/databases', '{"name":"../../etc"}', 400, 'name_invalid'],
    ['POST', '/databases', '{"name":"bad"}', 409, 'name_taken'],
    ['POST', '/databases', '{}', 400, 'request_invalid'],
    ['GET', '/databases/nobody', undefined, 404, 'database_unknown'],
    ['POST', '/databases/nobody/stop', undefined, 404, 'database_unknown'],
    ['POST', '/databases/bad/keys', '{"role":"king"}', 400, 'request_invalid'],
    ['GET', '/nothing', undefined, 404, 'route_unknown'],
    ['PATCH', '/databases', undefined, 405, 'method_not_allowed'],
  ])('the management API answers %s %s %s with its error code', async (method, path, body, status, code) => {
    const reply = await api(method, path, body);
    expect([reply.status, JSON.parse(reply.text).code]).toEqual([status, code]);
    expect(JSON.parse(reply.text).message.length).toBeGreaterThan(20);
  });

  it('the management API refuses a wrong token, a foreign host and a foreign origin', async () => {
    const reply = await send('GET', '/api/databases', undefined, { authorization: 'Bearer wrong' });
    expect([reply.status, JSON.parse(reply.text).code]).toEqual([401, 'admin_token_invalid']);
    const origin = await api('GET', '/databases', undefined, { origin: 'https://evil.example' });
    expect([origin.status, JSON.parse(origin.text).code]).toEqual([403, 'origin_refused']);
    const head = `GET /api/databases HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer ${platform.adminToken}\r\nconnection: close\r\n\r\n`;
    const host = await exchange(platform.http, { head });
    expect([host.status, JSON.parse(host.body).code]).toEqual([403, 'origin_refused']);
  });
});

describe('a slow request', () => {
  it('a request whose headers or body come too slowly is answered when its time is over', async () => {
    const headers = await slowHeaders;
    expect(refusal({ status: headers.status, text: headers.body })).toEqual([408, 'P6005', 'body_timeout']);
    const body = await slowBody;
    expect(refusal({ status: body.status, text: body.body })).toEqual([408, 'P6005', 'body_timeout']);
  });
});

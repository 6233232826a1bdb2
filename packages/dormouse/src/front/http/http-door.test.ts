import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { openDoor } from '../../../test/support/open-door.ts';
import { type Cancellation, cryptoRandom, DormouseError, silentLogger, systemClock } from '../../base/index.ts';
import { openPort } from '../listen/index.ts';
import {
  createHttpDoor,
  DEFAULT_HTTP_LIMITS,
  type HttpDoor,
  type HttpDoorOptions,
  type HttpLimits,
  type ReplyHandler,
} from './index.ts';

const LIMITS: HttpLimits = { ...DEFAULT_HTTP_LIMITS, bodyBytesMax: 100_000, lingerMs: 300, drainMs: 300 };
const echo: ReplyHandler = (request) => ({
  status: 200,
  headers: { 'content-type': 'application/json', 'cf-ray': 'ray-local' },
  body: JSON.stringify({
    method: request.method,
    path: request.path,
    search: request.search,
    bytes: request.body.byteLength,
    header: request.header('x-test') ?? null,
  }),
});

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function door(
  options: Partial<Omit<HttpDoorOptions, 'limits'>> & { limits?: Partial<HttpLimits> } = {},
): Promise<{ port: number; url: string; door: HttpDoor }> {
  const made = createHttpDoor({
    handle: echo,
    mounts: [],
    upgrades: {},
    clock: systemClock,
    random: cryptoRandom,
    region: 'local',
    log: silentLogger,
    ...options,
    limits: { ...LIMITS, ...options.limits },
  });
  const port = await openDoor(made);
  open.push(() => made.close());
  return { port, url: `http://127.0.0.1:${port}`, door: made };
}

/** A bare connection: the test sends bytes as they are, and gets all that comes back until the server closes. */
function raw(port: number): { socket: Socket; all: Promise<string>; received: () => string } {
  const socket = connect(port, '127.0.0.1');
  open.push(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  const all = new Promise<string>((resolve) => socket.on('close', () => resolve(text)).on('error', () => {}));
  return { socket, all, received: () => text };
}

const head = (port: number, lines: string): string =>
  `POST /query HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${lines}\r\n\r\n`;

describe('createHttpDoor', () => {
  it('the door hands a minimal request to its handler and writes the minimal reply', async () => {
    const { url } = await door();
    const reply = await fetch(`${url}/a%20b?x=1`, { method: 'POST', body: 'hello', headers: { 'X-Test': 'yes' } });
    expect(await reply.json()).toEqual({ method: 'POST', path: '/a%20b', search: 'x=1', bytes: 5, header: 'yes' });
    expect(reply.headers.get('cf-ray')).toBe('ray-local');
    expect(reply.headers.get('content-length')).not.toBeNull();
  });

  it('the door writes texts and bytes of any length and script without changing them', async () => {
    const bodies = ['', 'é', 'plain', 'ÿ'.repeat(10_000), '\u{1f42d} 日本', 'x'.repeat(15 * 1024), 'é'.repeat(40_000)];
    const { url } = await door({
      handle: ({ path, search }) => {
        const body = bodies[Number(path.slice(1))] ?? '';
        return { status: 200, headers: {}, body: search === 'bytes' ? Buffer.from(body) : body };
      },
    });
    for (const [at, body] of bodies.entries()) {
      for (const form of ['text', 'bytes']) {
        const reply = await fetch(`${url}/${at}?${form}`);
        expect(await reply.text()).toBe(body);
        expect(reply.headers.get('content-length')).toBe(String(Buffer.byteLength(body)));
      }
    }
  });

  it('the door collects bodies of any framing', async () => {
    const { url } = await door();
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 50; i++) controller.enqueue(new Uint8Array(1000));
        controller.close();
      },
    });
    const chunked = await fetch(url, { method: 'POST', body: stream, duplex: 'half' } as RequestInit);
    expect(await chunked.json()).toMatchObject({ bytes: 50_000 });
    const whole = await fetch(url, { method: 'POST', body: new Uint8Array(100_000) });
    expect(await whole.json()).toMatchObject({ bytes: 100_000 });
    expect(await (await fetch(url)).json()).toMatchObject({ method: 'GET', bytes: 0 });
  });

  it('a body whose declared length is over the limit is refused at once, and its sender gets the reply', async () => {
    const { port, url } = await door();
    const reply = await fetch(`${url}/query`, { method: 'POST', body: new Uint8Array(5_000_000) });
    expect(reply.status).toBe(413);
    expect(await reply.json()).toMatchObject({ code: 'P6005', meta: { reason: 'body_too_large' } });
    expect(reply.headers.get('cf-ray')).toMatch(/^[0-9a-f]{16}-local$/);
    // Not one byte of the body was sent: the door does not wait for it.
    const { all } = ((one) => {
      one.socket.write(head(port, 'content-length: 100001'));
      return one;
    })(raw(port));
    expect(await all).toMatch(/^HTTP\/1\.1 413 .*connection: close/is);
  });

  it('a chunked body is refused as soon as it passes the limit', async () => {
    const { port } = await door();
    const { socket, received, all } = raw(port);
    socket.write(head(port, 'transfer-encoding: chunked'));
    const chunk = `2710\r\n${'x'.repeat(10_000)}\r\n`;
    for (let i = 0; i < 11; i++) socket.write(chunk);
    await expect.poll(received).toMatch(/^HTTP\/1\.1 413 /);
    // The client goes on sending without end, and its connection is cut.
    const more = setInterval(() => socket.write(chunk), 20);
    open.push(() => clearInterval(more));
    expect(await all).toContain('body_too_large');
  });

  it('an error at a path of Prisma 6 has the form that Prisma 6 reads', async () => {
    const { url } = await door();
    const reply = await fetch(`${url}/6.19.0/${'a'.repeat(64)}/graphql`, {
      method: 'POST',
      body: new Uint8Array(200_000),
    });
    expect(reply.status).toBe(413);
    expect(await reply.json()).toMatchObject({ code: 'P6005' });
  });

  it('the door answers 100 Continue to a body that it takes, and not to a body that it would refuse', async () => {
    const { port } = await door();
    const big = raw(port);
    big.socket.write(head(port, 'content-length: 100001\r\nexpect: 100-continue'));
    const text = await big.all;
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).not.toContain('100 Continue');
    const good = raw(port);
    good.socket.write(head(port, 'content-length: 5\r\nexpect: 100-continue'));
    await expect.poll(good.received).toContain('100 Continue');
    good.socket.write('hello');
    await expect.poll(good.received).toContain('"bytes":5');
  });

  it('a body that does not arrive in time is refused', async () => {
    const { port } = await door({ limits: { bodyMs: 50 } });
    const { socket, all } = raw(port);
    socket.write(`${head(port, 'content-length: 10')}hal`);
    expect(await all).toMatch(/^HTTP\/1\.1 408 .*body_timeout/s);
  });

  it('when arriving bodies hold too much memory, the body that has been arriving longest is refused, and others are taken', async () => {
    const { port } = await door({ limits: { arrivingBytesMax: 300_000 } });
    const part = 'x'.repeat(90_000);
    const greedy = Array.from({ length: 4 }, () => raw(port));
    for (const { socket } of greedy) {
      socket.write(head(port, 'content-length: 100000') + part);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await greedy[0]?.all).toMatch(/^HTTP\/1\.1 408 .*body_timeout/s);
    const small = raw(port);
    small.socket.write(`${head(port, 'content-length: 5')}hello`);
    await expect.poll(small.received).toContain('"bytes":5');
    // A body that was not refused is complete when its last byte arrives.
    greedy[3]?.socket.write('y'.repeat(10_000));
    await expect.poll(() => greedy[3]?.received()).toContain('"bytes":100000');
  });

  it('headers that do not arrive in time are refused', async () => {
    const { port } = await door({ limits: { headersMs: 50 } });
    const { socket, all } = raw(port);
    socket.write('POST /query HTTP/1.1\r\nhost: x\r\n');
    expect(await all).toMatch(/^HTTP\/1\.1 408 .*body_timeout/s);
  });

  it('a body that ends before its declared length is refused', async () => {
    const handled: string[] = [];
    const { port } = await door({
      handle: (request) => {
        handled.push(request.path);
        return { status: 200, headers: {}, body: '' };
      },
    });
    const { socket, all } = raw(port);
    socket.end(`${head(port, 'content-length: 10')}hal`);
    expect(await all).toMatch(/^HTTP\/1\.1 400 .*request_invalid/s);
    expect(handled).toEqual([]);
  });

  it.each([
    ['not HTTP at all', 'hello\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a length that is none', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n'],
    ['a negative length', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n'],
    ['a bad chunk', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nHost: other\r\n\r\n'],
    ['twice the same host', 'GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n'],
    ['a host that is none', 'GET / HTTP/1.1\r\nhost: x y\r\n\r\n'],
    ['a host with a path', 'GET / HTTP/1.1\r\nhost: x/y\r\n\r\n'],
    ['a target whose host is none', 'GET http://[/streams/all HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['a target with an empty host', 'GET http:///streams/all HTTP/1.1\r\nhost: x\r\n\r\n'],
    ['a target with a password', 'GET http://a:b@x/streams/all HTTP/1.1\r\nhost: x\r\n\r\n'],
  ])('a request with this mistake is refused with 400 and a message that says what is wrong: %s', async (_, bytes) => {
    const { port } = await door({ mounts: [{ path: '/streams', stream: () => expect.unreachable() }] });
    const { socket, all } = raw(port);
    socket.end(bytes);
    const [head, body] = (await all).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 400 .*^cf-ray: /ims);
    expect(JSON.parse(body as string)).toMatchObject({
      code: 'P6005',
      message: expect.stringMatching(/^.{20,}\.$/),
      meta: { reason: 'request_invalid' },
    });
  });

  it('the host of an absolute target replaces the Host header, and HTTP/1.0 needs no host', async () => {
    const { port } = await door({
      handle: (request) => ({ status: 200, headers: {}, body: `${request.path} at ${request.header('host')}` }),
    });
    for (const [bytes, seen] of [
      ['GET http://a.example:80/x?y HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n', '/x at a.example:80'],
      ['GET HTTP://[::1]:4400?y HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n', '/ at [::1]:4400'],
      ['GET /z HTTP/1.1\r\nhost: \r\nconnection: close\r\n\r\n', '/z at '],
      ['GET /z HTTP/1.0\r\n\r\n', '/z at undefined'],
    ] as const) {
      const { socket, all } = raw(port);
      socket.write(bytes);
      expect(await all).toMatch(new RegExp(`^HTTP/1.1 200 .*${seen.replace(/[[\].]/g, '\\$&')}$`, 's'));
    }
  });

  it('a connection on which nothing was sent is closed without a reply', async () => {
    const { port } = await door({ limits: { headersMs: 50 } });
    const silent = raw(port);
    expect(await silent.all).toBe('');
    // A connection that has sent a whole request before gets an error for a request that it began.
    const { socket, all } = raw(port);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\nGET');
    expect(await all).toMatch(/^HTTP\/1\.1 200 .*HTTP\/1\.1 408 /s);
  });

  it.each([
    'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
    'connection: upgrade\r\nupgrade: TLS/1.3, foo/2',
    'connection: upgrade\r\nupgrade: websocket',
    'connection: upgrade\r\nupgrade: ',
    'expect: a miracle',
  ])('a request that asks for more than the door offers is served as a plain request: %s', async (lines) => {
    const upgraded: string[] = [];
    const { port } = await door({ upgrades: { '/stream': ({ url }) => upgraded.push(String(url)) } });
    const asked = (path: string, body: string): string =>
      `POST ${path} HTTP/1.1\r\nhost: x\r\n${lines}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    for (const path of lines.includes('websocket') ? ['/query'] : ['/query', '/stream']) {
      const { socket, received } = raw(port);
      socket.write(asked(path, 'hello'));
      await expect.poll(received).toMatch(new RegExp(`^HTTP/1.1 200 .*"path":"${path}".*"bytes":5`, 's'));
      // The connection stays open, also for a request without a body.
      socket.write(asked(path, ''));
      await expect.poll(received).toMatch(/"bytes":5.*HTTP\/1\.1 200 .*"bytes":0/s);
    }
    expect(upgraded).toEqual([]);
  });

  it('CONNECT is refused with 405', async () => {
    const { port } = await door();
    const { socket, all } = raw(port);
    socket.write('CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n');
    expect(await all).toMatch(/^HTTP\/1\.1 405 .*method_not_allowed/s);
  });

  it('headers as large as those of the Pulse extension are taken, and larger headers are refused', async () => {
    const { port, url } = await door();
    expect((await fetch(url, { headers: { 'x-test': 'x'.repeat(200_000) } })).status).toBe(200);
    const { socket, all } = raw(port);
    socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(300_000)}\r\n\r\n`);
    expect(await all).toMatch(/^HTTP\/1\.1 431 .*headers_too_large/s);
  });

  it('the door goes on serving after any sequence of bytes', async () => {
    const { port, url } = await door({ limits: { headersMs: 50, bodyMs: 50, lingerMs: 50 } });
    // Close enough to HTTP to reach most of the parser.
    const part = fc.oneof(
      fc.constantFrom(
        'POST ',
        'GET ',
        '/query',
        ' HTTP/1.1\r\n',
        'host: x\r\n',
        'content-length: 5\r\n',
        'transfer-encoding: chunked\r\n',
      ),
      fc.constantFrom(
        'expect: 100-continue\r\n',
        'upgrade: websocket\r\nconnection: upgrade\r\n',
        '\r\n',
        '5\r\nhello\r\n',
        '0\r\n\r\n',
        '\0',
      ),
      fc.string({ maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 12 }), fc.boolean(), async (parts, hangUp) => {
        const { socket, all } = raw(port);
        await new Promise((resolve) => socket.write(parts.join(''), 'latin1', resolve));
        if (hangUp) socket.destroy();
        else socket.end();
        const text = await all;
        expect(text === '' || text.startsWith('HTTP/1.1 ')).toBe(true);
      }),
      { numRuns: 200 },
    );
    expect((await fetch(url)).status).toBe(200);
  });

  it('a request whose client hangs up is cancelled', async () => {
    let cancellation: Cancellation | undefined;
    const { port } = await door({
      handle: (_, given) => {
        cancellation = given;
        return new Promise(() => {});
      },
    });
    const { socket } = raw(port);
    socket.write(`${head(port, 'content-length: 2')}{}`);
    await expect.poll(() => cancellation).toBeDefined();
    expect(cancellation?.cancelled).toBe(false);
    socket.destroy();
    await expect.poll(() => cancellation?.cancelled).toBe(true);
  });

  it('a request that was answered is not cancelled, and its connection stays open', async () => {
    const cancellations: Cancellation[] = [];
    const { port } = await door({
      handle: (_, given) => {
        cancellations.push(given);
        return { status: 200, headers: {}, body: 'ok' };
      },
    });
    const { socket, received } = raw(port);
    socket.write(`${head(port, 'content-length: 2')}{}${head(port, 'content-length: 2')}{}`);
    await expect.poll(() => received().match(/HTTP\/1\.1 200/g)?.length).toBe(2);
    socket.destroy();
    await once(socket, 'close');
    expect(cancellations.map(({ cancelled }) => cancelled)).toEqual([false, false]);
  });

  it('an error that a handler throws becomes a reply, and the door goes on serving', async () => {
    let thrown: unknown = new DormouseError('queue_full');
    const { url } = await door({
      handle: () => {
        throw thrown;
      },
    });
    const full = await fetch(`${url}/query`);
    expect([full.status, full.headers.get('retry-after')]).toEqual([429, '1']);
    thrown = new TypeError('secret');
    const bug = await fetch(`${url}/query`);
    expect(bug.status).toBe(500);
    expect(await bug.text()).not.toContain('secret');
  });

  it('each mount gets the requests below its path, and the longest matching path wins', async () => {
    const named =
      (name: string): ReplyHandler =>
      () => ({ status: 200, headers: {}, body: name });
    const { url } = await door({
      mounts: [
        { path: '/api', reply: named('api') },
        { path: '/api/events', stream: (_, outgoing) => outgoing.end('stream') },
        { path: '/dashboard', reply: named('dashboard') },
      ],
    });
    const at = async (path: string): Promise<string> => (await fetch(url + path)).text();
    expect(
      await Promise.all(['/api', '/api/x', '/api/events', '/api/events/1', '/dashboard/', '/dashboard?x'].map(at)),
    ).toEqual(['api', 'api', 'stream', 'stream', 'dashboard', 'dashboard']);
    expect(await at('/apis')).toContain('"/apis"');
    const reply = await fetch(`${url}/api`);
    expect(reply.headers.get('cf-ray')).toMatch(/^[0-9a-f]{16}-local$/);
    expect(reply.headers.get('server-timing')).toMatch(/^total;dur=[\d.]+$/);
  });

  it('a target in the absolute form that proxies send is taken, and the reply of a stream has a cf-ray too', async () => {
    const { port } = await door({ mounts: [{ path: '/api/events', stream: (_, outgoing) => outgoing.end('stream') }] });
    const ask = (target: string): Promise<string> => {
      const one = raw(port);
      one.socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      return one.all;
    };
    expect(await ask('http://x:1/query?a=1')).toContain('"path":"/query","search":"a=1"');
    expect(await ask('http://x')).toContain('"path":"/"');
    expect(await ask('http://x?a')).toContain('"path":"/","search":"a"');
    expect(await ask('HTTP://x/api/events')).toMatch(/cf-ray: [0-9a-f]{16}-local.*stream$/is);
  });

  it('an upgrade goes to the handler of its path, and a request for any other upgrade is served as a plain request', async () => {
    const { port } = await door({
      upgrades: {
        '/stream': (incoming, socket) => {
          socket.end(
            `HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\nseen: ${incoming.url}\r\n\r\n`,
          );
        },
      },
    });
    const ask = (path: string): Promise<string> => {
      const one = raw(port);
      one.socket.write(
        `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h9, websocket\r\n\r\n`,
      );
      return one.all;
    };
    expect(await ask('/stream?a=1')).toContain('seen: /stream?a=1');
    expect(await ask('http://x/stream?a=1')).toContain('seen: /stream?a=1');
    expect(await ask('/other')).toMatch(/^HTTP\/1\.1 200 .*"path":"\/other"/s);
    expect(await ask('/constructor')).toMatch(/^HTTP\/1\.1 200 .*"path":"\/constructor"/s);
    expect(await ask('http://[/stream')).toMatch(/^HTTP\/1\.1 400 .*request_invalid/s);
  });

  it('the door goes on serving after a stream or an upgrade has thrown an error', async () => {
    const broken = (): never => {
      throw new TypeError('secret');
    };
    const { port, url } = await door({
      mounts: [{ path: '/events', stream: broken }],
      upgrades: { '/stream': broken },
    });
    const reply = await fetch(`${url}/events`);
    expect(reply.status).toBe(500);
    expect(await reply.text()).not.toContain('secret');
    const { socket, all } = raw(port);
    socket.write('GET /stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    expect(await all).toBe('');
    expect((await fetch(url)).status).toBe(200);
  });

  it('the reply to HEAD has no body', async () => {
    const { port } = await door();
    const answered = await new Promise<{ status: number | undefined; length: string | undefined }>(
      (resolve, reject) => {
        httpRequest({ port, method: 'HEAD', path: '/x' }, (incoming) => {
          incoming.resume();
          resolve({ status: incoming.statusCode, length: incoming.headers['content-length'] });
        })
          .on('error', reject)
          .end();
      },
    );
    expect(answered.status).toBe(200);
    expect(Number(answered.length)).toBeGreaterThan(0);
  });

  it('a door that closes finishes the requests in flight and takes no new ones', async () => {
    let finish: (() => void) | undefined;
    const {
      port,
      url,
      door: made,
    } = await door({
      limits: { drainMs: 10_000 },
      handle: () => new Promise((resolve) => (finish = () => resolve({ status: 200, headers: {}, body: 'done' }))),
    });
    const idle = raw(port);
    await once(idle.socket, 'connect');
    const inFlight = fetch(url);
    await expect.poll(() => finish).toBeDefined();
    const closing = made.close();
    await expect(fetch(url)).rejects.toThrow();
    finish?.();
    const reply = await inFlight;
    expect(await reply.text()).toBe('done');
    expect(reply.headers.get('connection')).toBe('close');
    await closing;
    await idle.all;
  });

  it('a door that closes cuts requests that do not finish in time', async () => {
    let asked = false;
    const { port, door: made } = await door({
      limits: { drainMs: 50 },
      handle: () => {
        asked = true;
        return new Promise(() => {});
      },
    });
    const { socket, all } = raw(port);
    socket.write(`${head(port, 'content-length: 2')}{}`);
    await expect.poll(() => asked).toBe(true);
    await made.close();
    expect(await all).toBe('');
  });

  it('a door that closes does not wait for streams, upgraded connections or silent connections', async () => {
    const handled: string[] = [];
    const { port, door: made } = await door({
      limits: { drainMs: 600_000 },
      mounts: [
        {
          path: '/events',
          stream: (_, outgoing) => {
            handled.push('stream');
            outgoing.writeHead(200).write('x');
          },
        },
      ],
      upgrades: { '/stream': () => handled.push('upgrade') },
    });
    const silent = raw(port);
    const stream = raw(port);
    const upgraded = raw(port);
    stream.socket.write('GET /events HTTP/1.1\r\nhost: x\r\n\r\n');
    upgraded.socket.write('GET /stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    await expect.poll(() => handled.length).toBe(2);
    await made.close();
    await Promise.all([silent.all, stream.all, upgraded.all]);
  });

  it('the error says which port is in use, or which address is not one of this machine', async () => {
    const other = createTcpServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    open.push(() => other.close());
    const { port } = other.address() as { port: number };
    const at = { portFlag: '--port', log: silentLogger } as const;
    await expect(openPort({ ...at, host: '127.0.0.1', port })).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(String(port)),
    });
    await expect(openPort({ ...at, host: '192.0.2.1', port: 0 })).rejects.toMatchObject({ code: 'usage_invalid' });
  });
});

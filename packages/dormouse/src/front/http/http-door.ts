import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  Cancellation,
  type Clock,
  DormouseError,
  type Logger,
  type MinimalReply,
  newRequestId,
  protocolOf,
  type RandomBytes,
  toDormouseError,
} from '../../base/index.ts';
import { renderError } from '../../edge/index.ts';
import type { OpenPort } from '../listen/index.ts';
import { DoorRequest, declaredBytes } from './door-request.ts';
import { findMount, type Mount, type ReplyHandler, sortMounts, type UpgradeHandler } from './mounts.ts';
import { asksWebSocket, NodeRequest, settleAddress, targetOf } from './node-request.ts';
import { parseFailure, refuseSocket } from './refuse-socket.ts';
import { ARRIVING_BYTES_MAX, SlowBodies } from './slow-bodies.ts';

/** Bounds of the door, each a flag of `dormouse start` where users need it. */
export interface HttpLimits {
  readonly bodyBytesMax: number;
  readonly bodyMs: number;
  /** Memory of all arriving bodies. */
  readonly arrivingBytesMax: number;
  readonly headerBytesMax: number;
  readonly headersMs: number;
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
  /** Longest that a close waits for replies in flight. */
  readonly drainMs: number;
  /** Longest that a refused body is read and thrown away, so that its sender sees the answer instead of a reset. */
  readonly lingerMs: number;
}

export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  bodyBytesMax: 16 * 1024 * 1024,
  bodyMs: 60_000,
  arrivingBytesMax: ARRIVING_BYTES_MAX,
  // The Pulse extension sends a model's schema in a header; Node's own 16 KiB refuses large models.
  headerBytesMax: 256 * 1024,
  headersMs: 20_000,
  // Longer than common clients and proxies keep an idle connection, so that they close it first and never send a
  // request on a connection that the door is closing.
  keepAliveMs: 75_000,
  connectionsMax: 10_000,
  drainMs: 10_000,
  lingerMs: 2_000,
};

export interface HttpDoorOptions {
  /** Serves every request that no mount takes: the edge. */
  readonly handle: ReplyHandler;
  readonly mounts: readonly Mount[];
  /** By exact path. */
  readonly upgrades: Readonly<Record<string, UpgradeHandler>>;
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly region: string;
  readonly log: Logger;
}

export interface HttpDoor {
  /** Serves the connections of an open port, beginning with those that wait there. */
  listen(port: OpenPort): Promise<void>;
  /**
   * Stops accepting, cuts streams and upgraded connections (their handlers should have ended them before),
   * lets replies in flight finish for `drainMs` at most, then cuts what is left.
   */
  close(): Promise<void>;
}

export function createHttpDoor(options: HttpDoorOptions): HttpDoor {
  return new NodeHttpDoor(options);
}

/** Bodies up to this go out with their head: libuv writes texts of up to 16 KiB without memory of their own. */
const ONE_WRITE_BYTES_MAX = 15 * 1024;

/** How many requests a connection has in flight; upgraded ones and endless streams count none. */
interface Connection {
  inFlight: number;
}

class NodeHttpDoor implements HttpDoor {
  readonly #options: HttpDoorOptions;
  readonly #mounts: readonly Mount[];
  readonly #server: Server<typeof DoorRequest>;
  readonly #connections = new Map<Duplex, Connection>();
  readonly #slowBodies: SlowBodies;
  #closing = false;

  constructor(options: HttpDoorOptions) {
    const { clock, limits, random, region } = options;
    this.#options = options;
    this.#slowBodies = new SlowBodies(clock, limits.bodyMs, limits.arrivingBytesMax);
    this.#mounts = sortMounts(options.mounts);
    const { upgrades } = options;
    this.#server = createServer({
      IncomingMessage: class extends DoorRequest {
        protected override takesUpgrade(): boolean {
          return asksWebSocket(this) && handlerOf(upgrades, targetOf(this)) !== undefined;
        }
      },
      // The door answers a request without Host itself, like any other request that cannot be understood.
      requireHostHeader: false,
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersMs,
      // Bodies have their own clock here; Node's would also end streams that take long to arrive by design.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(limits.headersMs, 5_000),
      keepAliveTimeout: limits.keepAliveMs,
      noDelay: true,
    });
    this.#server.maxConnections = limits.connectionsMax;
    this.#server
      .on('connection', (socket: Duplex) => {
        this.#connections.set(socket, { inFlight: 0 });
        socket.on('close', () => this.#connections.delete(socket));
      })
      .on('request', (incoming, outgoing) => this.#serve(incoming, outgoing))
      .on('checkContinue', (incoming, outgoing) => this.#serve(incoming, outgoing, true))
      // Any other expectation may be ignored (RFC 9110, section 10.1.1); Node would answer 417 without an explanation.
      .on('checkExpectation', (incoming, outgoing) => this.#serve(incoming, outgoing))
      .on('connect', (_, socket) => refuseSocket(socket, new DormouseError('method_not_allowed'), random, region))
      .on('upgrade', (incoming, socket, head) => this.#upgrade(incoming, socket, head))
      .on('clientError', (error: NodeJS.ErrnoException, socket) => {
        // No request was sent, as on a connection that a pool opened in advance: there is nothing to answer.
        const unused = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && (socket as Socket).bytesRead === 0;
        if (error.code === 'ECONNRESET' || unused) socket.destroy();
        else refuseSocket(socket, parseFailure(error), random, region);
      });
  }

  listen(port: OpenPort): Promise<void> {
    return port.handTo(this.#server);
  }

  async close(): Promise<void> {
    if (this.#closing || !this.#server.listening) return;
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // Node counts a connection without any request as busy, and waits for upgraded connections without end.
    for (const [socket, { inFlight }] of this.#connections) if (inFlight === 0) socket.destroy();
    const cut = this.#options.clock.after(this.#options.limits.drainMs, () => {
      for (const socket of this.#connections.keys()) socket.destroy();
    });
    await closed;
    // The server did not count the connections that waited for it on the open port.
    await Promise.all([...this.#connections.keys()].map((socket) => once(socket, 'close')));
    cut.cancel();
    this.#slowBodies.stop();
  }

  #serve(incoming: DoorRequest, outgoing: ServerResponse, expectsContinue = false): void {
    const refusal = this.#closing ? new DormouseError('shutting_down') : settleAddress(incoming);
    if (refusal !== undefined) {
      const reply = this.#rendered(refusal, incoming);
      this.#send(incoming, outgoing, reply, this.#options.clock.monotonic());
      return;
    }
    const url = incoming.url ?? '/';
    const question = url.indexOf('?');
    const mount = findMount(this.#mounts, question < 0 ? url : url.slice(0, question));
    if (mount && 'stream' in mount) {
      if (expectsContinue) outgoing.writeContinue();
      outgoing.setHeader('cf-ray', this.#ray());
      try {
        mount.stream(incoming, outgoing);
      } catch (thrown) {
        // Stream handlers answer their own errors; an error that one of them throws must not end the platform.
        if (outgoing.headersSent) outgoing.destroy();
        else this.#send(incoming, outgoing, this.#rendered(thrown, incoming), this.#options.clock.monotonic());
      }
      return;
    }
    this.#collect(incoming, outgoing, mount ? mount.reply : this.#options.handle, expectsContinue);
  }

  #collect(incoming: DoorRequest, outgoing: ServerResponse, handle: ReplyHandler, expectsContinue: boolean): void {
    const { clock, limits } = this.#options;
    const startedMs = clock.monotonic();
    const cancellation = new Cancellation();
    const connection = this.#connections.get(incoming.socket);
    if (connection !== undefined) connection.inFlight += 1;
    outgoing.on('close', () => {
      if (connection !== undefined) connection.inFlight -= 1;
      if (outgoing.writableFinished) return;
      incoming.abandon();
      cancellation.cancel();
    });
    if (expectsContinue && (declaredBytes(incoming) ?? 0) <= limits.bodyBytesMax) outgoing.writeContinue();
    incoming.collect(limits.bodyBytesMax, this.#slowBodies, startedMs, (body, failure) => {
      if (failure === undefined) void this.#answer(incoming, outgoing, handle, body, cancellation, startedMs);
      else this.#send(incoming, outgoing, this.#rendered(failure, incoming), startedMs);
    });
  }

  async #answer(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    handle: ReplyHandler,
    body: Uint8Array,
    cancellation: Cancellation,
    startedMs: number,
  ): Promise<void> {
    let reply: MinimalReply;
    try {
      reply = await handle(new NodeRequest(incoming, body), cancellation);
    } catch (thrown) {
      reply = this.#rendered(thrown, incoming);
    }
    this.#send(incoming, outgoing, reply, startedMs);
  }

  /** Id and region of a reply that did not come from the edge. */
  #ray(): string {
    return `${newRequestId(this.#options.random)}-${this.#options.region}`;
  }

  #rendered(thrown: unknown, incoming: IncomingMessage): MinimalReply {
    const error = toDormouseError(thrown);
    if (error.code === 'internal')
      this.#options.log.log('error', error.message, { path: incoming.url, cause: error.cause });
    return renderError(error, protocolOf(targetOf(incoming)));
  }

  #send(incoming: IncomingMessage, outgoing: ServerResponse, reply: MinimalReply, startedMs: number): void {
    if (outgoing.destroyed || outgoing.headersSent) return;
    const { headers, body } = reply;
    const bodiless = reply.status === 204 || reply.status === 304;
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (!bodiless) headers['content-length'] = String(bytes);
    // Every reply has these headers; a reply of the edge already has them.
    if (headers['cf-ray'] === undefined) {
      headers['cf-ray'] = this.#ray();
      headers['server-timing'] ??= `total;dur=${(this.#options.clock.monotonic() - startedMs).toFixed(3)}`;
    }
    const unread = !incoming.complete;
    if (unread || this.#closing) headers.connection = 'close';
    outgoing.writeHead(reply.status, headers);
    if (unread && incoming.method !== 'HEAD') this.#linger(incoming, outgoing, body);
    else if (bodiless || incoming.method === 'HEAD') outgoing.end();
    else if (bytes > ONE_WRITE_BYTES_MAX) outgoing.end(body);
    else endAtOnce(outgoing, latin1Of(body, bytes));
  }

  /**
   * Answers while the body still comes. Closing with unread bytes would make the kernel send a reset, which can
   * overtake the answer: the whole answer is written, the rest of the body thrown away for a bounded time, and only
   * then the reply ended.
   */
  #linger(incoming: IncomingMessage, outgoing: ServerResponse, body: string | Uint8Array): void {
    const timer = this.#options.clock.after(this.#options.limits.lingerMs, () => end());
    const end = (): void => {
      timer.cancel();
      outgoing.end(() => incoming.destroy());
    };
    incoming.once('end', end).once('close', end).resume();
    outgoing.write(body);
  }

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { upgrades, random, region } = this.#options;
    const refusal = this.#closing ? new DormouseError('shutting_down') : settleAddress(incoming);
    const url = incoming.url ?? '/';
    const handler = handlerOf(upgrades, url);
    if (refusal !== undefined) refuseSocket(socket, refusal, random, region);
    else if (handler) {
      try {
        handler(incoming, socket, head);
      } catch (thrown) {
        // As with streams, an error of a handler must not end the platform.
        this.#options.log.log('error', 'an upgrade failed', { path: url, cause: thrown });
        socket.destroy();
      }
    } else refuseSocket(socket, new DormouseError('route_unknown'), random, region);
  }
}

function handlerOf(upgrades: HttpDoorOptions['upgrades'], target: string): UpgradeHandler | undefined {
  const path = target.split('?', 1)[0] ?? '/';
  return Object.hasOwn(upgrades, path) ? upgrades[path] : undefined;
}

/** The bytes of a body as the text that is written as these bytes. */
function latin1Of(body: string | Uint8Array, bytes: number): string {
  if (typeof body !== 'string') return Buffer.from(body.buffer, body.byteOffset, bytes).toString('latin1');
  return bytes === body.length ? body : Buffer.from(body).toString('latin1');
}

/**
 * Ends a reply in one write. Node would gather head, body and an empty end, which costs a query a tenth more time. Node
 * writes the finished head by itself, so the body is appended to the head.
 */
function endAtOnce(outgoing: ServerResponse & { _header?: unknown }, body: string): void {
  if (typeof outgoing._header !== 'string') {
    outgoing.end(body, 'latin1');
    return;
  }
  outgoing._header += body;
  outgoing.end();
}

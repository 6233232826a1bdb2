import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Clock, DormouseError, type ErrorCode, type Logger, toDormouseError } from '../../base/index.ts';
import type { DatabaseEvents } from '../database-events.ts';
import type { CursorKey, StoredEvent } from '../log/index.ts';
import { follow, formatOffset, type Position, parseOffset } from '../log/index.ts';
import { CursorKeeper, resume } from './cursor-keeper.ts';
import { compileFilter, type EventFilter, passes } from './filter.ts';
import { columnOf, type Model, parseModel, taggedRow } from './model.ts';
import { recheck } from './recheck.ts';
import { checkName } from './stream-request.ts';

/** Acknowledgements have 100 bytes; no Pulse client sends more than this. */
const MESSAGE_BYTES_MAX = 4096;
/** Bytes of frames that may wait in a slow socket before the next event is read from the log. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
/** A connection is pinged this often, and counts as dead if it has sent nothing between two pings. */
const PING_MS = 30_000;
/** WebSocket close codes (RFC 6455, section 7.4). */
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
const SERVER_ERROR = 1011;

/** The codes of `PrismaPulseError`; an error that is not listed is P6100, a failure of the server. */
const PULSE_CODES: Readonly<Partial<Record<ErrorCode, string>>> = {
  key_missing: 'P6102',
  key_invalid: 'P6102',
  key_expired: 'P6102',
  key_revoked: 'P6102',
  permission_denied: 'P6102',
  database_unknown: 'P6101',
  database_deleted: 'P6101',
  version_unsupported: 'P6105',
  streams_disabled: 'P6106',
};

export interface PulseOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often the key of an open stream is checked again. */
  readonly recheckMs: number;
  newRay(): string;
}

interface Subscription {
  readonly model: Model;
  readonly filter: EventFilter;
  /** The cursor; undefined: events from now on, delivered at most once. */
  readonly key: CursorKey | undefined;
}

/**
 * Node gives header bytes as latin1, and its own client sends characters up to U+00FF that way; other clients send
 * UTF-8. Bytes that are valid UTF-8 are taken as UTF-8: latin1 text hardly ever is valid UTF-8 by chance.
 */
function headerText(text: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'latin1'));
  } catch {
    return text;
  }
}

function headerJson(request: IncomingMessage, name: string): unknown {
  const text = request.headers[name];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(headerText(String(text)));
  } catch (cause) {
    throw new DormouseError('request_invalid', { message: `The header ${name} is not JSON.`, cause });
  }
}

function parseSubscription(request: IncomingMessage): Subscription {
  const subscription = headerJson(request, 'subscription');
  if (typeof subscription !== 'object' || subscription === null) {
    throw new DormouseError('request_invalid', { message: 'The header subscription is missing.' });
  }
  const { model: entry, modelName, where } = subscription as { model?: unknown; modelName?: unknown; where?: unknown };
  const model = parseModel(modelName, entry);
  const filter = compileFilter(where, columnOf(model));
  const durable = request.url?.split('?', 1)[0] === '/stream';
  const stream = durable ? headerJson(request, 'stream') : undefined;
  const name = (stream as { name?: unknown } | null | undefined)?.name;
  if (name === undefined) return { model, filter, key: undefined };
  if (typeof name !== 'string')
    throw new DormouseError('request_invalid', { message: "A stream's name must be a text." });
  return { model, filter, key: { kind: 'pulse', subject: model.name, name: checkName(name) } };
}

/** The text frame of an event that the filter lets through. */
export function pulseFrame(model: Model, event: StoredEvent): string | undefined {
  const { relation, before, after } = event;
  if (relation === undefined) return undefined;
  const id = formatOffset(event.position, event.epoch);
  const modelName = model.name;
  switch (event.operation) {
    case 'insert':
      return after && JSON.stringify({ id, modelName, action: 'create', created: taggedRow(model, relation, after) });
    case 'update': {
      if (after === undefined) return undefined;
      // Without REPLICA IDENTITY FULL an old row is printed only when the key changed, and it holds only the key.
      const whole = before?.every((value) => value !== 0);
      return JSON.stringify({
        id,
        modelName,
        action: 'update',
        after: taggedRow(model, relation, after),
        before: before !== undefined && whole === true ? taggedRow(model, relation, before) : null,
      });
    }
    case 'delete':
      return before && JSON.stringify({ id, modelName, action: 'delete', deleted: taggedRow(model, relation, before) });
    default:
      // The protocol has no message for truncations and gaps.
      return undefined;
  }
}

/** The Pulse protocol, as the stock `@prisma/extension-pulse` speaks it. */
export class PulseDoor {
  readonly #options: PulseOptions;
  readonly #server: WebSocketServer = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  });

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  /**
   * Takes over a socket after `Upgrade: websocket`. `prove` gives the events of the key's database; it is called again
   * while the socket is open, and fails once the key is revoked.
   */
  async upgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    prove: () => Promise<DatabaseEvents>,
  ): Promise<void> {
    socket.on('error', () => socket.destroy());
    let leave: (() => void) | undefined;
    try {
      const events = await prove();
      events.checkReadable();
      const subscription = parseSubscription(request);
      await events.catalog.check(subscription.model.table);
      leave = events.subscribers.enter();
      const start = await this.#start(events, subscription);
      if (socket.destroyed) {
        leave();
        return;
      }
      const left = leave;
      this.#server.handleUpgrade(request, socket, head, (webSocket) => {
        void this.#serve(webSocket, events, subscription, start, prove).finally(left);
      });
      // If ws refuses the handshake, it does not call back: the place is given back when the socket closes.
      socket.once('close', left);
    } catch (thrown) {
      leave?.();
      this.#refuse(socket, toDormouseError(thrown));
    }
  }

  /** Ends all connections; their clients come back by themselves. */
  close(): void {
    for (const webSocket of this.#server.clients) {
      webSocket.close(GOING_AWAY);
      webSocket.terminate();
    }
    this.#server.close();
  }

  async #start(events: DatabaseEvents, { key }: Subscription): Promise<Position> {
    const now = async (): Promise<Position> => (await events.log.state()).tail;
    if (key === undefined) return now();
    const { position, skipped } = await resume(events.log, key, now);
    if (skipped) {
      this.#options.logger.log('warn', 'a pulse stream was away for longer than its events are kept', {
        database: events.databaseId,
        stream: key.name,
      });
    }
    return position;
  }

  async #serve(
    webSocket: WebSocket,
    events: DatabaseEvents,
    { model, filter, key }: Subscription,
    after: Position,
    prove: () => Promise<unknown>,
  ): Promise<void> {
    const { clock, logger, recheckMs } = this.#options;
    const ended = new AbortController();
    const keeper = key && new CursorKeeper(events.log, key, after, clock, logger);
    let heard = true;
    const hear = (): void => {
      heard = true;
    };
    webSocket.on('ping', hear).on('pong', hear);
    webSocket.on('error', () => webSocket.terminate());
    webSocket.on('close', () => ended.abort());
    webSocket.on('message', (data) => {
      hear();
      const position = acknowledgedBy(String(data));
      if (position === undefined) webSocket.close(POLICY_VIOLATION);
      else keeper?.acknowledged(position);
    });
    recheck(clock, recheckMs, ended.signal, prove, () => webSocket.close(POLICY_VIOLATION));
    recheck(
      clock,
      PING_MS,
      ended.signal,
      () => {
        if (!heard) throw new DormouseError('stream_gone');
        heard = false;
        webSocket.ping();
      },
      () => webSocket.terminate(),
    );
    const late = (): void => webSocket.terminate();
    const endWithLog = events.onClose(() => webSocket.close(GOING_AWAY));
    try {
      for await (const batch of follow({ from: events, after, tables: [model.table], signal: ended.signal, late })) {
        for (const event of batch.events) {
          if (ended.signal.aborted) return;
          if (!passes(filter, event)) continue;
          const frame = pulseFrame(model, event);
          if (frame === undefined) continue;
          keeper?.sent(event.position);
          const flushed = new Promise((resolve) => webSocket.send(frame, resolve));
          if (webSocket.bufferedAmount > BUFFERED_BYTES_MAX) await flushed;
        }
        keeper?.passed(batch.upTo);
      }
    } catch (error) {
      if (!ended.signal.aborted) {
        logger.log('warn', 'a pulse stream failed', { database: events.databaseId, error: String(error) });
        webSocket.close(SERVER_ERROR);
      }
    } finally {
      endWithLog();
      await keeper?.close();
    }
  }

  /** Answers with an error instead of 101; the extension reads the code from the body. */
  #refuse(socket: Duplex, error: DormouseError): void {
    if (error.code === 'internal') this.#options.logger.log('error', 'pulse', { error: String(error.cause) });
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const ray = this.#options.newRay();
    const body = JSON.stringify({
      code: PULSE_CODES[error.code] ?? 'P6100',
      message: error.publicMessage,
      requestId: ray,
      details: { reason: error.code },
    });
    socket.end(
      `HTTP/1.1 ${error.row.status} ${error.code}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
        `cf-ray: ${ray}\r\nserver-timing: total;dur=0.000\r\nconnection: close\r\n\r\n${body}`,
    );
  }
}

/**
 * The position of `{"type":"ack","id"}`; undefined for any other message. The epoch is not checked here: the cursor
 * keeper takes no position beyond what was sent.
 */
function acknowledgedBy(text: string): Position | undefined {
  try {
    const message = JSON.parse(text) as { type?: unknown; id?: unknown } | null;
    if (message?.type !== 'ack' || typeof message.id !== 'string') return undefined;
    return parseOffset(message.id)?.position;
  } catch {
    return undefined;
  }
}

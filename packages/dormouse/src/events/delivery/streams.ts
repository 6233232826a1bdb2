import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, DormouseError, type Logger, toDormouseError } from '../../base/index.ts';
import type { DatabaseEvents } from '../database-events.ts';
import type { TableName } from '../log/index.ts';
import { comparePositions, formatOffset, type Position } from '../log/index.ts';
import { replyWithBatch } from './catch-up-reply.ts';
import { resume } from './cursor-keeper.ts';
import { serveCursor } from './cursor-resource.ts';
import { compileFilter } from './filter.ts';
import { replyByLongPoll, replyByServerSentEvents } from './live-replies.ts';
import { recheck } from './recheck.ts';
import { writeStreamHead } from './stream-headers.ts';
import { positionOf, type Reading } from './stream-reading.ts';
import { checkName, cursorKey, parseJson, parseTarget } from './stream-request.ts';

export interface StreamsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a long-poll waits for an event. */
  readonly longPollMs: number;
  /** After this long an SSE reply ends, and the reader comes back with its offset. */
  readonly sseMs: number;
  /** How often the key of an open stream is checked again. */
  readonly recheckMs: number;
  newRay(): string;
}

type Live = 'long-poll' | 'sse';

/** A GET of a stream whose key has been proved. */
interface StreamGet {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly events: DatabaseEvents;
  readonly table: TableName | undefined;
  readonly query: URLSearchParams;
  readonly prove: () => Promise<unknown>;
  /** Aborted when the reply ends, also when its reader hangs up: nothing is read for it any more. */
  readonly ended: AbortController;
}

/**
 * Reads of the Durable Streams protocol, JSON mode: `GET /streams/all` and `/streams/tables/SCHEMA/TABLE` with `offset`
 * and `live`, and HEAD. On top of the protocol: `filter` (which events) and `name` (a cursor that is kept on the
 * server: created at `offset`, by default at the tail; moved by `POST …/cursors/NAME {"offset"}`). Capture is the only
 * producer: every method that would write is 405.
 */
export class StreamsDoor {
  readonly #options: StreamsOptions;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Serves one request, and answers its errors. `prove` gives the events of the key's database. */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    prove: () => Promise<DatabaseEvents>,
  ): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonic();
    response.setHeader('cf-ray', this.#options.newRay());
    response.setHeader('x-content-type-options', 'nosniff');
    response.on('error', () => response.destroy());
    const ended = new AbortController();
    response.once('close', () => ended.abort());
    try {
      const events = await prove();
      events.checkReadable();
      response.setHeader('server-timing', `auth;dur=${(clock.monotonic() - startedMs).toFixed(3)}`);
      const [path = '', query = ''] = pathAndQuery(request.url ?? '/');
      const { table, cursor } = parseTarget(path);
      if (table !== undefined) await events.catalog.check(table);
      if (cursor !== undefined) {
        await serveCursor(request, response, { events, table, name: cursor, clock });
      } else if (request.method === 'HEAD') {
        const state = await events.log.state();
        writeStreamHead(response, 200, { offset: formatOffset(state.tail, state.epoch) });
        response.end();
      } else if (request.method === 'GET') {
        await this.#read({ request, response, events, table, query: new URLSearchParams(query), prove, ended });
      } else {
        throw new DormouseError('method_not_allowed', { meta: { allow: 'GET, HEAD' } });
      }
    } catch (thrown) {
      this.#fail(request, response, toDormouseError(thrown));
    }
  }

  async #read(get: StreamGet): Promise<void> {
    const { request, response, events, table, query, ended } = get;
    const live = liveOf(query.get('live'));
    const name = query.get('name');
    const offset = query.get('offset');
    if (live !== undefined && offset === null && name === null) {
      throw new DormouseError('request_invalid', {
        message: 'A live read needs an offset (-1, now, or one it was given).',
      });
    }
    const filterText = query.get('filter');
    const filter = filterText === null ? undefined : compileFilter(parseJson(filterText, 'filter'), (column) => column);
    const from = (): Promise<Position> => positionOf(events, offset ?? (name === null ? '-1' : 'now'));
    const place =
      name === null
        ? { position: await from(), skipped: false }
        : await resume(events.log, cursorKey(table, checkName(name)), from);
    const reading: Reading = { events, table, filter, after: place.position, skipped: place.skipped };
    if (live !== undefined) return this.#readLive(get, reading, live);
    const { clock } = this.#options;
    await replyWithBatch(request, response, reading, { now: offset === 'now', signal: ended.signal, clock });
  }

  async #readLive({ response, events, query, prove, ended }: StreamGet, reading: Reading, live: Live): Promise<void> {
    const { clock, recheckMs, sseMs, longPollMs } = this.#options;
    // Told as a status: once the headers are sent, an error is only a broken connection, and the reader comes back.
    const { floor } = await events.log.state();
    if (comparePositions(reading.after, floor) < 0) throw new DormouseError('stream_gone');
    const leave = events.subscribers.enter();
    const end = (): void => ended.abort();
    const forget = events.onClose(end);
    try {
      recheck(clock, recheckMs, ended.signal, prove, end);
      const options = { clock, cursor: query.get('cursor'), ended };
      if (live === 'sse') await replyByServerSentEvents(response, reading, { ...options, ms: sseMs });
      else await replyByLongPoll(response, reading, { ...options, ms: longPollMs });
    } finally {
      end();
      forget();
      leave();
    }
  }

  #fail(request: IncomingMessage, response: ServerResponse, error: DormouseError): void {
    if (response.destroyed) return;
    if (error.code === 'internal') {
      this.#options.logger.log('error', 'streams', { path: request.url, error: String(error.cause) });
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const allow = error.meta?.allow;
    if (typeof allow === 'string') response.setHeader('allow', allow);
    const { row, publicMessage: message } = error;
    // A request body that is not read ends with the connection.
    if (!request.complete) response.setHeader('connection', 'close');
    if (!response.hasHeader('server-timing')) response.setHeader('server-timing', 'total;dur=0.000');
    response.writeHead(row.status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify({ code: row.prisma7, message, error: message, meta: { reason: error.code } }));
  }
}

function liveOf(text: string | null): Live | undefined {
  if (text === null) return undefined;
  if (text === 'long-poll' || text === 'sse') return text;
  throw new DormouseError('request_invalid', { message: 'The parameter live must be long-poll or sse.' });
}

/** The URL as it was sent: a URL parser would take a table named `..` for the folder above. */
function pathAndQuery(url: string): string[] {
  if (url.startsWith('/')) return url.split(/\?(.*)/s, 2);
  const { pathname, search } = new URL(url);
  return [pathname, search];
}

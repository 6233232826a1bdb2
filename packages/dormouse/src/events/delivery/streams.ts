import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, DormouseError, type Logger, toDormouseError } from '../../base/index.ts';
import type { DatabaseEvents } from '../database-events.ts';
import type { ReadResult, RelationDefinition, StoredEvent, TableName } from '../log/index.ts';
import {
  type Batch,
  comparePositions,
  type FollowOptions,
  follow,
  formatOffset,
  ORIGIN,
  type Position,
  parseOffset,
  READ_EVENTS_MAX,
  readBatch,
  recheck,
} from '../log/index.ts';
import { resume } from './cursor-keeper.ts';
import { compileFilter, type EventFilter, passes } from './filter.ts';
import { stateMessage } from './state-message.ts';
import { checkName, cursorKey, parseJson, parseTarget, readText } from './stream-request.ts';

export interface StreamsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a long-poll waits for an event. */
  readonly longPollMs: number;
  /** After this an SSE reply ends, and the reader comes back with its offset. */
  readonly sseMs: number;
  /** How often an open stream's key is looked at again. */
  readonly recheckMs: number;
  newRay(): string;
}

/**
 * A reply that is not live has this long to be taken: it holds memory, and its reader can come back with its offset.
 */
const REPLY_TAKEN_MS = 60_000;
/** Silence on an SSE reply is broken by a comment this often, so that proxies keep it. */
const HEARTBEAT_MS = 15_000;
/** Durable Streams 8.1: cursors count intervals of 20 s since 2024-10-09. */
const CURSOR_INTERVAL_MS = 20_000;
const CURSOR_ORIGIN_MS = Date.UTC(2024, 9, 9);

interface Reading {
  readonly events: DatabaseEvents;
  readonly table: TableName | undefined;
  /** Undefined: everything, control messages too. */
  readonly filter: EventFilter | undefined;
  readonly after: Position;
  /** The named place lay before what is kept. */
  readonly skipped: boolean;
}

/**
 * Reads of the Durable Streams protocol, JSON mode: `GET /streams/all` and `/streams/tables/SCHEMA/TABLE` with `offset`
 * and `live`, HEAD, and on top of the protocol `filter` (what to see) and `name` (a place kept on the server: created
 * at `offset`, by default at the tail; moved by `POST …/cursors/NAME {"offset"}`). Capture is the only producer:
 * whatever would write is 405.
 */
export class StreamsDoor {
  readonly #options: StreamsOptions;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    prove: () => Promise<DatabaseEvents>,
  ): Promise<void> {
    const startedMs = this.#options.clock.monotonic();
    response.setHeader('cf-ray', this.#options.newRay());
    response.setHeader('x-content-type-options', 'nosniff');
    response.on('error', () => response.destroy());
    const ended = new AbortController();
    // Also of a reader who hangs up while it waits: nothing is read for it any more.
    response.once('close', () => ended.abort());
    try {
      const events = await prove();
      events.checkReadable();
      response.setHeader('server-timing', `auth;dur=${(this.#options.clock.monotonic() - startedMs).toFixed(3)}`);
      const [path = '', query = ''] = pathAndQuery(request.url ?? '/');
      const target = parseTarget(path);
      if (target.table !== undefined) await events.catalog.check(target.table);
      if (target.cursor !== undefined) {
        await this.#cursor(request, response, events, target.table, target.cursor);
      } else if (request.method === 'HEAD') {
        const state = await events.log.state();
        head(response, 200, { offset: formatOffset(state.tail, state.epoch) });
        response.end();
      } else if (request.method === 'GET') {
        await this.#read(request, response, events, target.table, new URLSearchParams(query), prove, ended);
      } else {
        throw new DormouseError('method_not_allowed', { meta: { allow: 'GET, HEAD' } });
      }
    } catch (thrown) {
      this.#fail(request, response, toDormouseError(thrown));
    }
  }

  async #read(
    request: IncomingMessage,
    response: ServerResponse,
    events: DatabaseEvents,
    table: TableName | undefined,
    query: URLSearchParams,
    prove: () => Promise<unknown>,
    ended: AbortController,
  ): Promise<void> {
    const live = query.get('live');
    if (live !== null && live !== 'long-poll' && live !== 'sse') {
      throw new DormouseError('request_invalid', { message: 'live is long-poll or sse.' });
    }
    const name = query.get('name');
    const offset = query.get('offset');
    if (live !== null && offset === null && name === null) {
      throw new DormouseError('request_invalid', {
        message: 'A live read needs an offset (-1, now, or one it was given).',
      });
    }
    const filterText = query.get('filter');
    const filter = filterText === null ? undefined : compileFilter(parseJson(filterText, 'filter'), (column) => column);
    const from = (): Promise<Position> => this.#position(events, offset ?? (name === null ? '-1' : 'now'));
    const place =
      name === null
        ? { position: await from(), skipped: false }
        : await resume(events.log, cursorKey(table, checkName(name)), from);
    const reading: Reading = { events, table, filter, after: place.position, skipped: place.skipped };
    if (live === null) {
      await this.#catchUp(request, response, reading, offset === 'now', ended.signal);
      return;
    }
    // Said as a status: behind the headers there is only a broken line, which readers take for one and come back.
    const { floor } = await events.log.state();
    if (comparePositions(reading.after, floor) < 0) throw new DormouseError('stream_gone');
    const leave = events.subscribers.enter();
    const end = (): void => ended.abort();
    const forget = events.onClose(end);
    try {
      recheck(this.#options.clock, this.#options.recheckMs, ended.signal, prove, end);
      const cursor = query.get('cursor');
      if (live === 'sse') await this.#sse(response, reading, cursor, ended);
      else await this.#longPoll(response, reading, cursor, ended);
    } finally {
      end();
      forget();
      leave();
    }
  }

  async #catchUp(
    request: IncomingMessage,
    response: ServerResponse,
    reading: Reading,
    now: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { events, after } = reading;
    signal.throwIfAborted();
    const leave = events.replies.enter();
    let batch: Batch | undefined;
    try {
      const late = (): void => void response.destroy();
      const wanted = { after, limit: READ_EVENTS_MAX, ...tablesOf(reading) };
      batch = now ? undefined : await readBatch(events, wanted, signal, late);
      await this.#answer(request, response, reading, batch);
      await this.#taken(response);
    } finally {
      batch?.taken();
      leave();
    }
  }

  /** The reply's memory is held until the client has taken it, or was let go. */
  async #taken(response: ServerResponse): Promise<void> {
    if (response.closed) return;
    const untaken = this.#options.clock.after(REPLY_TAKEN_MS, () => response.destroy());
    await new Promise((resolve) => response.once('close', resolve));
    untaken.cancel();
  }

  /** Without a batch: the reader wants to start from now. */
  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    reading: Reading,
    batch: Batch | undefined,
  ): Promise<void> {
    const { events, after } = reading;
    const result = batch ?? { events: [], upTo: after, atTail: true, largeNext: false };
    const next = await this.#offset(events, result.upTo);
    const body = `[${this.#messages(reading, result).join(',')}]`;
    const fields = { offset: next, upToDate: result.atTail };
    if (batch === undefined) {
      head(response, 200, fields);
    } else {
      // The same two ends hold the same events for ever; the filter is part of the URL.
      const etag = `"${await this.#offset(events, after)}:${next}${result.atTail ? ':t' : ''}"`;
      response.setHeader('etag', etag);
      if (request.headers['if-none-match'] === etag) {
        head(response, 304, fields);
        response.end();
        return;
      }
      head(response, 200, fields);
    }
    response.end(body);
  }

  async #longPoll(
    response: ServerResponse,
    reading: Reading,
    cursor: string | null,
    ended: AbortController,
  ): Promise<void> {
    const { clock, longPollMs } = this.#options;
    const timer = clock.after(longPollMs, () => ended.abort());
    const { events, after } = reading;
    let upTo = after;
    try {
      for await (const result of this.#follow(reading, response, ended)) {
        upTo = result.upTo;
        const messages = this.#messages(reading, result);
        if (messages.length === 0) continue;
        const offset = await this.#offset(events, upTo);
        head(response, 200, { offset, upToDate: result.atTail, cursor: this.#cursorAfter(cursor) });
        response.end(`[${messages.join(',')}]`);
        await this.#taken(response);
        return;
      }
    } finally {
      timer.cancel();
    }
    if (response.destroyed) return;
    const offset = await this.#offset(events, upTo);
    head(response, 204, { offset, upToDate: true, cursor: this.#cursorAfter(cursor) });
    response.end();
  }

  async #sse(response: ServerResponse, reading: Reading, cursor: string | null, ended: AbortController): Promise<void> {
    const { clock, sseMs } = this.#options;
    const { events, after } = reading;
    const timer = clock.after(sseMs, () => ended.abort());
    const control = async (position: Position, upToDate: boolean): Promise<string> => {
      const streamNextOffset = await this.#offset(events, position);
      const fields = { streamNextOffset, streamCursor: this.#cursorAfter(cursor), ...(upToDate ? { upToDate } : {}) };
      return `event: control\ndata:${JSON.stringify(fields)}\n\n`;
    };
    const write = async (text: string): Promise<void> => {
      if (response.write(text) || ended.signal.aborted) return;
      // A slow reader: the log is not read further for it until its socket has room.
      await new Promise<void>((resolve) => {
        const done = (): void => {
          response.off('drain', done);
          ended.signal.removeEventListener('abort', done);
          resolve();
        };
        response.once('drain', done);
        ended.signal.addEventListener('abort', done, { once: true });
      });
    };
    response.writeHead(200, {
      'stream-next-offset': await this.#offset(events, after),
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    recheck(
      clock,
      HEARTBEAT_MS,
      ended.signal,
      () => response.writableLength === 0 && response.write(':\n\n'),
      () => {},
    );
    try {
      if (reading.skipped) await write(dataEvent([skippedMessage(await this.#offset(events, after))]));
      const { tail } = await events.log.state();
      await write(
        await control(after, tail.ordinal === after.ordinal && tail.lsn === after.lsn && tail.index === after.index),
      );
      for await (const result of this.#follow(reading, response, ended)) {
        const messages = this.#messages(reading, result);
        await write((messages.length === 0 ? '' : dataEvent(messages)) + (await control(result.upTo, result.atTail)));
      }
    } finally {
      timer.cancel();
      response.end();
    }
  }

  async #cursor(
    request: IncomingMessage,
    response: ServerResponse,
    events: DatabaseEvents,
    table: TableName | undefined,
    name: string,
  ): Promise<void> {
    const key = cursorKey(table, name);
    const { log } = events;
    if (request.method === 'POST') {
      const body = parseJson(await readText(request, this.#options.clock), 'The body');
      const offset = (body as { offset?: unknown } | null)?.offset;
      if (typeof offset !== 'string')
        throw new DormouseError('request_invalid', { message: 'The body names no offset.' });
      const position = await this.#position(events, offset);
      await log.saveCursor(key, position);
      response.writeHead(204, { 'cache-control': 'no-store' }).end();
    } else if (request.method === 'DELETE') {
      await log.deleteCursor(key);
      response.writeHead(204, { 'cache-control': 'no-store' }).end();
    } else if (request.method === 'GET') {
      const known = await log.cursor(key);
      if (known === undefined)
        throw new DormouseError('route_unknown', { message: `There is no stream named ${name}.` });
      const body = { name, offset: await this.#offset(events, known.position), updatedAtMs: known.updatedAtMs };
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(body));
    } else {
      throw new DormouseError('method_not_allowed', { meta: { allow: 'GET, POST, DELETE' } });
    }
  }

  #follow(reading: Reading, response: ServerResponse, ended: AbortController): ReturnType<typeof follow> {
    const { events: from, after } = reading;
    const late = (): void => void response.destroy();
    const options: FollowOptions = { from, after, signal: ended.signal, late, ...tablesOf(reading) };
    return follow(options);
  }

  #messages(reading: Reading, result: ReadResult): string[] {
    const { filter, table } = reading;
    const wanted = (event: StoredEvent): boolean => {
      if (event.operation === 'gap' || event.operation === 'truncate') return true;
      return filter === undefined || passes(filter, event);
    };
    const messages: string[] = [];
    for (const event of result.events) {
      if (table !== undefined && event.relation !== undefined && !isOf(event.relation, table)) continue;
      if (wanted(event)) messages.push(stateMessage(event));
    }
    return messages;
  }

  /** The position of an offset as readers write it. Fails with `request_invalid`, `stream_gone`. */
  async #position(events: DatabaseEvents, offset: string): Promise<Position> {
    if (offset === 'now') return (await events.log.state()).tail;
    if (offset === '-1') return (await events.log.state()).floor;
    const parsed = parseOffset(offset);
    if (parsed === undefined)
      throw new DormouseError('request_invalid', { message: 'This is not an offset of a stream.' });
    await events.log.checkEpoch(parsed.position, parsed.epoch);
    return parsed.position;
  }

  async #offset(events: DatabaseEvents, position: Position): Promise<string> {
    return formatOffset(position, await events.epochOf(position.ordinal === ORIGIN.ordinal ? 1 : position.ordinal));
  }

  /** Never the one the reader had, so that no cache answers it with what it already saw. */
  #cursorAfter(given: string | null): string {
    const interval = Math.floor((this.#options.clock.now() - CURSOR_ORIGIN_MS) / CURSOR_INTERVAL_MS);
    const last = given !== null && /^\d{1,15}$/.test(given) ? Number(given) : -1;
    return String(last >= interval ? last + 1 : interval);
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
    // A body that nobody will read ends with the connection.
    if (!request.complete) response.setHeader('connection', 'close');
    if (!response.hasHeader('server-timing')) response.setHeader('server-timing', 'total;dur=0.000');
    response.writeHead(row.status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify({ code: row.prisma7, message, error: message, meta: { reason: error.code } }));
  }
}

/** As it was sent: a URL's parser would take a table named `..` for the folder above. */
function pathAndQuery(url: string): string[] {
  if (url.startsWith('/')) return url.split(/\?(.*)/s, 2);
  const { pathname, search } = new URL(url);
  return [pathname, search];
}
function tablesOf({ table }: Reading): { readonly tables?: readonly TableName[] } {
  return table === undefined ? {} : { tables: [table] };
}
/** A partition's rows are rows of the table that it is a part of. */
function isOf(relation: RelationDefinition, table: TableName): boolean {
  return [relation, ...(relation.ancestors ?? [])].some(
    ({ schema, name }) => schema === table.schema && name === table.name,
  );
}
function dataEvent(messages: readonly string[]): string {
  return `event: data\ndata:[${messages.join(',')}]\n\n`;
}
function skippedMessage(offset: string): string {
  return JSON.stringify({ headers: { control: 'reset', offset, reason: 'gap' } });
}

function head(
  response: ServerResponse,
  status: number,
  fields: { readonly offset: string; readonly upToDate?: boolean; readonly cursor?: string },
): void {
  const headers: Record<string, string> = { 'stream-next-offset': fields.offset, 'cache-control': 'no-store' };
  if (status !== 204 && status !== 304) headers['content-type'] = 'application/json';
  if (fields.upToDate === true) headers['stream-up-to-date'] = 'true';
  if (fields.cursor !== undefined) headers['stream-cursor'] = fields.cursor;
  response.writeHead(status, headers);
}

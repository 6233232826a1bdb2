import type { ServerResponse } from 'node:http';
import type { Clock } from '../../base/index.ts';
import { comparePositions, type Position } from '../log/index.ts';
import { untilTaken } from './catch-up-reply.ts';
import { recheck } from './recheck.ts';
import { cacheCursorAfter, writeStreamHead } from './stream-headers.ts';
import { followReading, messagesOf, offsetOf, type Reading, skippedMessage } from './stream-reading.ts';

/** Silence on an SSE reply is broken by a comment this often, so that proxies keep the connection. */
const HEARTBEAT_MS = 15_000;

export interface LiveReply {
  readonly clock: Clock;
  /** The reply ends by itself after this long. */
  readonly ms: number;
  /** The cache cursor that the reader sent. */
  readonly cursor: string | null;
  /** Aborted when the reply ends, for whatever reason. */
  readonly ended: AbortController;
}

/** Answers with the next events, or with 204 when none came in time. */
export async function replyByLongPoll(response: ServerResponse, reading: Reading, live: LiveReply): Promise<void> {
  const { clock, ms, ended } = live;
  const timer = clock.after(ms, () => ended.abort());
  const { events, after } = reading;
  const cursor = (): string => cacheCursorAfter(live.cursor, clock.now());
  let upTo = after;
  try {
    for await (const result of followReading(reading, response, ended)) {
      upTo = result.upTo;
      const messages = messagesOf(reading, result);
      if (messages.length === 0) continue;
      const offset = await offsetOf(events, upTo);
      writeStreamHead(response, 200, { offset, upToDate: result.atTail, cursor: cursor() });
      response.end(`[${messages.join(',')}]`);
      await untilTaken(response, clock);
      return;
    }
  } finally {
    timer.cancel();
  }
  if (response.destroyed) return;
  const offset = await offsetOf(events, upTo);
  writeStreamHead(response, 204, { offset, upToDate: true, cursor: cursor() });
  response.end();
}

/** Answers with server-sent events for as long as the reply may last: a `data` and a `control` event per batch. */
export async function replyByServerSentEvents(
  response: ServerResponse,
  reading: Reading,
  live: LiveReply,
): Promise<void> {
  const { clock, ms, ended } = live;
  const { events, after } = reading;
  const timer = clock.after(ms, () => ended.abort());
  const control = async (position: Position, upToDate: boolean): Promise<string> => {
    const streamNextOffset = await offsetOf(events, position);
    const streamCursor = cacheCursorAfter(live.cursor, clock.now());
    const fields = { streamNextOffset, streamCursor, ...(upToDate ? { upToDate } : {}) };
    return `event: control\ndata:${JSON.stringify(fields)}\n\n`;
  };
  response.writeHead(200, {
    'stream-next-offset': await offsetOf(events, after),
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  beatHeart(response, clock, ended.signal);
  try {
    if (reading.skipped) {
      await write(response, dataEvent([skippedMessage(await offsetOf(events, after))]), ended.signal);
    }
    const { tail } = await events.log.state();
    await write(response, await control(after, comparePositions(tail, after) === 0), ended.signal);
    for await (const result of followReading(reading, response, ended)) {
      const messages = messagesOf(reading, result);
      const data = messages.length === 0 ? '' : dataEvent(messages);
      await write(response, data + (await control(result.upTo, result.atTail)), ended.signal);
    }
  } finally {
    timer.cancel();
    response.end();
  }
}

function dataEvent(messages: readonly string[]): string {
  return `event: data\ndata:[${messages.join(',')}]\n\n`;
}

function beatHeart(response: ServerResponse, clock: Clock, signal: AbortSignal): void {
  const beat = (): unknown => response.writableLength === 0 && response.write(':\n\n');
  recheck(clock, HEARTBEAT_MS, signal, beat, () => {});
}

/** Writes, and waits until the socket has room: the log is not read further for a slow reader. */
async function write(response: ServerResponse, text: string, signal: AbortSignal): Promise<void> {
  if (response.write(text) || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

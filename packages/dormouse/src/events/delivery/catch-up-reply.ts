import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../base/index.ts';
import { type Batch, READ_EVENTS_MAX, readBatch } from '../log/index.ts';
import { writeStreamHead } from './stream-headers.ts';
import { messagesOf, offsetOf, type Reading, tablesOf } from './stream-reading.ts';

/** A reply has this long to be taken: it holds memory, and its reader can come back with its offset. */
const REPLY_TAKEN_MS = 60_000;

/** Answers a read that is not live with one batch; `now`: the reader wants to start from the tail. */
export async function replyWithBatch(
  request: IncomingMessage,
  response: ServerResponse,
  reading: Reading,
  { now, signal, clock }: { readonly now: boolean; readonly signal: AbortSignal; readonly clock: Clock },
): Promise<void> {
  const { events, after } = reading;
  signal.throwIfAborted();
  const leave = events.replies.enter();
  let batch: Batch | undefined;
  try {
    const late = (): void => void response.destroy();
    const wanted = { after, limit: READ_EVENTS_MAX, ...tablesOf(reading) };
    batch = now ? undefined : await readBatch(events, wanted, signal, late);
    await writeBatch(request, response, reading, batch);
    await untilTaken(response, clock);
  } finally {
    batch?.taken();
    leave();
  }
}

/** Waits until the client has taken a reply that has ended; a client that takes too long is disconnected. */
export async function untilTaken(response: ServerResponse, clock: Clock): Promise<void> {
  if (response.closed) return;
  const untaken = clock.after(REPLY_TAKEN_MS, () => response.destroy());
  await new Promise((resolve) => response.once('close', resolve));
  untaken.cancel();
}

/** Without a batch: the reader wants to start from the tail. */
async function writeBatch(
  request: IncomingMessage,
  response: ServerResponse,
  reading: Reading,
  batch: Batch | undefined,
): Promise<void> {
  const { events, after } = reading;
  const result = batch ?? { events: [], upTo: after, atTail: true, largeNext: false };
  const next = await offsetOf(events, result.upTo);
  const body = `[${messagesOf(reading, result).join(',')}]`;
  const fields = { offset: next, upToDate: result.atTail };
  if (batch !== undefined) {
    // Between the same two offsets there are always the same events; the filter is part of the URL.
    const etag = `"${await offsetOf(events, after)}:${next}${result.atTail ? ':t' : ''}"`;
    response.setHeader('etag', etag);
    if (request.headers['if-none-match'] === etag) {
      writeStreamHead(response, 304, fields);
      response.end();
      return;
    }
  }
  writeStreamHead(response, 200, fields);
  response.end(body);
}

import type { EventLog, ReadRequest, ReadResult, TableName } from './event-log.ts';
import type { LargeReads } from './large-reads.ts';
import { comparePositions, type Position } from './position.ts';

/** Events of one read: what a subscriber holds in memory at most, besides its socket's buffer. */
export const READ_EVENTS_MAX = 500;

/** What a subscriber reads from. */
export interface ReadFrom {
  readonly log: EventLog;
  readonly largeReads: LargeReads;
}

/** The result of one read. If it is a large event, the reader holds a place in `LargeReads` until it calls `taken`. */
export interface Batch extends ReadResult {
  taken(): void;
}

/**
 * Reads once behind a position: some events, or one large event, for which it waits until there is a place. `late` is
 * called when the place is held for too long.
 */
export async function readBatch(
  { log, largeReads }: ReadFrom,
  request: ReadRequest,
  signal: AbortSignal,
  late: () => void,
): Promise<Batch> {
  const result = await log.read(request, signal);
  if (!result.largeNext || result.events.length > 0) return { ...result, taken: () => {} };
  const taken = await largeReads.enter(signal, late);
  try {
    return { ...(await log.read({ ...request, limit: 1, large: true }, signal)), taken };
  } catch (error) {
    taken();
    throw error;
  }
}

export interface FollowOptions {
  readonly from: ReadFrom;
  readonly after: Position;
  readonly tables?: readonly TableName[];
  readonly signal: AbortSignal;
  /** Called when the last batch is a large event that was not taken in time: other readers wait for its place. */
  late(): void;
}

/**
 * Reads a log behind a position, then waits at the tail for more events, until aborted. Each subscriber reads by
 * itself, in bounded batches, at its own pace: a slow subscriber delays no other. Asking for the next batch marks the
 * last one as taken. Fails with `stream_gone`.
 */
export async function* follow(options: FollowOptions): AsyncGenerator<ReadResult, void, void> {
  const { from, signal, tables, late } = options;
  const { log } = from;
  let { after } = options;
  let moved = true;
  let wake = (): void => {};
  const stopListening = log.onAppend(() => {
    moved = true;
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (!signal.aborted) {
      if (!moved) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      moved = false;
      const request = { after, limit: READ_EVENTS_MAX, ...(tables === undefined ? {} : { tables }) };
      const batch = await readBatch(from, request, signal, late);
      try {
        if (!batch.atTail) moved = true;
        if (signal.aborted) return;
        if (comparePositions(batch.upTo, after) > 0) {
          after = batch.upTo;
          yield batch;
        }
      } finally {
        batch.taken();
      }
    }
  } catch (error) {
    // After an abort there is no reader to tell of a failure.
    if (!signal.aborted) throw error;
  } finally {
    stopListening();
    signal.removeEventListener('abort', onAbort);
  }
}

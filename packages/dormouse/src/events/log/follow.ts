import type { EventLog, ReadRequest, ReadResult, TableName } from './event-log.ts';
import type { LargeReads } from './large-reads.ts';
import { comparePositions, type Position } from './position.ts';

/** Events of one read: what a subscriber holds in memory at most, beside its socket's buffer. */
export const READ_EVENTS_MAX = 500;

/** Where a subscriber reads. */
export interface ReadFrom {
  readonly log: EventLog;
  readonly largeReads: LargeReads;
}

/** One read's result. The reader holds it, and its place if it is a large event, until it calls `taken`. */
export interface Batch extends ReadResult {
  taken(): void;
}

/**
 * Reads once behind a position: some events, or one large one, for which it waits until there is a place. `late` is
 * called when that is held for too long.
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
  /** The batch that was given last is large and was not taken in time: others wait for its place. */
  late(): void;
}

/**
 * Reads a log behind a position, then waits at its tail for more, until aborted. Each subscriber reads for itself in
 * bounded batches and takes the next one when it wants to: a slow one holds up nobody. A batch is taken when the next
 * is asked for. Fails with `stream_gone`.
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
    // Nobody waits for what was given up.
    if (!signal.aborted) throw error;
  } finally {
    stopListening();
    signal.removeEventListener('abort', onAbort);
  }
}

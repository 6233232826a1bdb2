import { type Clock, DormouseError } from '../base/index.ts';
import type { EventLog, ReadResult, TableName } from './event-log.ts';
import { comparePositions, type Position } from './position.ts';

/** Events of one read: what a subscriber holds in memory at most, beside its socket's buffer. */
export const READ_EVENTS_MAX = 500;

export interface FollowOptions {
  readonly log: EventLog;
  readonly after: Position;
  readonly tables?: readonly TableName[];
  readonly signal: AbortSignal;
}

/**
 * Reads a log behind a position, then waits at its tail for more, until aborted. Each subscriber reads for itself in bounded batches and
 * takes the next one when it wants to: a slow one holds up nobody. Fails with `stream_gone`.
 */
export async function* follow(options: FollowOptions): AsyncGenerator<ReadResult, void, void> {
  const { log, signal, tables } = options;
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
      const result = await log.read({ after, limit: READ_EVENTS_MAX, ...(tables === undefined ? {} : { tables }) });
      if (!result.atTail) moved = true;
      if (signal.aborted) return;
      if (comparePositions(result.upTo, after) > 0) {
        after = result.upTo;
        yield result;
      }
    }
  } finally {
    stopListening();
    signal.removeEventListener('abort', onAbort);
  }
}

/** Counts a database's subscribers. */
export class SubscriberCount {
  readonly #max: number;
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get open(): number {
    return this.#open;
  }

  /** Takes a place; the result gives it back. Fails with `quota_exceeded`. */
  enter(): () => void {
    if (this.#open >= this.#max) {
      throw new DormouseError('quota_exceeded', {
        message: `This database has ${this.#max} event subscribers already. Close some first.`,
      });
    }
    this.#open += 1;
    let inside = true;
    return () => {
      if (inside) this.#open -= 1;
      inside = false;
    };
  }
}

/** Calls `check` every `ms` until it fails or the signal fires; then `failed`. For keys that are revoked under an open stream. */
export function recheck(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  check: () => unknown,
  failed: (error: unknown) => void,
): void {
  let timer = clock.after(ms, tick);
  signal.addEventListener('abort', () => timer.cancel(), { once: true });
  function tick(): void {
    Promise.resolve()
      .then(check)
      .then(
        () => {
          if (!signal.aborted) timer = clock.after(ms, tick);
        },
        (error: unknown) => {
          if (!signal.aborted) failed(error);
        },
      );
  }
}

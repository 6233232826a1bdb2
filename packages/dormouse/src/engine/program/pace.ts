import { setImmediate } from 'node:timers/promises';
import { type Cancellation, type Deadline, DormouseError } from '../../base/index.ts';

/** Rows per slice: one to ten milliseconds of work. */
const SLICE_ROWS = 4096;
/** Bytes of JSON that are read or written per slice. */
export const SLICE_BYTES: number = 256 * 1024;

/** Work in slices: a generator that yields at the end of each slice. Most work ends in the first slice. */
export type Slices<T> = Generator<undefined, T, undefined>;

/**
 * Lets other requests have their turn of the event loop between the slices of long work, and ends the work if the
 * request is cancelled or its deadline passes.
 */
export class Pace {
  readonly #deadline: Deadline;
  readonly #cancellation: Cancellation;

  constructor(bounds: { readonly deadline: Deadline; readonly cancellation: Cancellation }) {
    this.#deadline = bounds.deadline;
    this.#cancellation = bounds.cancellation;
  }

  /**
   * Gives the result of the work, or a promise of it if one slice was not enough. `paused` is called once, before
   * other requests first have their turn. Fails with `query_timeout` and `interrupted`.
   */
  work<T>(slices: Slices<T>, paused?: () => void): T | Promise<T> {
    const first = slices.next();
    if (first.done === true) return first.value;
    paused?.();
    return this.#goOn(slices);
  }

  async #goOn<T>(slices: Slices<T>): Promise<T> {
    for (;;) {
      await setImmediate();
      if (this.#cancellation.cancelled) throw new DormouseError('interrupted');
      if (this.#deadline.expired()) throw new DormouseError('query_timeout');
      const next = slices.next();
      if (next.done === true) return next.value;
    }
  }
}

/** Calls `slice` for consecutive ranges of indexes from 0 to `count`. */
export function* inSlices(count: number, slice: (from: number, to: number) => void): Slices<void> {
  for (let from = 0; from < count; from += SLICE_ROWS) {
    if (from > 0) yield;
    slice(from, Math.min(from + SLICE_ROWS, count));
  }
}

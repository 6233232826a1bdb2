import { setImmediate } from 'node:timers/promises';
import { type Cancellation, type Deadline, DormouseError } from '../../base/index.ts';

/** Rows handled at a stretch: one to ten milliseconds of work. */
const SLICE_ROWS = 4096;
/** Bytes of JSON read or written at a stretch. */
export const SLICE_BYTES: number = 256 * 1024;

/** Work in slices: it yields at the end of each, and most work ends in the first. */
export type Slices<T> = Generator<undefined, T, undefined>;

/** Lets others have their turn between the slices of long work, and ends it when nobody waits for it any more. */
export class Pace {
  readonly #deadline: Deadline;
  readonly #cancellation: Cancellation;

  constructor(bounds: { readonly deadline: Deadline; readonly cancellation: Cancellation }) {
    this.#deadline = bounds.deadline;
    this.#cancellation = bounds.cancellation;
  }

  /**
   * The result of the work, or a promise if one slice was not enough; `paused` is called before others have their turn.
   * Fails with `query_timeout` and `interrupted`.
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

/** Calls `slice` for ranges of indexes up to `count`. */
export function* inSlices(count: number, slice: (from: number, to: number) => void): Slices<void> {
  for (let from = 0; from < count; from += SLICE_ROWS) {
    if (from > 0) yield;
    slice(from, Math.min(from + SLICE_ROWS, count));
  }
}

import { type Clock, DormouseError } from '../base/index.ts';
import { DeadlineTimer } from './connection/index.ts';
import type { AcquireOptions, Lease } from './pool.ts';

/** A caller that waits for a connection. */
export interface Waiter {
  readonly options: AcquireOptions;
  /** The monotonic time at which the caller came, in milliseconds. */
  readonly sinceMs: number;
  readonly resolve: (lease: Lease | Promise<Lease>) => void;
}

interface Entry extends Waiter {
  readonly key: string;
  readonly reject: (error: Error) => void;
  detach: (() => void) | undefined;
}

/** Callers of one key, in order of arrival. */
type Lane = Set<Entry>;

/** The lane of callers that name no key. */
const NO_KEY = '';

/**
 * Callers that wait for a connection, fair between keys: keys are served in turn, and the callers of one key in the
 * order in which they came. When the queue is full, a key with fewer waiters takes a place from the key with the most.
 * So a key that floods the queue leaves room for others, and a key that is alone may use the whole queue. A caller
 * leaves the queue when it is served, when it is displaced, at its deadline, or when it is cancelled.
 */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #max: number;
  /** No lane is empty. The first lane is served next; a lane that was served goes to the end. */
  readonly #lanes = new Map<string, Lane>();
  /** One timer serves all deadlines: a caller that waits costs no timer. */
  readonly #deadlines: DeadlineTimer;
  #size = 0;

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
    this.#deadlines = new DeadlineTimer(clock, (nowMs) => this.#expire(nowMs));
  }

  get size(): number {
    return this.#size;
  }

  /** Fails with `queue_full` (at once, or when displaced later), `connection_timeout`, `interrupted`. */
  wait(options: AcquireOptions): Promise<Lease> {
    if (options.cancellation?.cancelled === true) return Promise.reject(new DormouseError('interrupted'));
    const key = options.key ?? NO_KEY;
    if (this.#size >= this.#max && !this.#makeRoom(key)) return Promise.reject(new DormouseError('queue_full'));
    return new Promise((resolve, reject) => {
      const sinceMs = this.#clock.monotonic();
      const entry: Entry = { options, key, sinceMs, resolve, reject, detach: undefined };
      this.#add(entry);
      this.#deadlines.cover(options.deadline.atMs);
      entry.detach = options.cancellation?.onCancel(() => this.#refuse(entry, 'interrupted'));
    });
  }

  /** Takes the next caller in turn; whoever takes it answers it. */
  take(): Waiter | undefined {
    for (const [key, lane] of this.#lanes) {
      for (const entry of lane) {
        this.#remove(entry);
        if (lane.size > 0 && this.#lanes.size > 1) {
          this.#lanes.delete(key);
          this.#lanes.set(key, lane);
        }
        return entry;
      }
    }
    return undefined;
  }

  /** Refuses all callers that wait. */
  clear(error: DormouseError): void {
    for (const lane of [...this.#lanes.values()]) {
      for (const entry of [...lane]) {
        this.#remove(entry);
        entry.reject(error);
      }
    }
  }

  /**
   * Displaces the newest caller of the longest lane, unless `key` would then have more waiters than that lane. Looks at
   * every lane, but only when the queue is full.
   */
  #makeRoom(key: string): boolean {
    let longest: Lane | undefined;
    for (const lane of this.#lanes.values()) if (longest === undefined || lane.size > longest.size) longest = lane;
    if (longest === undefined || longest.size <= (this.#lanes.get(key)?.size ?? 0) + 1) return false;
    let newest: Entry | undefined;
    for (const entry of longest) newest = entry;
    if (newest === undefined) return false;
    this.#remove(newest);
    newest.reject(new DormouseError('queue_full'));
    return true;
  }

  #refuse(entry: Entry, code: 'connection_timeout' | 'interrupted'): void {
    this.#remove(entry);
    entry.reject(new DormouseError(code));
  }

  /** Refuses the callers whose deadline has passed; gives the next deadline. */
  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lane of [...this.#lanes.values()]) {
      for (const entry of [...lane]) {
        const { atMs } = entry.options.deadline;
        if (atMs <= nowMs) this.#refuse(entry, 'connection_timeout');
        else if (atMs < nextMs) nextMs = atMs;
      }
    }
    return nextMs;
  }

  #add(entry: Entry): void {
    let lane = this.#lanes.get(entry.key);
    if (lane === undefined) {
      lane = new Set();
      this.#lanes.set(entry.key, lane);
    }
    lane.add(entry);
    this.#size += 1;
  }

  #remove(entry: Entry): void {
    const lane = this.#lanes.get(entry.key);
    if (lane?.delete(entry) === true) {
      this.#size -= 1;
      if (lane.size === 0) this.#lanes.delete(entry.key);
    }
    entry.detach?.();
  }
}

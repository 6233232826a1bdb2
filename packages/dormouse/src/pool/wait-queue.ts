import { type Clock, DormouseError } from '../base/index.ts';
import { DeadlineTimer } from './connection/index.ts';
import type { AcquireOptions, Lease } from './pool.ts';

/** A caller that waits for a connection. */
export interface Waiter {
  readonly options: AcquireOptions;
  /** Monotonic. */
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
 * Callers that wait, fair between keys: keys are served in turn, callers of one key in order of arrival. When the queue
 * is full, a key with fewer waiters takes a place of the key with the most, so that one that floods leaves room for
 * others, and alone may use it all. Each leaves when served, when displaced, at its deadline, or when nobody waits for
 * it any more.
 */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #max: number;
  /** No lane is empty. The first is next to be served; a lane that was served goes to the end. */
  readonly #lanes = new Map<string, Lane>();
  /** One timer for all of them: who waits costs none. */
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

  /** The next in turn; the taker answers it. */
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

  /** Refuses all that wait. */
  clear(error: DormouseError): void {
    for (const lane of [...this.#lanes.values()]) {
      for (const entry of [...lane]) {
        this.#remove(entry);
        entry.reject(error);
      }
    }
  }

  /**
   * Displaces the newest of the longest lane, if `key` then has no more than that one. Costs a look at each lane; only
   * when full.
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

  /** Refuses whose time is up; gives the next deadline. */
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

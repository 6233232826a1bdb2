import { type Clock, DormouseError, type Timer } from '../base/index.ts';
import type { AcquireOptions, Lease } from './pool.ts';

/** A caller that waits for a connection. */
export interface Waiter {
  readonly options: AcquireOptions;
  /** Monotonic. */
  readonly sinceMs: number;
  readonly resolve: (lease: Lease | Promise<Lease>) => void;
}

interface Entry extends Waiter {
  readonly reject: (error: Error) => void;
  timer: Timer | undefined;
  detach: (() => void) | undefined;
}

/** Callers in order of arrival; each leaves when served, at its deadline, or when nobody waits for it any more. */
export class WaitQueue {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #entries = new Set<Entry>();

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Fails with `queue_full`, `connection_timeout`, `interrupted`. */
  wait(options: AcquireOptions): Promise<Lease> {
    if (options.cancellation?.cancelled === true) return Promise.reject(new DormouseError('interrupted'));
    if (this.#entries.size >= this.#max) return Promise.reject(new DormouseError('queue_full'));
    return new Promise((resolve, reject) => {
      const sinceMs = this.#clock.monotonic();
      const entry: Entry = { options, sinceMs, resolve, reject, timer: undefined, detach: undefined };
      const leave = (code: 'connection_timeout' | 'interrupted'): void => {
        this.#remove(entry);
        reject(new DormouseError(code));
      };
      this.#entries.add(entry);
      if (options.deadline.atMs !== Number.POSITIVE_INFINITY) {
        const ms = Math.min(options.deadline.remainingMs(), 0x7fff_ffff);
        entry.timer = this.#clock.after(ms, () => leave('connection_timeout'));
      }
      entry.detach = options.cancellation?.onCancel(() => leave('interrupted'));
    });
  }

  /** The one that waits longest; the taker answers it. */
  take(): Waiter | undefined {
    for (const entry of this.#entries) {
      this.#remove(entry);
      return entry;
    }
    return undefined;
  }

  /** Refuses all that wait. */
  clear(error: DormouseError): void {
    for (const entry of [...this.#entries]) {
      this.#remove(entry);
      entry.reject(error);
    }
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry);
    entry.timer?.cancel();
    entry.detach?.();
  }
}

import type { Clock, Timer } from '../../base/index.ts';

/**
 * Memory of all arriving bodies, in bytes. A thousand connections that send the last byte of a large body a minute
 * later would hold 16 GiB: beyond this bound the body that has been arriving longest is refused.
 */
export const ARRIVING_BYTES_MAX: number = 512 * 1024 * 1024;
/** Bodies up to this size are not refused for memory: that would free little, and may hit any client. */
const SPARED_BYTES = 64 * 1024;

/** A body that is arriving, and its place in the list of all of them. */
export interface ArrivingBody {
  /** The bytes that have arrived. */
  readonly arrivedBytes: number;
  /** When its headers were read, in monotonic milliseconds. */
  readonly sinceMs: number;
  earlier: ArrivingBody | undefined;
  later: ArrivingBody | undefined;
  /** Refuses the body; takes it out of the list. */
  expire(): void;
}

/**
 * Ends bodies that take too long, or that hold too much memory while others arrive. All bodies share one timer, and a
 * body that arrives with its headers needs none.
 */
export class SlowBodies {
  readonly #clock: Clock;
  readonly #bodyMs: number;
  readonly #bytesMax: number;
  #bytes = 0;
  /** In order of arrival, which is also the order of their deadlines. */
  #first: ArrivingBody | undefined;
  #last: ArrivingBody | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, bodyMs: number, bytesMax: number = ARRIVING_BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.#bodyMs = bodyMs;
  }

  /** Whether no body is arriving. */
  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  add(body: ArrivingBody): void {
    body.earlier = this.#last;
    if (this.#last === undefined) this.#first = body;
    else this.#last.later = body;
    this.#last = body;
    this.#timer ??= this.#clock.after(this.#bodyMs, () => this.#look());
  }

  /** Reports further bytes of a body that was added. */
  arrived(bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax) {
      let longest = this.#first;
      while (longest !== undefined && longest.arrivedBytes <= SPARED_BYTES) longest = longest.later;
      if (longest === undefined) return;
      // It takes itself out.
      longest.expire();
    }
  }

  /** Takes a body out. The body must have been added, and not have been taken out before. */
  delete(body: ArrivingBody): void {
    const { earlier, later } = body;
    this.#bytes -= body.arrivedBytes;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    body.earlier = undefined;
    body.later = undefined;
  }

  /** Cancels the timer; called when no body can arrive any more. */
  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonic();
    for (let body = this.#first; body !== undefined; body = this.#first) {
      const leftMs = body.sinceMs + this.#bodyMs - nowMs;
      if (leftMs > 0) {
        this.#timer = this.#clock.after(Math.ceil(leftMs), () => this.#look());
        return;
      }
      // It takes itself out.
      body.expire();
    }
  }
}

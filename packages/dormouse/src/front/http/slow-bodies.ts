import type { Clock, Timer } from '../../base/index.ts';

/**
 * Memory of all bodies on their way. A thousand connections that send the last byte of a large body a minute later
 * would hold 16 GiB: beyond this the one that is longest on its way goes.
 */
export const ARRIVING_BYTES_MAX: number = 512 * 1024 * 1024;
/** Smaller ones are not worth it, and may be anybody's. */
const SPARED_BYTES = 64 * 1024;

/** A body on its way, and its place in the row of all of them. */
export interface ArrivingBody {
  /** What is here of it. */
  readonly arrivedBytes: number;
  /** When its headers were read; monotonic. */
  readonly sinceMs: number;
  earlier: ArrivingBody | undefined;
  later: ArrivingBody | undefined;
  /** Its time is up. */
  expire(): void;
}

/**
 * Ends bodies that take too long, or too much while others come. One timer for all of them: a body that comes with its
 * headers costs none.
 */
export class SlowBodies {
  readonly #clock: Clock;
  readonly #bodyMs: number;
  readonly #bytesMax: number;
  #bytes = 0;
  /** In order of arrival, which is the order of their ends. */
  #first: ArrivingBody | undefined;
  #last: ArrivingBody | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, bodyMs: number, bytesMax: number = ARRIVING_BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#clock = clock;
    this.#bodyMs = bodyMs;
  }

  /** No body is on its way. */
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

  /** More of one that was added is here. */
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

  /** Must have been added, and once only be taken out. */
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

  /** Lets go of the timer; called when no body can come any more. */
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

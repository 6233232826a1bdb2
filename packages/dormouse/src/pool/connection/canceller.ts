import type { Clock, Timer } from '../../base/index.ts';

/**
 * After a cancel the server answers at once, unless it catches that or is in an uninterruptible place; then the
 * connection is left.
 */
const CANCEL_GRACE_MS = 5_000;
/**
 * A cancel that overtakes its statement finds the server idle and is lost, so it is sent again: after this time, then
 * twice that …
 */
const CANCEL_AGAIN_MS = 20;

/** Stops the statement that runs on one connection, or some in a row, and sees to it that no later one is hit. */
export class Canceller {
  readonly #clock: Clock;
  readonly #send: () => Promise<void>;
  #again: Timer | undefined;
  #grace: Timer | undefined;
  /** A cancel request is on its way: it may still hit what runs next. */
  #sending = false;
  #onQuiet: (() => void) | undefined;
  /** The statement still runs. */
  #active = false;

  /** `send` sends one cancel request, and resolves when the server has taken it. */
  constructor(clock: Clock, send: () => Promise<void>) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Sends cancel requests until `finish`; `giveUp` is called if that does not come in time. */
  begin(giveUp: () => void): void {
    this.#active = true;
    this.#grace = this.#clock.after(CANCEL_GRACE_MS, giveUp);
    this.#request(CANCEL_AGAIN_MS);
  }

  /** The statement has ended, and the one behind it is to be stopped too. */
  goOn(): void {
    if (!this.#active || this.#sending) return;
    this.#again?.cancel();
    this.#request(CANCEL_AGAIN_MS);
  }

  /** The statement has ended. Calls `quiet` once nothing is on its way any more; says false if that is so already. */
  finish(quiet: () => void): boolean {
    this.stop();
    if (!this.#sending) return false;
    this.#onQuiet = quiet;
    return true;
  }

  /** Nothing is to be stopped any more: the statement has ended, or the connection is gone. */
  stop(): void {
    this.#active = false;
    this.#grace?.cancel();
    this.#again?.cancel();
    this.#onQuiet = undefined;
  }

  #request(againMs: number): void {
    this.#sending = true;
    void this.#send().then(() => {
      this.#sending = false;
      const quiet = this.#onQuiet;
      this.#onQuiet = undefined;
      if (this.#active) this.#again = this.#clock.after(againMs, () => this.#request(againMs * 2));
      else quiet?.();
    });
  }
}

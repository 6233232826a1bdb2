import type { Clock, Timer } from '../../base/index.ts';

/**
 * A server that takes a cancel request answers at once, unless the statement catches the cancellation or is in an
 * uninterruptible place. After this time the connection is given up.
 */
const CANCEL_GRACE_MS = 5_000;
/**
 * A cancel request that overtakes its statement finds the server idle and is lost. So the request is sent again: after
 * this time, then after twice that, and so on.
 */
const CANCEL_AGAIN_MS = 20;

/** Stops the statement that runs on one connection, or several in a row, and sees to it that no later one is hit. */
export class Canceller {
  readonly #clock: Clock;
  readonly #send: () => Promise<void>;
  #again: Timer | undefined;
  #grace: Timer | undefined;
  /** A cancel request is on its way: it may still hit the statement that runs next. */
  #sending = false;
  #onQuiet: (() => void) | undefined;
  /** The statement still runs. */
  #active = false;
  /** Begun, and not finished. */
  #cancelling = false;

  /** `send` sends one cancel request; it resolves when the server has taken the request, and never rejects. */
  constructor(clock: Clock, send: () => Promise<void>) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Whether a cancel has begun and its last statement has not ended. */
  get cancelling(): boolean {
    return this.#cancelling;
  }

  /**
   * Sends cancel requests until `finish`; calls `giveUp` if the end does not come in time. Called again while a cancel
   * is under way, it stops the next statement: the one before has ended.
   */
  cancel(giveUp: () => void): void {
    if (this.#cancelling) {
      if (!this.#active || this.#sending) return;
      this.#again?.cancel();
    } else {
      this.#cancelling = true;
      this.#active = true;
      this.#grace = this.#clock.after(CANCEL_GRACE_MS, giveUp);
    }
    this.#request(CANCEL_AGAIN_MS);
  }

  /**
   * The last statement has ended. Says whether the cancel is over; if not, calls `quiet` once no request is on its way.
   */
  finish(quiet: () => void): boolean {
    this.stop();
    if (this.#sending) {
      this.#onQuiet = quiet;
      return false;
    }
    this.#cancelling = false;
    return true;
  }

  /** No statement is to be stopped any more: it has ended, or the connection is gone. */
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

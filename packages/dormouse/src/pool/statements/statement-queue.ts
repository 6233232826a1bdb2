import type { PendingStatement } from './pending-statement.ts';

/** Statements that wait on one connection; a caller that asks for more has lost count. */
const WAITING_MAX = 1_000;
/** Statements under way at once: an operation has few siblings, and a cancel must get through all of them. */
const UNDER_WAY_MAX = 32;

/**
 * The statements of one connection: those under way on the server, in the order in which they were sent, and those that
 * wait to be sent. A pipelined statement is sent while other pipelined ones are under way; any other waits until none
 * is.
 */
export class StatementQueue {
  /** The statement that the server works on, and those that were sent behind it. */
  readonly underWay: PendingStatement[] = [];
  readonly waiting: PendingStatement[] = [];
  readonly #onIdle: (() => void)[] = [];

  /** Nothing is under way, and nothing waits. */
  get idle(): boolean {
    return this.underWay.length === 0 && this.waiting.length === 0;
  }

  /** A caller's statement is under way or waits, besides the pool's own. */
  get busy(): boolean {
    return this.underWay.some(isCallers) || this.waiting.some(isCallers);
  }

  get full(): boolean {
    return this.waiting.length >= WAITING_MAX;
  }

  /** Whether a statement may be sent now, as far as the ones under way allow it. */
  maySend(pending: PendingStatement): boolean {
    const { length } = this.underWay;
    if (length === 0) return true;
    const last = this.underWay[length - 1] as PendingStatement;
    return pending.pipelined && last.pipelined && last.stopped === undefined && length < UNDER_WAY_MAX;
  }

  /** Takes the first statement that waits, if it may be sent. */
  takeWaiting(): PendingStatement | undefined {
    const first = this.waiting[0];
    if (first === undefined || !this.maySend(first)) return undefined;
    this.waiting.shift();
    return first;
  }

  /** Takes a statement that waits out of the queue; says whether it waited. */
  dropWaiting(pending: PendingStatement): boolean {
    const at = this.waiting.indexOf(pending);
    if (at < 0) return false;
    this.waiting.splice(at, 1);
    return true;
  }

  /** Resolves when nothing is under way and nothing waits; undefined if that is so already. */
  whenIdle(): Promise<void> | undefined {
    if (this.idle) return undefined;
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Tells those that wait for it, if nothing is under way and nothing waits. */
  tellIdle(): void {
    if (!this.idle) return;
    for (const listener of this.#onIdle.splice(0)) listener();
  }

  /** Calls `stop` for each statement that is past its deadline; gives the next deadline of the others. */
  expire(nowMs: number, stop: (pending: PendingStatement) => void): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const pending of [...this.underWay, ...this.waiting]) {
      if (pending.deadlineAtMs <= nowMs) stop(pending);
      else if (pending.deadlineAtMs < nextMs) nextMs = pending.deadlineAtMs;
    }
    return nextMs;
  }
}

function isCallers(pending: PendingStatement): boolean {
  return !pending.own;
}

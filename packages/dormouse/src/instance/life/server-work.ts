import { type Clock, Deadline, DormouseError } from '../../base/index.ts';
import type { InstanceState, Server } from '../contract/index.ts';
import type { Attachments } from './attachments.ts';

/**
 * A start that recovers from a crash replays up to `max_wal_size` of WAL, and begins anew if it is broken off: on a
 * slow disk it must have its time. No caller waits this long: each has a deadline of its own, and a stop breaks the
 * start off.
 */
const START_MS_MAX = 60 * 60_000;
/** A stop that is ordered while a server starts waits this long for the start; only long recoveries need more. */
const STOP_PATIENCE_MS = 30_000;
/** How long a stop waits for what attachments have under way, for as long as they advance. */
const STOP_SETTLE_MS = 60_000;
/** The same while the platform ends: a supervisor waits for its end. */
const CLOSE_SETTLE_MS = 10_000;

/** Why a database is closed for good. */
export type CloseReason = 'shutting_down' | 'database_deleted';

/** What the transient states do: operations on the server, and before and after them the calls of its attachments. */
export class ServerWork {
  readonly #server: Server;
  readonly #attachments: Attachments;
  readonly #clock: Clock;
  readonly #makeRoom: () => Promise<void>;
  /** How many servers ended without a stop of ours. */
  #exits = 0;
  /** Ends the wait for attachments of the stop that is under way. */
  #hurry: AbortController | undefined;

  constructor(server: Server, attachments: Attachments, clock: Clock, makeRoom: () => Promise<void>) {
    this.#server = server;
    this.#attachments = attachments;
    this.#clock = clock;
    this.#makeRoom = makeRoom;
  }

  exited(): void {
    this.#exits++;
  }

  /** Starts the server and lets attachments look at it before anything else uses it. */
  async start(stopOrdered: () => boolean): Promise<void> {
    await this.#makeRoom();
    const exits = this.#exits;
    const patience = Deadline.in(this.#clock, STOP_PATIENCE_MS);
    const givenUp = (): boolean => patience.expired() && stopOrdered();
    await this.#server.start(Deadline.in(this.#clock, START_MS_MAX), givenUp);
    await this.#attachments.askAll((attachment) => attachment.preparing?.());
    // The state machine ignores an exit while a server starts.
    if (this.#exits !== exits) throw new DormouseError('start_failed');
  }

  /** Suspends the server if `wanted` still says so after the attachments have answered. */
  async suspend(wanted: () => boolean): Promise<void> {
    if (this.#attachments.announced) await this.#attachments.askAll((attachment) => attachment.suspending?.());
    if (wanted()) await this.#server.suspend();
  }

  wake(): Promise<void> {
    return this.#server.wake();
  }

  /** Stops the server, which was in the state `previous`; at once if its database is deleted. */
  async stop(previous: InstanceState, closed: CloseReason | undefined): Promise<void> {
    const hurry = new AbortController();
    this.#hurry = hurry;
    const timer = this.#clock.after(closed === 'shutting_down' ? CLOSE_SETTLE_MS : STOP_SETTLE_MS, () => hurry.abort());
    try {
      await this.#stop(previous, closed === 'database_deleted' ? 'immediate' : 'clean', hurry.signal);
    } finally {
      timer.cancel();
    }
  }

  /** Shortens the stop that is under way, because the database is closed meanwhile. The result takes that back. */
  hurry(reason: CloseReason): () => void {
    const hurry = this.#hurry;
    if (reason === 'database_deleted') hurry?.abort();
    const timer = this.#clock.after(CLOSE_SETTLE_MS, () => hurry?.abort());
    return () => timer.cancel();
  }

  async #stop(previous: InstanceState, how: 'clean' | 'immediate', hurry: AbortSignal): Promise<void> {
    // Attachments can only talk to a server that is not frozen.
    const moves =
      previous !== 'suspended' ||
      (await this.#server.wake().then(
        () => true,
        () => false,
      ));
    if (this.#attachments.announced && previous !== 'waking') {
      if (how === 'clean' && moves) await this.#attachments.settle(hurry);
      await this.#attachments.askAll((attachment) => attachment.stopping());
    }
    await this.#server.stop(how);
  }
}

import { type Clock, Deadline, DormouseError } from '../../base/index.ts';
import type { InstanceState, Server } from '../contract/index.ts';
import type { Attachments } from './attachments.ts';

/**
 * A start that recovers from a crash replays what `max_wal_size` lets pile up, and begins anew if it is broken off: on
 * a slow disk it must have its time. Nobody waits for so long: who needs the server has a deadline of his own, and a
 * stop breaks it off.
 */
const START_MS_MAX = 60 * 60_000;
/** A stop that is wanted while a server starts lets it have this long, which all but long recoveries need little of. */
const STOP_PATIENCE_MS = 30_000;

/** What the transient states do: operations on the server, with the attachments' words around them. */
export class ServerWork {
  readonly #server: Server;
  readonly #attendants: Attachments;
  readonly #clock: Clock;
  readonly #makeRoom: () => Promise<void>;
  /** Servers that ended without our doing. */
  #exits = 0;

  constructor(server: Server, attendants: Attachments, clock: Clock, makeRoom: () => Promise<void>) {
    this.#server = server;
    this.#attendants = attendants;
    this.#clock = clock;
    this.#makeRoom = makeRoom;
  }

  exited(): void {
    this.#exits++;
  }

  /** Starts the server and lets attachments look at it before anybody else may. */
  async start(stopWanted: () => boolean): Promise<void> {
    await this.#makeRoom();
    const exits = this.#exits;
    const patience = Deadline.in(this.#clock, STOP_PATIENCE_MS);
    const givenUp = (): boolean => patience.expired() && stopWanted();
    await this.#server.start(Deadline.in(this.#clock, START_MS_MAX), givenUp);
    await this.#attendants.tell((attachment) => attachment.preparing?.());
    // While it starts nothing else looks at an exit.
    if (this.#exits !== exits) throw new DormouseError('start_failed');
  }

  /** `wanted` tells whether it still is, after the last words. */
  async suspend(wanted: () => boolean): Promise<void> {
    if (this.#attendants.announced) await this.#attendants.tell((attachment) => attachment.suspending?.());
    if (wanted()) await this.#server.suspend();
  }

  wake(): Promise<void> {
    return this.#server.wake();
  }

  /** Stops the server that was in the state `previous`; `hurry` ends the wait for what attachments have under way. */
  async stop(previous: InstanceState, how: 'clean' | 'immediate', hurry: AbortSignal): Promise<void> {
    // Last words need a server that moves.
    const moves =
      previous !== 'suspended' ||
      (await this.#server.wake().then(
        () => true,
        () => false,
      ));
    if (this.#attendants.announced && previous !== 'waking') {
      if (how === 'clean' && moves) await this.#attendants.settle(hurry);
      await this.#attendants.tell((attachment) => attachment.stopping());
    }
    await this.#server.stop(how);
  }
}

import { join } from 'node:path';
import { assert, type Clock, type DatabaseId, DormouseError, type Epoch, type Logger } from '../base/index.ts';
import type { Attachment, Endpoint, InstanceState } from '../instance/index.ts';
import type { Connect } from './capture/index.ts';
import { Capture, TableCatalog } from './capture/index.ts';
import type { EventLog, EventLogs, LogLimits } from './log/index.ts';
import { formatOffset, LargeReads, ORIGIN, SubscriberCount } from './log/index.ts';

/** The log lies in the database's own directory: it goes with it. */
const LOG_FILE = 'events.db';

export interface EventsOfDatabaseOptions {
  readonly databaseId: DatabaseId;
  /** The database's own directory. */
  readonly directory: string;
  /** Its log is not synced. */
  readonly throwAway?: boolean;
  /** See `CaptureOptions`. */
  readonly ask?: (sql: string) => Promise<string | undefined>;
  readonly instance: {
    readonly endpoint: Endpoint;
    readonly state: InstanceState;
    onChange?(listener: (state: InstanceState) => void): () => void;
  };
}

/** How a database's events stand, for status and dashboard. */
export interface EventsStatus {
  readonly caughtUp: boolean;
  /** WAL that the slot holds on to, as far as the server has told. */
  readonly lagBytes: number;
  /** What the log holds. */
  readonly events: number;
  readonly bytes: number;
  readonly subscribers: number;
  /** Named places, as JSON can carry them: positions as offsets. */
  readonly cursors: readonly {
    readonly kind: string;
    readonly subject: string;
    readonly name: string;
    readonly offset: string;
    readonly updatedAtMs: number;
  }[];
}

/** All that events/ knows of one database. */
export class DatabaseEvents {
  readonly databaseId: DatabaseId;
  readonly log: EventLog;
  readonly capture: Capture;
  readonly subscribers: SubscriberCount;
  /** Replies that are not live, until their clients have taken them. */
  readonly replies: SubscriberCount;
  readonly largeReads: LargeReads;
  readonly catalog: TableCatalog;
  readonly #epochs = new Map<number, Epoch>();
  readonly #closeListeners = new Set<() => void>();
  readonly #forget: (() => void) | undefined;

  constructor(
    options: EventsOfDatabaseOptions,
    world: {
      readonly logs: EventLogs;
      readonly limits: LogLimits;
      readonly subscribersMax: number;
      readonly connect: Connect;
      readonly clock: Clock;
      readonly logger: Logger;
    },
  ) {
    const { clock, logger, connect } = world;
    this.databaseId = options.databaseId;
    const synced = options.throwAway !== true;
    this.log = world.logs.open(join(options.directory, LOG_FILE), { ...world.limits, synced });
    this.capture = new Capture({
      ...{ instance: options.instance, ask: options.ask },
      ...{ log: this.log, clock, connect, logger },
    });
    this.subscribers = new SubscriberCount(world.subscribersMax);
    this.replies = new SubscriberCount(world.subscribersMax, 'reads of its events under way. Try again in a moment.');
    this.largeReads = new LargeReads(clock);
    this.catalog = new TableCatalog({
      log: this.log,
      ask: () => this.capture.tables(),
      noted: () => this.capture.notedTables(),
    });
    this.#forget = options.instance.onChange?.((state) => {
      // Opens the log while the server starts, so that capture does not wait for it; and drops what is too old.
      if (state === 'starting') void this.log.trim().catch(() => {});
      else if (state === 'running') this.capture.awake();
    });
  }

  /** What the instance calls when its server comes and goes. */
  get attachment(): Attachment {
    return this.capture;
  }

  /**
   * The slot and our objects in a new database or branch: what the controller awaits through `attachment.preparing`
   * before the first hold. Wakes nothing, so the server must run. Idempotent.
   */
  prepare(): Promise<void> {
    return this.capture.preparing();
  }

  /**
   * Fails with `stream_unknown` where the programs of this database cannot tell its changes: nothing would ever come.
   */
  checkReadable(): void {
    const { missing } = this.capture;
    if (missing !== undefined) throw new DormouseError('stream_unknown', { message: missing });
  }

  async status(): Promise<EventsStatus> {
    const { events, bytes } = await this.log.state();
    const cursors = await Promise.all(
      (await this.log.cursors()).map(async ({ key, position, updatedAtMs }) => ({
        ...key,
        offset: formatOffset(position, await this.epochOf(position.ordinal === ORIGIN.ordinal ? 1 : position.ordinal)),
        updatedAtMs,
      })),
    );
    return {
      caughtUp: this.capture.caughtUp(),
      lagBytes: this.capture.lagBytes,
      events,
      bytes,
      subscribers: this.subscribers.open,
      cursors,
    };
  }

  /** The epoch of an ordinal of this log. */
  async epochOf(ordinal: number): Promise<Epoch> {
    let epoch = this.#epochs.get(ordinal);
    if (epoch === undefined) {
      for (const each of await this.log.epochs()) this.#epochs.set(each.ordinal, each.epoch);
      epoch = this.#epochs.get(ordinal);
    }
    assert(epoch !== undefined, 'positions are of known epochs');
    return epoch;
  }

  /** Calls `listener` when subscribers have to go. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Ends capture and subscribers, closes the log. */
  async close(): Promise<void> {
    this.#forget?.();
    this.capture.stopped();
    for (const listener of [...this.#closeListeners]) listener();
    await this.log.close();
  }
}

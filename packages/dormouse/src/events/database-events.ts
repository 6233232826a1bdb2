import { join } from 'node:path';
import { assert, type Clock, type DatabaseId, DormouseError, type Epoch, type Logger } from '../base/index.ts';
import type { Attachment, Endpoint, InstanceState } from '../instance/index.ts';
import type { Connect } from './capture/index.ts';
import { Capture, TableCatalog } from './capture/index.ts';
import type { EventLog, EventLogs, LogLimits } from './log/index.ts';
import { formatOffset, LargeReads, ORIGIN, SubscriberCount } from './log/index.ts';

/** The log lies in the database's own directory, and is deleted with it. */
const LOG_FILE = 'events.db';

export interface EventsOfDatabaseOptions {
  readonly databaseId: DatabaseId;
  /** The database's own directory. */
  readonly directory: string;
  /** The database is ephemeral: its log is not synced. */
  readonly throwAway?: boolean;
  /** See `CaptureOptions`. */
  readonly ask?: (sql: string) => Promise<string | undefined>;
  readonly instance: {
    readonly endpoint: Endpoint;
    readonly state: InstanceState;
    onChange?(listener: (state: InstanceState) => void): () => void;
  };
}

/** The state of a database's events, for the status and the dashboard. */
export interface EventsStatus {
  readonly caughtUp: boolean;
  /** Bytes of WAL that the slot keeps, as far as the server has told. */
  readonly lagBytes: number;
  /** Events in the log. */
  readonly events: number;
  readonly bytes: number;
  readonly subscribers: number;
  /** Cursors, with their positions as offsets. */
  readonly cursors: readonly {
    readonly kind: string;
    readonly subject: string;
    readonly name: string;
    readonly offset: string;
    readonly updatedAtMs: number;
  }[];
}

/** The events of one database: its log, its capture, its subscribers. */
export class DatabaseEvents {
  readonly databaseId: DatabaseId;
  readonly log: EventLog;
  readonly capture: Capture;
  readonly subscribers: SubscriberCount;
  /** Counts replies that are not live, until their clients have taken them. */
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
      // Drops events that are too old. This also opens the log while the server starts, so that capture does not wait.
      if (state === 'starting') void this.log.trim().catch(() => {});
      else if (state === 'running') this.capture.awake();
    });
  }

  /** Called by the instance when its server starts, rests, thaws and stops. */
  get attachment(): Attachment {
    return this.capture;
  }

  /**
   * Makes the slot of a new database or branch. The controller awaits this through `attachment.preparing` before the
   * first hold. Does not wake the server, which must run. Idempotent.
   */
  prepare(): Promise<void> {
    return this.capture.preparing();
  }

  /**
   * Fails with `stream_unknown` if the programs of this database cannot decode its changes: no event would ever come.
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

  /** The epoch that has this ordinal in the log. */
  async epochOf(ordinal: number): Promise<Epoch> {
    let epoch = this.#epochs.get(ordinal);
    if (epoch === undefined) {
      for (const each of await this.log.epochs()) this.#epochs.set(each.ordinal, each.epoch);
      epoch = this.#epochs.get(ordinal);
    }
    assert(epoch !== undefined, 'positions are of known epochs');
    return epoch;
  }

  /** Calls `listener` when the subscribers have to be disconnected. */
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

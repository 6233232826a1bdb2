import { type Clock, DormouseError, type Logger } from '../../base/index.ts';
import type { InstanceState } from '../../instance/index.ts';
import {
  decodeReplicationMessage,
  encodeStandbyStatus,
  formatLsn,
  type Lsn,
  PostgresError,
  TestDecodingReader,
} from '../../wire/index.ts';
import type { EventLog } from '../log/index.ts';
import { type Assembly, TransactionAssembler } from './assembler.ts';
import { STREAM_TRANSITIONS, type StreamEvent, type StreamState } from './capture-state.ts';
import { CapturedTables } from './captured-tables.ts';
import type { CatalogLookup } from './catalog-lookup.ts';
import type { Conditions } from './conditions.ts';
import type { ReplicationConnection } from './replication-connection.ts';
import { Watchdog } from './watchdog.ts';
import type { Watermarks } from './watermarks.ts';

/**
 * A transaction over this goes to the log in pieces: memory is bounded by this, not by the tenant's largest
 * transaction.
 */
const PIECE_BYTES = 1024 * 1024;
/** Over this the socket is not read until the log has caught up. */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024;
/**
 * An idle stream stores and acknowledges the server's own WAL once it is this much, or this long after the last time.
 */
export const IDLE_BYTES: bigint = 256n * 1024n;
const IDLE_MS = 10_000;
/** After the last acknowledgement, how long the server may take to close the stream. */
const CLOSE_MS = 1000;

export interface ChangeStreamOptions {
  readonly connection: ReplicationConnection;
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly instance: { readonly state: InstanceState };
  readonly lookup: CatalogLookup;
  readonly marks: Watermarks;
  /** Told of every change of the stream and of `marks`. */
  readonly conditions: Conditions;
}

/**
 * One replication connection from its login to its end: decodes the changes, hands them to the log in batches, and
 * acknowledges exactly what the log has stored, never changes that were merely received.
 */
export class ChangeStream {
  readonly #options: ChangeStreamOptions;
  readonly #connection: ReplicationConnection;
  readonly #marks: Watermarks;
  readonly #watchdog: Watchdog;
  readonly #reader = new TestDecodingReader();
  #assembler = new TransactionAssembler(PIECE_BYTES, 0n);
  #tables: CapturedTables | undefined;
  #state: StreamState = 'opening';
  /** The log has been given a batch and has not answered. */
  #appending = false;
  #storedAtMs = 0;
  #advanced = false;
  #begun = false;

  constructor(options: ChangeStreamOptions) {
    const { connection, clock, instance, logger, conditions } = options;
    this.#options = options;
    this.#connection = connection;
    this.#marks = options.marks;
    connection.onClose(() => conditions.changed());
    this.#watchdog = new Watchdog({
      ...{ clock, instance, logger, connection },
      paused: () => this.#state === 'paused',
      ask: () => {
        if (this.live) this.acknowledge(true);
      },
    });
  }

  /** The server streams changes on this connection. */
  get live(): boolean {
    return this.#state === 'flowing' || this.#state === 'paused';
  }
  /** Everything that came is in the log. */
  get idle(): boolean {
    return !this.#appending && this.#assembler.empty;
  }
  /** The stream has begun, whatever became of it. */
  get begun(): boolean {
    return this.#begun;
  }
  /** The stream has brought something into the log. */
  get advanced(): boolean {
    return this.#advanced;
  }
  /** Bytes of changes that were read and not yet handed to the log: bounded, whatever the size of a transaction. */
  get bufferedBytes(): number {
    return this.#assembler.bytes;
  }

  /** Streams from what is stored, by the slot of this name, until the connection ends; always rejects. */
  async run(slot: string, storedLsn: Lsn, onBegin: () => void): Promise<never> {
    const { log, clock, lookup } = this.#options;
    const connection = this.#connection;
    this.#marks.streamBegins(storedLsn);
    this.#assembler = new TransactionAssembler(PIECE_BYTES, storedLsn);
    const lookUp: CatalogLookup['lookUp'] = (tables, xids) => lookup.lookUp(tables, xids);
    this.#tables = new CapturedTables(await log.tables(), lookUp, () => clock.monotonic());
    this.#storedAtMs = clock.monotonic();
    await connection.stream(
      // Transactions without changes of rows are sent too: they may have changed tables.
      `START_REPLICATION SLOT ${slot} LOGICAL ${formatLsn(storedLsn)}
         ("include-xids" 'on', "include-timestamp" 'on', "skip-empty-xacts" 'off')`,
      { onData: (payload, cut) => this.#onData(payload, cut), onChunkEnd: () => this.#onChunkEnd() },
    );
    this.#send('began');
    this.#begun = true;
    onBegin();
    await new Promise<void>((resolve) => connection.onClose(resolve));
    throw connection.failure ?? new DormouseError('database_stopped');
  }

  /** Ends the connection and waits until the log has answered for the batch that it was given. */
  async ended(): Promise<void> {
    const { conditions } = this.#options;
    this.#send('ended');
    this.#watchdog.stop();
    this.#connection.destroy();
    // The next stream drops the log's pending events: a batch of this one must be in the log, or have failed, by then.
    await conditions.until(() => !this.#appending);
    conditions.changed();
  }

  /** Ends the session: the server closes the connection once it has processed the last acknowledgement. */
  async close(): Promise<void> {
    const connection = this.#connection;
    connection.terminate();
    await this.#options.conditions.until(() => connection.closed, CLOSE_MS);
    connection.destroy();
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.#connection.destroy();
  }

  /** The server runs again: the watchdog, which had no timer while the server was frozen, goes on. */
  awake(): void {
    this.#watchdog.awake();
  }

  /** Tells the server what is durable here: the stored LSN and nothing else. */
  acknowledge(replyRequested: boolean): void {
    const lsn = this.#marks.storedLsn;
    this.#connection.send(
      encodeStandbyStatus({ written: lsn, flushed: lsn, replyRequested, nowMs: this.#options.clock.now() }),
    );
  }

  /**
   * Stores how far the server is while no changes come: the server's own WAL (vacuum, checkpoints) would else be kept
   * for ever. Unless `atOnce`, this happens once per {@link IDLE_BYTES} or {@link IDLE_MS}.
   */
  async storeIdle(atOnce: boolean): Promise<void> {
    const { clock, log } = this.#options;
    const { serverLsn, storedLsn } = this.#marks;
    if (!this.live || !this.idle || serverLsn <= storedLsn) return;
    const nowMs = clock.monotonic();
    if (!atOnce && serverLsn - storedLsn < IDLE_BYTES && nowMs - this.#storedAtMs < IDLE_MS) return;
    const batch = { relations: [], transactions: [], endLsn: serverLsn };
    await this.#store(() => log.append(batch).then(() => true), serverLsn);
  }

  #onData(payload: Buffer, cut: boolean): void {
    const message = decodeReplicationMessage(payload);
    if (message.kind === 'data') {
      this.#marks.steps += 1;
      this.#assembler.push(this.#reader.decode(message.data, cut), message.walStart, message.data.length);
      return;
    }
    this.#marks.serverAt(message.walEnd);
    if (message.replyRequested) this.acknowledge(false);
  }

  #onChunkEnd(): void {
    this.#append();
    if (this.#assembler.bytes > BUFFER_BYTES_MAX) this.#send('filled');
    if (this.idle) {
      void this.storeIdle(false);
      this.#options.conditions.changed();
    }
  }

  /** Hands what is ready to the log, one batch at a time: what commits meanwhile shares the next batch's fsync. */
  #append(): void {
    if (this.#appending || this.#state === 'ended') return;
    const assembly = this.#assembler.take();
    if (assembly !== undefined) void this.#store(() => this.#log(assembly), assembly.endLsn);
  }

  /** Gives false if there was nothing for the log. */
  async #log(assembly: Assembly): Promise<boolean> {
    const { log, clock } = this.#options;
    const batch = await this.#tables?.complete(assembly, clock.now());
    if (batch === undefined || (batch.transactions.length === 0 && batch.tables === undefined)) return false;
    await log.append(batch);
    return true;
  }

  async #store(append: () => Promise<boolean>, endLsn: Lsn | undefined): Promise<void> {
    const marks = this.#marks;
    this.#appending = true;
    let stored = false;
    try {
      stored = await append();
      this.#advanced = true;
      marks.steps += 1;
      if (endLsn !== undefined) {
        if (stored) marks.storedUpTo(endLsn);
        else marks.nothingUpTo(endLsn);
      }
    } catch (error) {
      this.#storeFailed(error);
    }
    this.#appending = false;
    if (!this.#connection.closed) {
      if (stored) this.#storedAtMs = this.#options.clock.monotonic();
      if (stored && endLsn !== undefined) this.acknowledge(false);
      this.#append();
      if (this.#assembler.bytes < BUFFER_BYTES_MAX / 2) this.#send('emptied');
    }
    this.#options.conditions.changed();
  }

  #storeFailed(error: unknown): void {
    const gone =
      error instanceof PostgresError || (error instanceof DormouseError && error.code === 'database_stopped');
    this.#options.logger.log(
      gone ? 'warn' : 'error',
      gone ? 'capture cannot ask what a table is' : 'the event log cannot be written',
      { error: String(error) },
    );
    this.#connection.destroy();
  }

  #send(event: StreamEvent): void {
    const before = this.#state;
    this.#state = STREAM_TRANSITIONS[before][event];
    if (this.#state === 'paused' && before !== 'paused') this.#connection.pause();
    if (this.#state === 'flowing' && before === 'paused') this.#connection.resume();
  }
}

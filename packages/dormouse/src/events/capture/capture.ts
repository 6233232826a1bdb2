import type { Clock, Logger } from '../../base/index.ts';
import type { Attachment, Endpoint, InstanceState } from '../../instance/index.ts';
import { type Lsn, PostgresError } from '../../wire/index.ts';
import type { EventLog } from '../log/index.ts';
import { CAPTURE_TRANSITIONS, type CaptureEvent, type CaptureState } from './capture-state.ts';
import { CatalogLookup } from './catalog-lookup.ts';
import { ChangeStream, IDLE_BYTES } from './change-stream.ts';
import { Conditions } from './conditions.ts';
import { drain } from './drain.ts';
import { KnownTables } from './known-tables.ts';
import { passOver } from './pass-over.ts';
import { type Connect, ReplicationConnection } from './replication-connection.ts';
import { ServerQuestions } from './server-questions.ts';
import { DecodingMissing, ensureSlot, hasSlot, knownFailure, slotName } from './slot.ts';
import { StuckTransaction } from './stuck-transaction.ts';
import type { CatalogEntry } from './table-catalog.ts';
import { tidyMainDatabase } from './tidy-main-database.ts';
import { Watermarks } from './watermarks.ts';

/** Pauses between attempts to stream; the last one repeats. */
const RETRY_MS: readonly number[] = [20, 100, 500, 2000, 5000];
/** After a thaw the first query goes before the stream is opened again, which forks a server process. */
const RETURN_MS = 10;
/**
 * How long the last drain before a stop may take (the controller gives 5 s). Earlier changes were read before, by
 * `settling`; this is for changes that came after it.
 */
const DRAIN_MS = 3500;
/**
 * The same before a freeze, which is shorter: a query that needs the database meanwhile waits with it, and what is left
 * comes after the thaw.
 */
const SUSPEND_DRAIN_MS = 1000;

export interface CaptureOptions {
  readonly instance: { readonly endpoint: Endpoint; readonly state: InstanceState };
  readonly log: EventLog;
  readonly clock: Clock;
  readonly connect: Connect;
  readonly logger: Logger;
  /** Asks the running server for one text over a connection that is open already; undefined if there is none. */
  readonly ask?: ((sql: string) => Promise<string | undefined>) | undefined;
}

/**
 * Reads one database's committed changes into its log, in commit order, each once, while the server runs. Never holds
 * or wakes the server.
 *
 * What makes this exact: events and the LSN behind them are stored together, a stream starts from the stored LSN, and
 * only that LSN is acknowledged.
 */
export class Capture implements Attachment {
  readonly #options: CaptureOptions;
  readonly #marks = new Watermarks();
  readonly #conditions: Conditions;
  readonly #lookup: CatalogLookup;
  readonly #questions: ServerQuestions;
  readonly #tables: KnownTables;
  readonly #stuck = new StuckTransaction();
  #state: CaptureState = 'stopped';
  #stream: ChangeStream | undefined;
  #running: Promise<void> | undefined;
  /** Why there are no events; kept until a stream begins. */
  #missing: DecodingMissing | undefined;
  /** The epoch has its slot: once true, always true. */
  #prepared = false;

  constructor(options: CaptureOptions) {
    const { clock, connect, instance, ask, log, logger } = options;
    this.#options = options;
    this.#conditions = new Conditions(clock);
    this.#lookup = new CatalogLookup(connect, instance.endpoint, clock);
    this.#questions = new ServerQuestions(connect, instance.endpoint, ask);
    this.#tables = new KnownTables({ log, clock, logger, ask: () => this.#questions.catalog() });
  }

  /** Makes the slot of a new history, before any user can write. */
  async preparing(): Promise<void> {
    if (this.#prepared) return;
    const { log, connect, instance, logger } = this.#options;
    let state = await log.state();
    this.#prepared = hasSlot(state);
    if (this.#prepared) return;
    const connection = await ReplicationConnection.open(connect, instance.endpoint, true);
    try {
      state = await ensureSlot(connection, log, state, logger);
      this.#marks.storedLsn = state.storedLsn ?? 0n;
      this.#prepared = true;
      await tidyMainDatabase(connection, this.#options);
    } catch (error) {
      // The first stream does the same; only what is written before that could be missed.
      logger.log('warn', 'a new database could not be prepared for events', { error: String(error) });
    } finally {
      connection.terminate();
      connection.destroy();
    }
  }

  started(): void {
    this.#send('started');
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#state !== 'stopped') this.started();
    });
  }

  /** Reads what was written, for as long as that advances. */
  async settling(signal: AbortSignal): Promise<void> {
    if (this.#state === 'resting' || this.#state === 'stopped') return;
    if (await this.#drain(signal, Number.POSITIVE_INFINITY)) await this.#tables.note(this.#marks.serverLsn);
  }

  /** Drains and closes the stream. If draining takes too long, the stream stays open and goes on after the thaw. */
  async suspending(): Promise<void> {
    if (!(await this.drain(SUSPEND_DRAIN_MS)) || this.#state === 'stopped') return;
    this.#send('drained');
    await this.#closeStream();
  }

  /** Drains, acknowledges, closes: a fast stop of Postgres waits for an open stream. */
  async stopping(): Promise<void> {
    // A resting server has written nothing but its own WAL, which the next stream reads.
    if (this.#state !== 'resting') await this.drain();
    this.#send('stopped');
    await this.#closeStream();
    await this.#running;
  }

  stopped(): void {
    this.#send('stopped');
    this.#stream?.destroy();
  }

  /** The server runs, after a start or a thaw. */
  awake(): void {
    this.#tables.serverRuns();
    this.#stream?.awake();
    this.#send('woke');
  }

  /** The tables of the database, asked of the server; undefined if it does not run or does not answer. */
  async tables(): Promise<readonly CatalogEntry[] | undefined> {
    if (this.#state === 'stopped' || this.#options.instance.state !== 'running') return undefined;
    return this.#tables.now();
  }

  /** The tables of the database when its server went to rest; undefined if they may have changed since. */
  notedTables(): Promise<readonly CatalogEntry[] | undefined> {
    return this.#tables.atRest();
  }

  /** See {@link ChangeStream.bufferedBytes}. */
  get bufferedBytes(): number {
    return this.#stream?.bufferedBytes ?? 0;
  }

  /** See {@link Watermarks.lagBytes}. */
  get lagBytes(): number {
    return this.#marks.lagBytes;
  }

  /** Why this database has no events, where waiting does not help. */
  get missing(): string | undefined {
    return this.#missing?.message;
  }

  /** Everything that the server has told of is in the log. */
  caughtUp(): boolean {
    const { serverLsn, storedLsn } = this.#marks;
    const live = this.#stream?.live === true && this.#stream.idle;
    return (live || this.#state === 'resting') && serverLsn <= storedLsn + IDLE_BYTES;
  }

  /**
   * Waits until all that was committed before the call is in the log, at most `ms`; gives whether it is. The server
   * must be running.
   */
  drain(ms: number = DRAIN_MS): Promise<boolean> {
    return this.#drain(undefined, ms);
  }

  async #drain(signal: AbortSignal | undefined, ms: number): Promise<boolean> {
    if (this.#state === 'stopped' || this.#missing !== undefined) return false;
    const { clock, logger } = this.#options;
    const beganMs = clock.monotonic();
    let targetLsn: Lsn;
    try {
      targetLsn = await this.#questions.insertLsn();
    } catch (error) {
      logger.log('warn', 'capture cannot ask how far to drain', { error: String(error) });
      return false;
    }
    return drain({
      ...{ targetLsn, beganMs, ms, signal, clock, marks: this.#marks, conditions: this.#conditions },
      stream: () => this.#stream,
      stopped: () => this.#state === 'stopped',
    });
  }

  async #closeStream(): Promise<void> {
    this.#lookup.close();
    await this.#stream?.close();
  }

  #send(event: CaptureEvent): void {
    this.#state = CAPTURE_TRANSITIONS[this.#state][event];
    this.#conditions.changed();
  }

  /** Does what each state asks for, until capture is stopped. */
  async #run(): Promise<void> {
    let attempt = 0;
    while (this.#state !== 'stopped') {
      switch (this.#state) {
        case 'capturing':
          if (await this.#capture()) attempt = 0;
          break;
        case 'retrying':
          await this.#pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] as number);
          attempt += 1;
          break;
        case 'returning':
          await this.#pause(RETURN_MS);
          break;
        case 'resting':
        case 'unable':
          await this.#pause(Number.POSITIVE_INFINITY);
      }
    }
  }

  /** Waits until the state is another one; after `ms` it is due. */
  async #pause(ms: number): Promise<void> {
    const state = this.#state;
    await this.#conditions.until(() => this.#state !== state, ms);
    if (this.#state === state) this.#send('due');
  }

  /**
   * One stream from its login to its end. Gives whether the next one may follow soon: a stream that began, stored
   * nothing and ended would do so again, since what it cannot decode comes first in the next one too.
   */
  async #capture(): Promise<boolean> {
    const { connect, instance } = this.#options;
    this.#marks.barrenStreams += 1;
    let stream: ChangeStream | undefined;
    try {
      const connection = await ReplicationConnection.open(connect, instance.endpoint, true);
      if (this.#state !== 'capturing') {
        // Capture was stopped, or rests, since the connection was asked for: nothing would close it later.
        connection.terminate();
        connection.destroy();
        return false;
      }
      stream = new ChangeStream({
        ...this.#options,
        ...{ connection, lookup: this.#lookup, marks: this.#marks, conditions: this.#conditions },
      });
      this.#stream = stream;
      await this.#readInto(stream, connection);
    } catch (error) {
      this.#lookup.close();
      await stream?.ended();
      this.#stream = undefined;
      await this.#lost(knownFailure(error), stream?.begun === true);
    }
    return stream?.advanced === true || this.#state === 'resting';
  }

  async #readInto(stream: ChangeStream, connection: ReplicationConnection): Promise<never> {
    const { log, logger } = this.#options;
    const state = await ensureSlot(connection, log, await log.discardPending(), logger);
    await tidyMainDatabase(connection, this.#options);
    return stream.run(slotName(state.epoch), state.storedLsn ?? 0n, () => {
      this.#missing = undefined;
    });
  }

  /** A stream has ended by itself, unless capture was stopped or rests. */
  async #lost(error: unknown, begun: boolean): Promise<void> {
    if (this.#state !== 'capturing') return;
    const { log, clock, logger } = this.#options;
    if (error instanceof DecodingMissing) {
      if (this.#missing === undefined) logger.log('warn', error.message, {});
      this.#missing = error;
      this.#send('undecodable');
      return;
    }
    // 55006: the server process of a dead connection of ours still has the slot for a moment.
    const level = error instanceof PostgresError && error.code === '55006' ? 'debug' : 'warn';
    logger.log(level, 'capture lost its stream', { error: String(error) });
    this.#send('lost');
    if (begun && this.#stuck.ended(error, this.#marks.storedLsn)) {
      await passOver(error, { log, clock, logger, marks: this.#marks, questions: this.#questions });
    }
  }
}

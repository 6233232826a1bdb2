import { type Clock, DormouseError, type Logger, type Timer } from '../../base/index.ts';
import type { Attachment, Endpoint, InstanceState } from '../../instance/index.ts';
import {
  decodeReplicationMessage,
  encodeStandbyStatus,
  formatLsn,
  type Lsn,
  PostgresError,
  parseLsn,
  TestDecodingReader,
} from '../../wire/index.ts';
import type { EventLog } from '../log/index.ts';
import { type Assembly, TransactionAssembler } from './assembler.ts';
import { CapturedTables } from './captured-tables.ts';
import { Progress } from './progress.ts';
import { type Connect, ReplicationConnection } from './replication-connection.ts';
import { DecodingMissing, ensureSlot, hasSlot, knownFailure, slotName } from './slot.ts';
import { StuckTransaction } from './stuck-transaction.ts';
import { CATALOG_SQL, type CatalogEntry, readCatalog } from './table-catalog.ts';
import { TableLooks } from './table-looks.ts';
import { tidyMainDatabase } from './tidy-main-database.ts';

/**
 * A transaction over this goes to the log in pieces: memory is bounded by it, not by the tenant's largest transaction.
 */
const PIECE_BYTES = 1024 * 1024;
/** Over this the socket is paused until the log has caught up. */
const BUFFER_BYTES_MAX = 4 * 1024 * 1024;
/** Waits between attempts to connect; the last one repeats. */
const RETRY_MS: readonly number[] = [20, 100, 500, 2000, 5000];
/** With `wal_sender_timeout=0` nobody else notices a dead stream: each tick asks for a reply. */
const WATCHDOG_TICK_MS = 10_000;
/** Ticks without a byte while the server runs, after which the stream is opened anew. */
const WATCHDOG_SILENT_TICKS = 3;
/**
 * How long the last words before a stop or a freeze take (the controller gives 5 s). What was written was read before,
 * while the server still ran and as long as that advanced; this is for what came in between.
 */
const DRAIN_MS = 3500;
/** A freeze waits for less: who needs the database meanwhile waits with it, and what is left comes after the thaw. */
const SUSPEND_DRAIN_MS = 1000;
/** While draining, how often the server is asked how far it is: at first, and when it takes longer. */
const DRAIN_PING_MS = 20;
const SLOW_PING_MS = 200;
const SLOW_AFTER_MS = 1000;
/**
 * A database rests with events unread when nothing more of them has come for this long: the server may take some
 * seconds to read a large transaction from its WAL and to print a large row, and tells meanwhile how far it is.
 */
const SILENCE_MS = 30_000;
/**
 * And when this many streams in a row have ended without a transaction that went through: the next would do so, too.
 */
const BARREN_MAX = 7;
/** After a wake its first query goes before the stream is opened again, which forks a backend. */
const BACK_AFTER_MS = 10;
/** After the last acknowledgement, how long the server may take to close the stream. */
const CLOSE_MS = 1000;
/** How long the running server has to name its tables. */
const CATALOG_MS = 5000;
/** What the server itself writes into the WAL when it goes to rest: less than any statement that makes a table. */
const REST_WAL_BYTES = 512n;
/**
 * An idle stream stores and acknowledges the server's own WAL once it is this much, or this long after the last time.
 */
const IDLE_BYTES = 256n * 1024n;
const IDLE_MS = 10_000;
/** A record may end a page header (24 bytes, 40 at the start of a segment) before the position of the next one. */
const WAL_PAGE_BYTES = 8192n;
const PAGE_HEADER_BYTES_MAX = 40n;

export interface CaptureOptions {
  readonly instance: { readonly endpoint: Endpoint; readonly state: InstanceState };
  readonly log: EventLog;
  readonly clock: Clock;
  readonly connect: Connect;
  readonly logger: Logger;
  /** Asks the running server for one text over a connection that is there already; undefined if there is none. */
  readonly ask?: ((sql: string) => Promise<string | undefined>) | undefined;
}

/** Behind every commit that was acknowledged before the question. */
const INSERT_LSN = 'SELECT pg_catalog.pg_current_wal_insert_lsn()';

/** What is durable: a stream may begin there. */
const FLUSH_LSN = 'SELECT pg_catalog.pg_current_wal_flush_lsn()';

/**
 * Reads one database's committed changes into its log, in commit order, each once, while the server runs. Never holds
 * or wakes it.
 *
 * What makes it exact: events and the LSN behind them are stored together, the stream starts from the stored LSN, and
 * only that LSN is acknowledged: exactly, never one more, never what was merely received.
 */
export class Capture implements Attachment {
  readonly #options: CaptureOptions;
  #wanted = false;
  #running: Promise<void> | undefined;
  /**
   * All is stored and the stream is closed until the server wakes: its process would hold 5 MB of a frozen server's 12.
   */
  #resting = false;
  #connection: ReplicationConnection | undefined;
  #reader = new TestDecodingReader();
  #assembler = new TransactionAssembler(PIECE_BYTES, 0n);
  #tables: CapturedTables | undefined;
  readonly #looks: TableLooks;
  /** Why there are no events, if that is for good. */
  #missing: DecodingMissing | undefined;
  #streaming = false;
  /** This stream has brought something into the log. */
  #advanced = false;
  /** The epoch has its slot: known once, true for good. */
  #prepared = false;
  #storedLsn: Lsn = 0n;
  /** How far the server has decoded, by its last keepalive. */
  #serverLsn: Lsn = 0n;
  #storedAtMs = 0;
  /** The tables at the last rest that followed on writes, and whether there can be no others by now. */
  #notedHolds = false;
  #noted: { readonly text: string; readonly atLsn: Lsn } | undefined;
  /** Counts what has come in and what was stored: whether capture advances. */
  #steps = 0;
  readonly #stuck = new StuckTransaction();
  /** This session came to stream. */
  #streamed = false;
  /** Streams in a row that ended before a transaction was through. */
  #barren = 0;
  #appending = false;
  #paused = false;
  #retryTimer: { readonly timer: Timer | undefined; readonly wake: () => void } | undefined;
  readonly #progress: Progress;
  /** Sets the watchdog going again, while it rests with a frozen server. */
  #rouse: (() => void) | undefined;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#progress = new Progress(options.clock);
    this.#looks = new TableLooks(options.connect, options.instance.endpoint, options.clock);
  }

  /** The first look at a new history: the slot, before any user can write. */
  async preparing(): Promise<void> {
    if (this.#prepared) return;
    const { log, connect, instance, logger } = this.#options;
    let state = await log.state();
    this.#prepared = hasSlot(state);
    if (this.#prepared) return;
    const connection = await ReplicationConnection.open(connect, instance.endpoint, true);
    try {
      state = await ensureSlot(connection, log, state, logger);
      this.#storedLsn = state.storedLsn ?? 0n;
      this.#prepared = true;
      await tidyMainDatabase(connection, this.#options);
    } catch (error) {
      // The stream's own start does the same; only what is written before that could be missed.
      logger.log('warn', 'a new database could not be prepared for events', { error: String(error) });
    } finally {
      connection.terminate();
      connection.destroy();
    }
  }

  started(): void {
    this.#wanted = true;
    this.#resting = false;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#wanted) this.started();
    });
  }

  /** Reads what was written, for as long as that advances. */
  async settling(signal: AbortSignal): Promise<void> {
    if (this.#resting || !this.#wanted) return;
    if (await this.#drain(signal, Number.POSITIVE_INFINITY)) await this.#noteTables();
  }

  /** The tables that are there, by the running server; undefined if it does not run, or does not say. */
  async tables(): Promise<readonly CatalogEntry[] | undefined> {
    const { clock, instance, logger } = this.#options;
    if (!this.#wanted || instance.state !== 'running') return undefined;
    const asked = this.#answer(CATALOG_SQL).then(readCatalog);
    asked.catch((error: unknown) => logger.log('debug', 'the tables are not known', { error: String(error) }));
    // It may be frozen meanwhile.
    const late = new Promise<undefined>((resolve) => clock.after(CATALOG_MS, () => resolve(undefined)));
    return Promise.race([asked.catch(() => undefined), late]);
  }

  /** The tables that there were when the server went to rest; undefined if there may be others by now. */
  async notedTables(): Promise<readonly CatalogEntry[] | undefined> {
    if (this.#noted !== undefined && this.#notedHolds) return readCatalog(this.#noted.text);
    const { log } = this.#options;
    const [noted, { storedLsn }] = [await log.notedTables(), await log.state()];
    if (noted === undefined || storedLsn === undefined || storedLsn - noted.storedLsn > REST_WAL_BYTES)
      return undefined;
    return readCatalog(noted.text);
  }

  /** Once nothing more was written: what a sleeping database has is then known without waking it. */
  async #noteTables(): Promise<void> {
    const { log, logger } = this.#options;
    const lsn = this.#serverLsn;
    this.#notedHolds = this.#noted !== undefined && lsn - this.#noted.atLsn <= REST_WAL_BYTES;
    // A rest after reads alone asks nothing.
    if (this.#notedHolds) return;
    try {
      const text = await this.#answer(CATALOG_SQL);
      await log.noteTables(text);
      this.#noted = { text, atLsn: lsn };
      this.#notedHolds = true;
    } catch (error) {
      logger.log('debug', 'the tables are not noted', { error: String(error) });
    }
  }

  /** Drains and closes the stream. What is not drained in time comes over the same stream after the thaw. */
  async suspending(): Promise<void> {
    if (!(await this.drain(SUSPEND_DRAIN_MS)) || !this.#wanted) return;
    this.#resting = true;
    await this.#closeStream();
  }

  /** Drains, acknowledges, closes: a fast stop of Postgres waits for an open stream. */
  async stopping(): Promise<void> {
    // Nobody has written since the rest began; who reads what the server itself wrote is the next stream.
    if (!this.#resting) await this.drain();
    this.#wanted = false;
    this.#wakeRetry();
    await this.#closeStream();
    await this.#running;
  }

  /** The server runs, after a start or a thaw. */
  awake(): void {
    this.#notedHolds = false;
    this.#rouse?.();
    if (!this.#resting) return;
    this.#resting = false;
    this.#wakeRetry();
  }

  stopped(): void {
    this.#wanted = false;
    this.#wakeRetry();
    this.#connection?.destroy();
  }

  async #closeStream(): Promise<void> {
    this.#looks.close();
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.terminate();
    await this.#progress.until(() => connection.closed, CLOSE_MS);
    connection.destroy();
  }

  /** Bytes of changes read and not yet handed to the log: bounded, whatever the size of a transaction. */
  get bufferedBytes(): number {
    return this.#assembler.bytes;
  }

  /** Bytes of WAL that the server has told us of and the log has not stored: what the slot holds on to. */
  get lagBytes(): number {
    return Math.max(0, Number(this.#serverLsn - this.#storedLsn));
  }

  /** Why this database has no events, where waiting does not help. */
  get missing(): string | undefined {
    return this.#missing?.message;
  }

  /** Everything that the server has told us of is in the log. */
  caughtUp(): boolean {
    return (this.#streaming || this.#resting) && this.#idle() && this.#serverLsn <= this.#storedLsn + IDLE_BYTES;
  }

  /**
   * Waits until all that was committed before the call is in the log, at most `ms`; gives whether it is. The server
   * must be running.
   */
  drain(ms: number = DRAIN_MS): Promise<boolean> {
    return this.#drain(undefined, ms);
  }

  /** Until all is in the log, `ms` are over, the signal fires, or capture does not advance any more. */
  async #drain(signal: AbortSignal | undefined, ms: number): Promise<boolean> {
    if (!this.#wanted || this.#missing !== undefined) return false;
    const { clock, logger } = this.#options;
    const beginMs = clock.monotonic();
    let target: Lsn;
    try {
      target = await this.#insertLsn();
    } catch (error) {
      logger.log('warn', 'capture cannot ask how far to drain', { error: String(error) });
      return false;
    }
    const inPage = target % WAL_PAGE_BYTES;
    if (inPage <= PAGE_HEADER_BYTES_MAX) target -= inPage;
    const reached = (): boolean =>
      this.#streaming && this.#idle() && (this.#serverLsn >= target || this.#storedLsn >= target);
    const barren = this.#barren;
    let steps = this.#steps;
    let steppedMs = beginMs;
    while (this.#wanted && !reached() && signal?.aborted !== true) {
      const nowMs = clock.monotonic();
      if (this.#steps !== steps) [steps, steppedMs] = [this.#steps, nowMs];
      if (nowMs - beginMs >= ms || nowMs - steppedMs >= SILENCE_MS || this.#barren - barren >= BARREN_MAX) break;
      if (this.#streaming) this.#acknowledge(true);
      const pingMs = nowMs - beginMs < SLOW_AFTER_MS ? DRAIN_PING_MS : SLOW_PING_MS;
      await this.#progress.until(() => reached() || signal?.aborted === true, pingMs);
    }
    if (!reached()) return false;
    // The freeze may last: let the server forget what we have.
    await this.#storeIdle(true);
    return true;
  }

  /** How far the WAL goes now. */
  async #insertLsn(): Promise<Lsn> {
    return parseLsn(await this.#answer(INSERT_LSN)) ?? 0n;
  }

  /** A stream takes no statements, so a question goes over another connection: one that is there, or a new one. */
  async #answer(sql: string): Promise<string> {
    const { connect, instance, ask } = this.#options;
    const answer = await ask?.(sql);
    if (answer !== undefined) return answer;
    const asking = await ReplicationConnection.open(connect, instance.endpoint, false);
    try {
      const [row] = await asking.query(sql);
      return row?.[0] ?? '';
    } finally {
      asking.terminate();
      asking.destroy();
    }
  }

  async #run(): Promise<void> {
    const { logger } = this.#options;
    let attempt = 0;
    while (this.#wanted) {
      try {
        await this.#session();
      } catch (error) {
        if (!this.#wanted) return;
        // One that began, stored nothing and ended would do so again: what it cannot decode comes first in the next one
        // too.
        if (this.#advanced || this.#resting) attempt = 0;
        if (this.#resting) {
          await this.#wait(Number.POSITIVE_INFINITY);
          if (!this.#wanted) return;
          await this.#wait(BACK_AFTER_MS);
          continue;
        }
        if (error instanceof DecodingMissing) {
          if (this.#missing === undefined) logger.log('warn', error.message, {});
          this.#missing = error;
          // Until the next start, which may be by other programs.
          await this.#wait(Number.POSITIVE_INFINITY);
          continue;
        }
        // 55006: the walsender of a dead connection of ours still has the slot for a moment.
        const level = error instanceof PostgresError && error.code === '55006' ? 'debug' : 'warn';
        logger.log(level, 'capture lost its stream', { error: String(error) });
        if (this.#streamed && this.#stuck.ended(error, this.#storedLsn)) await this.#passOver(error);
      }
      if (!this.#wanted) return;
      await this.#wait(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] as number);
      attempt += 1;
    }
  }

  /**
   * What comes next cannot be decoded, ever. Where it ends nobody can tell without decoding it, so the stream goes on
   * from where the server is now; a gap says that there were events.
   */
  async #passOver(error: unknown): Promise<void> {
    const { clock, log, logger } = this.#options;
    try {
      await log.discardPending();
      const endLsn = parseLsn(await this.#answer(FLUSH_LSN));
      if (endLsn === undefined || endLsn <= this.#storedLsn) return;
      const gap = { relation: -1, operation: 'gap' as const, before: undefined, after: undefined };
      const place = { lsn: this.#storedLsn, xid: 0, committedAtMs: clock.now(), firstIndex: 0 };
      await log.append({ relations: [], transactions: [{ ...place, events: [gap] }], endLsn });
      logger.log('warn', 'a transaction that Postgres cannot decode is passed over; a gap follows', {
        error: String(error),
        bytes: Number(endLsn - this.#storedLsn),
      });
      this.#storedLsn = endLsn;
      this.#barren = 0;
      this.#steps += 1;
    } catch (failure) {
      logger.log('warn', 'a transaction that Postgres cannot decode was not passed over', { error: String(failure) });
    }
  }

  /** One connection from login to its end; always ends by throwing. */
  async #session(): Promise<never> {
    const { log, connect, instance, logger } = this.#options;
    this.#advanced = false;
    this.#streamed = false;
    this.#barren += 1;
    const connection = await ReplicationConnection.open(connect, instance.endpoint, true);
    this.#connection = connection;
    const watchdog = this.#watch(connection);
    connection.onClose(() => this.#progress.step());
    try {
      const state = await ensureSlot(connection, log, await log.discardPending(), logger);
      await tidyMainDatabase(connection, this.#options);
      this.#storedLsn = state.storedLsn ?? 0n;
      this.#reader = new TestDecodingReader();
      this.#assembler = new TransactionAssembler(PIECE_BYTES, this.#storedLsn);
      const nowMs = (): number => this.#options.clock.monotonic();
      this.#tables = new CapturedTables(await log.tables(), (tables, xids) => this.#looks.look(tables, xids), nowMs);
      this.#paused = false;
      this.#serverLsn = 0n;
      this.#storedAtMs = this.#options.clock.monotonic();
      await connection.stream(
        // A transaction without changes of rows is told, too: tables may be others behind it.
        `START_REPLICATION SLOT ${slotName(state.epoch)} LOGICAL ${formatLsn(this.#storedLsn)}
         ("include-xids" 'on', "include-timestamp" 'on', "skip-empty-xacts" 'off')`,
        { onData: (payload, cut) => this.#onData(payload, cut), onChunkEnd: () => this.#onChunkEnd() },
      );
      this.#streaming = true;
      this.#streamed = true;
      this.#missing = undefined;
      await new Promise<void>((resolve) => connection.onClose(resolve));
      throw connection.failure ?? new DormouseError('database_stopped');
    } catch (error) {
      throw knownFailure(error);
    } finally {
      this.#looks.close();
      this.#streaming = false;
      this.#connection = undefined;
      watchdog();
      connection.destroy();
      // A batch on its way must be in, or failed, before the log's pending events are dropped by the next session.
      await this.#progress.until(() => !this.#appending, Number.POSITIVE_INFINITY);
      this.#progress.step();
    }
  }

  #onData(payload: Buffer, cut: boolean): void {
    const message = decodeReplicationMessage(payload);
    if (message.kind === 'data') {
      this.#steps += 1;
      this.#assembler.push(this.#reader.decode(message.data, cut), message.walStart, message.data.length);
      return;
    }
    if (message.walEnd > this.#serverLsn) {
      this.#serverLsn = message.walEnd;
      this.#steps += 1;
    }
    if (message.replyRequested) this.#acknowledge(false);
  }

  #onChunkEnd(): void {
    this.#append();
    if (!this.#paused && this.#assembler.bytes > BUFFER_BYTES_MAX) {
      this.#paused = true;
      this.#connection?.pause();
    }
    if (this.#idle()) {
      void this.#storeIdle(false);
      this.#progress.step();
    }
  }

  /** Hands what is ready to the log, one batch at a time: what commits meanwhile shares the next one's fsync. */
  #append(): void {
    const connection = this.#connection;
    if (this.#appending || connection === undefined) return;
    const assembly = this.#assembler.take();
    if (assembly === undefined) return;
    void this.#store(connection, () => this.#log(assembly), assembly.endLsn);
  }

  /** Gives false if there was nothing for the log. */
  async #log(assembly: Assembly): Promise<boolean> {
    const batch = await this.#tables?.complete(assembly, this.#options.clock.now());
    if (batch === undefined || (batch.transactions.length === 0 && batch.tables === undefined)) return false;
    await this.#options.log.append(batch);
    return true;
  }

  /** When idle, the server's own WAL (vacuum, checkpoints) must be let go, or it is pinned for ever. */
  async #storeIdle(atOnce: boolean): Promise<void> {
    const connection = this.#connection;
    const lsn = this.#serverLsn;
    if (connection === undefined || !this.#streaming || !this.#idle() || lsn <= this.#storedLsn) return;
    const nowMs = this.#options.clock.monotonic();
    if (!atOnce && lsn - this.#storedLsn < IDLE_BYTES && nowMs - this.#storedAtMs < IDLE_MS) return;
    const batch = { relations: [], transactions: [], endLsn: lsn };
    const append = (): Promise<true> => this.#options.log.append(batch).then(() => true);
    await this.#store(connection, append, lsn);
  }

  async #store(
    connection: ReplicationConnection,
    append: () => Promise<boolean>,
    endLsn: Lsn | undefined,
  ): Promise<void> {
    this.#appending = true;
    let stored = false;
    try {
      stored = await append();
      this.#advanced = true;
      this.#steps += 1;
      if (endLsn !== undefined) {
        this.#barren = 0;
        if (stored) this.#storedLsn = endLsn;
        // What left no trace is let go as the server's own WAL is.
        else if (endLsn > this.#serverLsn) this.#serverLsn = endLsn;
      }
    } catch (error) {
      const gone =
        error instanceof PostgresError || (error instanceof DormouseError && error.code === 'database_stopped');
      this.#options.logger.log(
        gone ? 'warn' : 'error',
        gone ? 'capture cannot ask what a table is' : 'the event log cannot be written',
        { error: String(error) },
      );
      connection.destroy();
    }
    this.#appending = false;
    if (!connection.closed) {
      if (stored) this.#storedAtMs = this.#options.clock.monotonic();
      if (stored && endLsn !== undefined) this.#acknowledge(false);
      this.#append();
      if (this.#paused && this.#assembler.bytes < BUFFER_BYTES_MAX / 2) {
        this.#paused = false;
        connection.resume();
      }
    }
    this.#progress.step();
  }

  #idle(): boolean {
    return !this.#appending && this.#assembler.empty;
  }

  /** Tells the server what is durable here: the stored LSN and nothing else. */
  #acknowledge(replyRequested: boolean): void {
    const lsn = this.#storedLsn;
    this.#connection?.send(
      encodeStandbyStatus({ written: lsn, flushed: lsn, replyRequested, nowMs: this.#options.clock.now() }),
    );
  }

  #watch(connection: ReplicationConnection): () => void {
    const { clock, instance, logger } = this.#options;
    let silent = 0;
    let seen = connection.received;
    let timer: Timer;
    const next = (): void => {
      this.#rouse = undefined;
      timer = clock.after(WATCHDOG_TICK_MS, tick);
    };
    const tick = (): void => {
      if (instance.state === 'suspended') {
        // A thousand sleepers are to cost nothing.
        this.#rouse = next;
        return;
      }
      // A frozen server is silent by right, and must not be judged by the time it was frozen.
      silent = connection.received === seen && instance.state === 'running' && !this.#paused ? silent + 1 : 0;
      seen = connection.received;
      if (silent >= WATCHDOG_SILENT_TICKS) {
        logger.log('warn', 'capture hears nothing from a running server', {});
        connection.destroy();
        return;
      }
      if (this.#streaming && instance.state === 'running') this.#acknowledge(true);
      next();
    };
    next();
    return () => {
      timer.cancel();
      this.#rouse = undefined;
    };
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#retryTimer?.timer?.cancel();
        this.#retryTimer = undefined;
        resolve();
      };
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : this.#options.clock.after(ms, wake);
      this.#retryTimer = { timer, wake };
    });
  }

  #wakeRetry(): void {
    this.#retryTimer?.wake();
  }
}

import type { Clock, DatabaseId, Logger } from '../../base/index.ts';
import { PostgresError } from '../../wire/index.ts';
import { AdminSession, MAINTENANCE_ROLE, NEUTRAL_DATABASE, SUPERUSER } from '../administration/index.ts';
import type { Attachment, Endpoint } from '../contract/index.ts';
import type { IdleTasks } from '../life/index.ts';
import type { Ageing } from './age-round.ts';
import {
  DATABASES_SQL,
  OLDEST_SQL,
  readDatabases,
  readTableTasks,
  TABLES_SQL,
  type TableTask,
} from './maintenance-due.ts';

/**
 * How often maintenance looks at most: a look costs a connection and a query, too much for every rest of a database
 * that suspends between two requests.
 */
const LOOK_MS = 60_000;
/** A turn is given up after this. The next turn gets twice as long for what is left, up to the second bound. */
const TURN_MS = 30_000;
const TURN_MS_MAX: number = 15 * 60_000;
/**
 * A cancelled statement has this long to end before its session is terminated, and the termination has as long again.
 */
const CANCEL_MS = 2000;
/** From this age on a warning is logged: Postgres refuses writes at 2 100 million. */
const AGE_WARN = 1_000_000_000;
/**
 * How often the age of a database that never rests is read: at 10 000 transactions per second it grows by 36 million in
 * between.
 */
const AGE_LOOK_MS: number = 60 * 60_000;
/** A failed look is repeated after this. */
const AGE_RETRY_MS = 60_000;
/** From this major version on, a role that is not a superuser may vacuum tables of other roles. */
const MAINTAIN_SINCE = 17;
/** A server that is silent for this long is not waited for: it was frozen meanwhile, or does not work. */
const AGE_SILENCE_MS = 10_000;

/** What users are told of a database's maintenance. */
export interface MaintenanceView {
  /**
   * Transactions since the oldest row that is not frozen, in all databases of the server; Postgres refuses writes at 2
   * 100 million.
   */
  readonly frozenXidAge: number;
  /** Whether the age is worth a warning: something keeps Postgres from freezing old rows. */
  readonly runningOut: boolean;
  /** The time of the last look, in milliseconds since 1970. */
  readonly lookedAtMs: number;
  /** Tables processed before rests since the platform started. */
  readonly vacuumed: number;
  readonly analyzed: number;
  readonly frozen: number;
  /** Turns that were given up, for a query or because they took too long. */
  readonly givenUp: number;
}

export interface MaintenanceOptions {
  readonly databaseId: DatabaseId;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The vacuum and analyze that a database would get from autovacuum if it ran for long enough: autovacuum looks once per
 * minute, and never finds a database that runs for seconds at a time. Done before a rest, and given up at once when the
 * server is needed.
 */
export class Maintenance implements IdleTasks, Ageing {
  readonly #options: MaintenanceOptions;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #turnMs = TURN_MS;
  /** For each database, how much was written in it and how old it was when nothing was due in it any more. */
  readonly #doneAt = new Map<string, string>();
  readonly #done = { vacuum: 0, analyze: 0, freeze: 0, givenUp: 0 };
  #age: { readonly xids: number; readonly atMs: number } | undefined;
  #ageDueAtMs = 0;
  #looking: Promise<void> | undefined;
  /** A look that is under way may finish, which takes milliseconds, rather than be frozen with the server. */
  readonly attachment: Attachment = {
    started: () => {},
    suspending: async () => this.#looking,
    stopping: async () => this.#looking,
    stopped: () => {},
  };

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** Undefined until the first look. */
  get view(): MaintenanceView | undefined {
    if (this.#age === undefined) return undefined;
    const { vacuum, analyze, freeze, givenUp } = this.#done;
    const { xids, atMs } = this.#age;
    const runningOut = xids > AGE_WARN;
    return {
      frozenXidAge: xids,
      runningOut,
      lookedAtMs: atMs,
      vacuumed: vacuum,
      analyzed: analyze,
      frozen: freeze,
      givenUp,
    };
  }

  /** The server has started anew: its statistics of tables may differ from those seen before. */
  started(): void {
    this.#lookedAtMs = Number.NEGATIVE_INFINITY;
    this.#ageDueAtMs = 0;
    this.#doneAt.clear();
  }

  due(): boolean {
    return this.#options.clock.monotonic() - this.#lookedAtMs >= LOOK_MS;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, databaseId, logger } = this.#options;
    const turn = new AbortController();
    const timer = clock.after(this.#turnMs, () => turn.abort());
    signal.addEventListener('abort', () => turn.abort());
    const whole = await this.#turn(turn.signal).catch((error: unknown) => {
      logger.log('warn', 'maintenance before a rest failed', { database: databaseId, reason: String(error) });
      return true;
    });
    timer.cancel();
    if (whole) this.#turnMs = TURN_MS;
    else {
      this.#done.givenUp++;
      if (!signal.aborted) this.#turnMs = Math.min(this.#turnMs * 2, TURN_MS_MAX);
      logger.log('info', 'maintenance before a rest was given up', { database: databaseId, forQuery: signal.aborted });
    }
    // A turn that was given up for a query is repeated before the next rest.
    if (whole || !signal.aborted) this.#lookedAtMs = clock.monotonic();
  }

  get ageDueAtMs(): number {
    return this.#ageDueAtMs;
  }

  lookAtAge(): Promise<void> {
    const { clock, databaseId, endpoint, logger } = this.#options;
    const look = async (): Promise<void> => {
      this.#ageDueAtMs = clock.monotonic() + AGE_RETRY_MS;
      try {
        const session = await AdminSession.open(endpoint, NEUTRAL_DATABASE, AGE_SILENCE_MS);
        await this.#readAge(session).finally(() => session.close());
      } catch (error) {
        logger.log('debug', 'the transaction age cannot be read', { database: databaseId, reason: String(error) });
      } finally {
        this.#looking = undefined;
      }
    };
    this.#looking ??= look();
    return this.#looking;
  }

  async #readAge(session: AdminSession): Promise<void> {
    const { clock, databaseId, logger } = this.#options;
    const [oldest] = await session.query(OLDEST_SQL);
    const xids = Number(oldest?.[1] ?? 0);
    this.#age = { xids, atMs: clock.now() };
    this.#ageDueAtMs = clock.monotonic() + AGE_LOOK_MS;
    if (xids > AGE_WARN) {
      const within = oldest?.[0] ?? '';
      logger.log('warn', 'transaction ids are running out', { database: databaseId, within, age: xids });
    }
  }

  /** True if everything that was due was done. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    let user = MAINTENANCE_ROLE;
    const databases = await this.#in(NEUTRAL_DATABASE, user, signal, async (session) => {
      if (session.major < MAINTAIN_SINCE) user = SUPERUSER;
      await this.#readAge(session);
      return readDatabases(await session.query(DATABASES_SQL));
    });
    if (databases === undefined) return false;
    for (const { name, written, frozenXidAge } of databases) {
      const now = `${written} ${frozenXidAge}`;
      if (this.#doneAt.get(name) === now) continue;
      const done = await this.#in(name, user, signal, (session) => this.#maintainTables(session, signal)).catch(
        (error: unknown) => this.#passOver(name, error),
      );
      if (done !== true) return false;
      this.#doneAt.set(name, now);
    }
    return true;
  }

  /**
   * The owner may close a database to all sessions, or drop it meanwhile: the other databases still have their turn.
   */
  #passOver(name: string, error: unknown): true {
    if (!(error instanceof PostgresError)) throw error;
    const { databaseId, logger } = this.#options;
    logger.log('info', 'a database is not maintained', { database: databaseId, within: name, reason: String(error) });
    return true;
  }

  async #maintainTables(session: AdminSession, signal: AbortSignal): Promise<boolean> {
    const { databaseId, logger } = this.#options;
    const tasks = readTableTasks(await session.query(TABLES_SQL));
    if (tasks.length > 0)
      logger.log('debug', 'maintenance before a rest', { database: databaseId, tables: tasks.length });
    for (const task of tasks) {
      if (signal.aborted) return false;
      await this.#do(session, task, signal);
    }
    return !signal.aborted;
  }

  async #do(session: AdminSession, { kind, sql }: TableTask, signal: AbortSignal): Promise<void> {
    try {
      await session.query(sql);
      this.#done[kind]++;
    } catch (error) {
      // A table that cannot be processed (a function in its index fails, or it is gone) must not keep the others from
      // their turn.
      if (!signal.aborted) {
        const { databaseId, logger } = this.#options;
        logger.log('info', 'maintenance of a table failed', { database: databaseId, kind, reason: String(error) });
      }
    }
  }

  /**
   * Runs `work` in a session of its own. When `signal` fires, the work is broken off and the result is undefined. The
   * session has ended when this resolves.
   */
  async #in<T>(
    database: string,
    user: string,
    signal: AbortSignal,
    work: (session: AdminSession) => Promise<T>,
  ): Promise<T | undefined> {
    const { endpoint, clock } = this.#options;
    if (signal.aborted) return undefined;
    const session = await AdminSession.open(endpoint, database, TURN_MS_MAX + CANCEL_MS, user);
    const giveUp = (): void => {
      session.cancel();
      cut = clock.after(CANCEL_MS, () => {
        ended = session.terminate(CANCEL_MS);
      });
    };
    let cut: { cancel(): void } | undefined;
    let ended: Promise<void> | undefined;
    signal.addEventListener('abort', giveUp);
    if (signal.aborted) giveUp();
    try {
      return await work(session);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
      cut?.cancel();
      const late = clock.after(CANCEL_MS, () => session.destroy());
      await session.close();
      late.cancel();
      await ended;
    }
  }
}

import { type Clock, Deadline, DormouseError, type Logger } from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import { Template0 } from './template0.ts';

/** The longest time that a login waits for the place of a session that has ended. */
const PLACE_MS = 10_000;

/** A session that can be ended with an error for its client. */
interface EndableSession {
  end(error: DormouseError): void;
}

export interface DatabaseSessionsOptions {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly log: Logger;
  readonly sessionsMax: number;
  /** The longest time that a login waits for the database to wake. */
  readonly wakeMs: number;
  /** Called when the last place is free and no login waits. */
  readonly onEmpty: () => void;
}

/**
 * One of the connections of a server that the door may use. A login takes the place; its session keeps it, and then the
 * session's backend until the backend has ended.
 */
export interface Place {
  /** The client is gone, or the session was ended; the backend may still be there. */
  leaving(): void;
  /** The backend is gone. */
  leave(): void;
}

/**
 * The sessions of one database. They are ended with an error when the server stops or crashes. A place is free when the
 * backend is gone, not when the client is gone, since the connections of a server are counted.
 */
export class DatabaseSessions {
  readonly instance: Instance;
  /** The sessions that have a client. */
  readonly sessions: Set<EndableSession> = new Set();
  readonly template0: Template0;
  readonly #options: DatabaseSessionsOptions;
  readonly #detach: () => void;
  #taken = 0;
  /** How many of the taken places are being left. */
  #leaving = 0;
  /** Logins that wait for a place. */
  #entering = 0;
  /** Wakes the logins that wait, in order. */
  readonly #waiting: (() => void)[] = [];

  constructor(options: DatabaseSessionsOptions) {
    this.#options = options;
    this.instance = options.instance;
    this.template0 = new Template0(options);
    this.#detach = options.instance.attach({
      started: () => {},
      stopping: async () => this.#endAll('database_stopped'),
      stopped: () => this.#endAll('database_crashed'),
    });
  }

  /**
   * Takes a place; waits for one if a session is leaving. Fails with `connections_exhausted`, and what `Instance.hold`
   * fails with. Call it in the same turn of the event loop in which this object was made: an object without places is
   * removed.
   */
  enter(): Promise<Place> {
    return this.#taken < this.#options.sessionsMax ? Promise.resolve(this.#take()) : this.#waitForPlace();
  }

  #take(): Place {
    this.#taken += 1;
    let state: 'taken' | 'leaving' | 'left' = 'taken';
    return {
      leaving: () => {
        if (state !== 'taken') return;
        state = 'leaving';
        this.#leaving += 1;
      },
      leave: () => {
        if (state === 'left') return;
        if (state === 'leaving') this.#leaving -= 1;
        state = 'left';
        this.#taken -= 1;
        this.#waiting.shift()?.();
        this.#goIfEmpty();
      },
    };
  }

  #goIfEmpty(): void {
    if (this.#taken > 0 || this.#entering > 0) return;
    this.#detach();
    this.#options.onEmpty();
  }

  async #waitForPlace(): Promise<Place> {
    const { clock, sessionsMax, wakeMs, instance } = this.#options;
    const deadline = Deadline.in(clock, PLACE_MS);
    if (this.#leaving === 0) throw new DormouseError('connections_exhausted');
    let hold: Hold | undefined;
    this.#entering += 1;
    try {
      // The server is held while the login waits: a frozen backend does not end.
      hold = instance.tryHold() ?? (await instance.hold(Deadline.in(clock, wakeMs)));
      while (this.#taken >= sessionsMax) {
        if (this.#leaving === 0 || deadline.expired()) throw new DormouseError('connections_exhausted');
        await new Promise<void>((resolve) => {
          const done = (): void => {
            timer.cancel();
            const at = this.#waiting.indexOf(done);
            if (at >= 0) this.#waiting.splice(at, 1);
            resolve();
          };
          const timer = clock.after(deadline.remainingMs(), done);
          this.#waiting.push(done);
        });
      }
      return this.#take();
    } finally {
      hold?.release();
      this.#entering -= 1;
      this.#goIfEmpty();
    }
  }

  #endAll(code: 'database_stopped' | 'database_crashed'): void {
    for (const session of [...this.sessions]) session.end(new DormouseError(code));
  }
}

import type { Backends, Endpoint } from '../contract/index.ts';
import { AdminSession, NEUTRAL_DATABASE } from './admin-session.ts';
import { MAINTENANCE_ROLE, SUPERUSER } from './roles.ts';

/**
 * How long a busy server may be silent; a CREATE DATABASE that waits for other sessions locks the database that is used
 * here for 5 s.
 */
const SILENCE_MS = 10_000;

/** The numbers are the platform's own, so nothing has to be quoted. */
const array = (numbers: Iterable<number>): string => `'{${[...numbers].join(',')}}'::pg_catalog.int4[]`;

const terminateSql = (processIds: Iterable<number>): string =>
  `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.unnest(${array(processIds)}) AS pid`;

/**
 * Before PostgreSQL 18 a backend that is starting is not in pg_stat_activity, but the lock that it waits for is in
 * pg_locks.
 */
const terminateStartingSql = (ms: number): string => `SELECT pg_catalog.pg_terminate_backend(pid)
  FROM pg_catalog.pg_stat_activity
 WHERE backend_type OPERATOR(pg_catalog.=) 'client backend' AND state OPERATOR(pg_catalog.=) 'starting'
   AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
   AND backend_start OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '${Math.ceil(ms)} ms'::pg_catalog.interval)
UNION ALL
SELECT pg_catalog.pg_terminate_backend(l.pid)
  FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid OPERATOR(pg_catalog.=) l.pid
 WHERE a.pid IS NULL AND NOT l.granted
   AND l.waitstart OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '${Math.ceil(ms)} ms'::pg_catalog.interval)`;

const statesSql = (processIds: Iterable<number>): string =>
  `SELECT pid, state FROM pg_catalog.pg_stat_activity WHERE pid OPERATOR(pg_catalog.=) ANY (${array(processIds)})`;

/** The work that waits for the next session. */
interface Round {
  readonly terminate: Set<number>;
  readonly states: Set<number>;
  startingMs: number | undefined;
  /** Resolves with the states that were asked for. */
  readonly done: Promise<ReadonlyMap<number, string>>;
  readonly finish: (states: ReadonlyMap<number, string>) => void;
}

/**
 * Uses one session at a time, however many backends are to be ended: requests that come meanwhile are done together by
 * the next session.
 */
export class AdminBackends implements Backends {
  readonly #endpoint: () => Endpoint;
  #next: Round | undefined;
  #running = false;

  constructor(endpoint: () => Endpoint) {
    this.#endpoint = endpoint;
  }

  async terminate(processId: number): Promise<void> {
    const round = this.#join();
    round.terminate.add(processId);
    await round.done;
  }

  async terminateStarting(ms: number): Promise<void> {
    const round = this.#join();
    round.startingMs = Math.min(ms, round.startingMs ?? ms);
    await round.done;
  }

  async stateOf(processId: number): Promise<string | undefined> {
    const round = this.#join();
    round.states.add(processId);
    return (await round.done).get(processId);
  }

  #join(): Round {
    if (this.#next !== undefined) return this.#next;
    let finish: Round['finish'] = () => {};
    const done = new Promise<ReadonlyMap<number, string>>((resolve) => {
      finish = resolve;
    });
    this.#next = { terminate: new Set(), states: new Set(), startingMs: undefined, done, finish };
    // Requests of the same turn of the event loop are done together.
    if (!this.#running) queueMicrotask(() => void this.#run());
    return this.#next;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let round = this.#next; round !== undefined; round = this.#next) {
      this.#next = undefined;
      round.finish(await this.#work(round));
    }
    this.#running = false;
  }

  async #work(round: Round): Promise<ReadonlyMap<number, string>> {
    const states = new Map<number, string>();
    // The role that may signal other backends sees neither what they do nor those that are starting.
    const looks = round.startingMs !== undefined || round.states.size > 0;
    for (const user of looks ? [SUPERUSER] : [MAINTENANCE_ROLE, SUPERUSER]) {
      try {
        const session = await AdminSession.open(this.#endpoint(), NEUTRAL_DATABASE, SILENCE_MS, user);
        try {
          if (round.terminate.size > 0) await session.query(terminateSql(round.terminate));
          if (round.startingMs !== undefined) await session.query(terminateStartingSql(round.startingMs));
          if (round.states.size > 0) {
            for (const [pid, state] of await session.query(statesSql(round.states))) {
              if (state != null) states.set(Number(pid), state);
            }
          }
          return states;
        } finally {
          void session.close();
        }
      } catch {
        // The server is gone or refuses the session: the next role is tried, and callers that need it ask again for a
        // later round.
      }
    }
    return states;
  }
}

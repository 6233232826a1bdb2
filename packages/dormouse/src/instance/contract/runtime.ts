import type { DatabaseId, Deadline, Role } from '../../base/index.ts';
import type { Endpoint } from '../../session/index.ts';
import type { Credentials } from './instance.ts';

/** How a stop ended: a clean shutdown, an immediate one (recovery at the next start), or by force. */
export type StopResult = 'clean' | 'immediate' | 'killed' | 'gone';

/**
 * What is found of a server that an earlier platform started: `starting` still recovers, and a `start` waits for that.
 */
export type Adoption = 'running' | 'starting' | 'gone';

/**
 * The server of one database, wherever it runs. Operations on one server are taken one after the other. Nothing above
 * knows of processes.
 */
export interface Server {
  readonly endpoint: Endpoint;
  /** What a session of the role logs in with. */
  credentials(role: Role): Credentials;
  /**
   * Starts; done once connections are accepted and the start is recorded. Proves first that no earlier server is alive
   * on the same data; one that recovers is waited for and taken over. `givenUp` is asked again and again: once true,
   * the start is broken off. Fails with `start_failed`, `binaries_missing`, `disk_full`, leaving nothing alive.
   */
  start(deadline: Deadline, givenUp?: () => boolean): Promise<void>;
  /** Freezes in place; done once nothing of it runs. If it fails the server runs on. */
  suspend(): Promise<void>;
  /** Thaws. Rejects if the server is gone. */
  wake(): Promise<void>;
  /**
   * Ends the server, thawing it if need be. Never rejects while anything of it is alive: it goes as far as it takes.
   */
  stop(how: 'clean' | 'immediate'): Promise<StopResult>;
  /**
   * Runs `work` while the running server stands still, and lets it go on whatever becomes of `work`. Rejects as `work`,
   * or if it cannot.
   */
  paused<T>(work: () => Promise<T>): Promise<T>;
  /** Takes over what an earlier platform left: thawed, proven by a query, else ended. */
  adopt(): Promise<Adoption>;
  /** What its processes take (PSS), now. Undefined where that is not known. */
  memoryBytes(): Promise<number | undefined>;
  /** Called once each time a running or frozen server is gone without `stop`. */
  onExit: (() => void) | undefined;
}

/**
 * How a copy was made: as a stream from the running server, by sharing blocks while it stood still, or from its files
 * at rest.
 */
export type CopyWay = 'stream' | 'clone' | 'files';

export interface ForkOrder {
  readonly source: DatabaseId;
  readonly server: Server;
  /** Whether the server runs, and stays so; else it is stopped, and stays so. */
  readonly running: boolean;
  /** The new database. */
  readonly id: DatabaseId;
  /** See `DatabaseRecord`. */
  readonly throwAway?: boolean | undefined;
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ForkResult {
  readonly way: CopyWay;
  /** How long the source stood still for it. */
  readonly pausedMs: number;
}

/** Makes, keeps and removes servers on one machine. */
export interface Runtime {
  /** Makes ready what new databases of this version are made from, in the background. Once, after `removeLeftovers`. */
  prepare(pgMajor: number): Promise<void>;
  /** Makes the storage of a new database. Fails with `disk_full`, `data_unusable`. */
  create(id: DatabaseId, pgMajor: number, signal?: AbortSignal): Promise<void>;
  /**
   * Makes the storage of a new database as a copy of another at one moment, with an identity of its own. Durable when
   * it returns (unless it is to be thrown away), and never there by half. Fails with `disk_full`, `data_unusable`,
   * `branch_failed`, `database_busy`, or the signal's reason.
   */
  fork(order: ForkOrder): Promise<ForkResult>;
  /** The server of a database whose storage is there, or was once. */
  open(id: DatabaseId, throwAway?: boolean): Server;
  /** Removes the storage of a database whose server is stopped. Nothing of it remains. */
  destroy(id: DatabaseId): Promise<void>;
  /** Ends what goes on in the background. */
  close(): Promise<void>;
}

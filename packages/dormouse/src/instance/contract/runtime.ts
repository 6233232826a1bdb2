import type { DatabaseId, DatabaseRecord, LimitOverrides } from '../../base/index.ts';
import type { ReadyCopies } from './ready-copies.ts';
import type { Server } from './server.ts';

/**
 * How a copy was made: as a stream from the running server, by sharing blocks while the server stood still, or from the
 * files of a stopped server.
 */
export type CopyWay = 'stream' | 'clone' | 'files';

export interface ForkOrder {
  readonly source: DatabaseId;
  readonly server: Server;
  /** Whether the source's server runs; the copy leaves it running or stopped as it was. */
  readonly running: boolean;
  /** The id of the new database. */
  readonly id: DatabaseId;
  /** See `DatabaseRecord`. */
  readonly throwAway?: boolean | undefined;
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ForkResult {
  readonly way: CopyWay;
  /** How long the source stood still for the copy. */
  readonly pausedMs: number;
}

/** What a runtime needs to know of a database to run its server. */
export type ServerRecord = Pick<DatabaseRecord, 'id' | 'limits' | 'throwAway'>;

/**
 * Makes, keeps and removes the servers of one data directory. Everything that depends on where servers run (processes
 * of this machine, say) is behind this interface.
 */
export interface Runtime {
  /**
   * Removes what an earlier platform left half-made, and gives the ids of the databases whose storage is there. Called
   * once, before any server is adopted.
   */
  recover(): Promise<readonly DatabaseId[]>;
  /**
   * Holds servers to their limits and begins with background work, such as copies of the template. Called once, after
   * the servers that an earlier platform left running were adopted. Fails with `limits_unavailable` if the platform's
   * own limits cannot be enforced.
   */
  begin(): Promise<void>;
  /** Makes the storage of a new database. Fails with `disk_full`, `data_unusable`. */
  create(id: DatabaseId, pgMajor: number, signal?: AbortSignal): Promise<void>;
  /**
   * Makes the storage of a new database as a copy of another at one moment, with an identity of its own. Durable when
   * it returns (unless the new database is to be thrown away), and never left half-made. Fails with `disk_full`,
   * `data_unusable`, `branch_failed`, `database_busy`, or the signal's reason.
   */
  fork(order: ForkOrder): Promise<ForkResult>;
  readonly readyCopies: ReadyCopies;
  /** The server of a database whose storage exists, or existed once. */
  open(record: ServerRecord): Server;
  /**
   * Changes what a database's server may take, at once also while it runs. Fails with `limits_unavailable`, and then
   * the limits before the call still hold.
   */
  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void>;
  /** The directory of a database, where other stages keep their files of it too. */
  directory(id: DatabaseId): string;
  /** Removes the storage of a database whose server is stopped. Nothing of the database remains. */
  destroy(id: DatabaseId): Promise<void>;
  /** Ends background work. Servers and ready copies are left to their owners. */
  close(): Promise<void>;
}

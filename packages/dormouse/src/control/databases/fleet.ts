import type { DatabaseId, DatabaseRecord, LimitOverrides, RestOverrides } from '../../base/index.ts';
import type { BranchOptions, ForkResult, InstanceState } from '../../instance/index.ts';
import type { InstanceView } from '../../management-api/index.ts';

/** The servers of all databases, as far as management needs them. The platform implements it over instance/. */
export interface Fleet {
  /**
   * Makes the files and the server of a database. Called once per database; when it fails, `destroy` removes what it
   * left.
   */
  create(database: DatabaseRecord): Promise<void>;
  /**
   * Makes the files of `database` as a copy of `source` at one moment; both are of one kind. When it fails, `destroy`
   * removes what it left. Fails with `disk_full`, `branch_failed`, the signal's reason, and what waking the source
   * fails with.
   */
  branch(source: DatabaseRecord, database: DatabaseRecord, options: BranchOptions): Promise<ForkResult>;
  /** Ends the server and removes every file. Idempotent, also for a database that is half made or was never made. */
  destroy(database: DatabaseRecord): Promise<void>;
  /** Suspends the server. Resolves, as `stop` and `wake` do, when the state is reached. */
  suspend(id: DatabaseId): Promise<void>;
  stop(id: DatabaseId): Promise<void>;
  wake(id: DatabaseId): Promise<void>;
  /** Changes the times of rest of a database at once. */
  setRest(id: DatabaseId, own: RestOverrides): void;
  /**
   * Changes the limits of a database at once. Fails with `limits_unavailable`, and then the earlier limits still apply.
   */
  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void>;
  /** Memory of the server as measured last: 0 while it is stopped, undefined while it has not been measured. */
  memoryBytes(id: DatabaseId): number | undefined;
  /** The state in memory. */
  state(id: DatabaseId): InstanceState;
  /** Details worth showing (bytes, pids, last activity), JSON-able; at once or soon. */
  describe(id: DatabaseId): InstanceView | Promise<InstanceView>;
  /** Calls `listener` after every change of a database's state; the result takes it back. */
  onState(listener: (id: DatabaseId, state: InstanceState) => void): () => void;
}

import type { DatabaseId, DatabaseRecord, LimitOverrides, RestOverrides } from '../../base/index.ts';
import type { BranchOptions, ForkResult, InstanceState } from '../../instance/index.ts';
import type { InstanceView } from '../../management-api/index.ts';

/** The servers of all databases, as far as management needs them. The platform implements it over instance/. */
export interface Fleet {
  /**
   * Makes the database's files and its server ready. Runs once a database; what it leaves when it fails, `destroy`
   * removes.
   */
  create(database: DatabaseRecord): Promise<void>;
  /**
   * Makes the files of `database` as a copy of `source` at one moment; both are of one kind. What it leaves when it
   * fails, `destroy` removes. Fails with `disk_full`, `branch_failed`, the signal's reason, and what waking the source
   * fails with.
   */
  branch(source: DatabaseRecord, database: DatabaseRecord, options: BranchOptions): Promise<ForkResult>;
  /** Ends the server and removes every file. Idempotent: also for what `create` left half made, and what never was. */
  destroy(database: DatabaseRecord): Promise<void>;
  /** Each returns when the state is reached. */
  suspend(id: DatabaseId): Promise<void>;
  stop(id: DatabaseId): Promise<void>;
  wake(id: DatabaseId): Promise<void>;
  /** Changes when a database rests, at once. */
  setRest(id: DatabaseId, own: RestOverrides): void;
  /**
   * Changes what a database may take, at once. Fails with `limits_unavailable`, and then what held before still does.
   */
  setLimits(id: DatabaseId, own: LimitOverrides): Promise<void>;
  /** What its server takes, as measured last: 0 if it is stopped, undefined if that is not known (yet). */
  memoryBytes(id: DatabaseId): number | undefined;
  /** At once, from memory. */
  state(id: DatabaseId): InstanceState;
  /** Details worth showing (bytes, pids, last activity), JSON-able; at once or soon. */
  describe(id: DatabaseId): InstanceView | Promise<InstanceView>;
  /** Calls `listener` after every change of a database's state; the result takes it back. */
  onState(listener: (id: DatabaseId, state: InstanceState) => void): () => void;
}

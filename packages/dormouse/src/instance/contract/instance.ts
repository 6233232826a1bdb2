import type { DatabaseId, Deadline, DormouseError, Role } from '../../base/index.ts';
import type { Endpoint } from '../../session/index.ts';
import type { Backends } from './backends.ts';

/** The state of a database's server. One written table holds the transitions between the states (see transitions). */
export type InstanceState =
  | 'stopped'
  | 'starting'
  | 'running'
  | 'suspending'
  | 'suspended'
  | 'waking'
  | 'stopping'
  | 'failed';

/** What a session of one role logs in to the server with. */
export interface Credentials {
  readonly user: string;
  /** Absent where the server admits its users without a password, as on a private socket. */
  readonly password?: string;
  /** The server's own name of the main database. */
  readonly database: string;
}

/** While open, the server stays running. `release` is idempotent. */
export interface Hold {
  release(): void;
}

/**
 * A part of the platform that follows one server: it is told after the server came up and before the server goes. An
 * attachment never counts as activity and never wakes a server.
 */
export interface Attachment {
  /**
   * The server accepts connections and no hold is open yet (after a start or an adoption, not after a thaw): the time
   * to look at a new history before any user can write. Awaited, for a bounded time, before `started` and before the
   * first hold. Resolves without a round trip except on the first start of a new database or branch.
   */
  preparing?(): Promise<void>;
  /** The server accepts connections (after a start or an adoption, not after a thaw). Must not throw; not awaited. */
  started(): void;
  /**
   * The server is about to rest and still runs: finish what is under way, for as long as that advances. Awaited without
   * a bound before a suspend, and with a bound before a stop; ends soon after the signal fires. A rejection is ignored.
   */
  settling?(signal: AbortSignal): Promise<void>;
  /**
   * The server is about to be frozen: read what was written and not yet read. Awaited, for a bounded time; a rejection
   * is ignored.
   */
  suspending?(): Promise<void>;
  /** The server is about to be stopped: drain and close connections. Awaited, for a bounded time. */
  stopping(): Promise<void>;
  /** The server is gone, cleanly or not. */
  stopped(): void;
}

/** One database's server, as the rest of the platform sees it. */
export interface Instance {
  readonly databaseId: DatabaseId;
  readonly state: InstanceState;
  /** Why the state is `failed`, until the next start succeeds. */
  readonly failure?: DormouseError | undefined;
  /** Where the server listens; meaningful while it runs or is suspended. */
  readonly endpoint: Endpoint;
  /** The same for as long as the instance is open. */
  credentials(role: Role): Credentials;
  /** Grows whenever a server is gone: a connection of an earlier generation is dead. */
  readonly generation: number;
  /** Ends and observes backends of the running server; for callers that have a hold. */
  readonly backends: Backends;
  /** A hold at once if the server is running, else undefined. The hot path: no promise, no timer. */
  tryHold(): Hold | undefined;
  /**
   * A hold once the server runs: wakes or starts the server if need be, once for all callers that wait. Fails with
   * `wake_timeout`, `start_failed`, `disk_full`, `database_deleted`, `shutting_down`.
   */
  hold(deadline: Deadline): Promise<Hold>;
  /** Registers an open client session: the server may still be suspended, but is not stopped for idleness. */
  openSession(): Hold;
  /**
   * Forces a state and resolves when it is reached. `suspend` waits for open holds, for a bounded time
   * (`database_busy`); `stop` ends them.
   */
  suspend(): Promise<void>;
  stop(): Promise<void>;
  wake(): Promise<void>;
  /** If the server is up already, `started` is called at once. */
  attach(attachment: Attachment): () => void;
  /** Calls `listener` after every change of state; the result removes the listener. */
  onChange(listener: (state: InstanceState, previous: InstanceState) => void): () => void;
}

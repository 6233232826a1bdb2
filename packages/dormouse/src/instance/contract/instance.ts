import type { DatabaseId, Deadline, DormouseError, Role } from '../../base/index.ts';
import type { Endpoint } from '../../session/index.ts';
import type { Backends } from './backends.ts';

/** Where a database's server stands. The transitions between them are one written table (see transitions). */
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

/** A part that lives with the server: told before it goes and after it came. Never activity, never a reason to wake. */
export interface Attachment {
  /**
   * The server accepts connections and nobody holds it yet (after a start, or an adoption, not after a thaw): the first
   * look at a new history, before any user can write. Awaited, for a bounded time, before `started` and before the
   * first hold. Resolves without a round trip except on the first start of a new database or branch.
   */
  preparing?(): Promise<void>;
  /** The server accepts connections (after a start, or an adoption, not after a thaw). Must not throw; not awaited. */
  started(): void;
  /**
   * The server is to rest and still runs: finish what is under way for as long as that advances. Awaited before a rest
   * for idleness or by hand without a bound of its own, before a stop with one; ends soon after the signal fires.
   * Failing does not matter.
   */
  settling?(signal: AbortSignal): Promise<void>;
  /**
   * Last words before a freeze: take what was written and not yet read. Awaited, for a bounded time; failing does not
   * matter.
   */
  suspending?(): Promise<void>;
  /** Last words before a clean stop: drain and close connections. Awaited, for a bounded time. */
  stopping(): Promise<void>;
  /** The server is gone, cleanly or not. */
  stopped(): void;
}

/** One database's server as the rest of the platform sees it. */
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
  /** What can be done to backends from outside while the server runs; for who holds it. */
  readonly backends: Backends;
  /** A hold at once if the server is running, else undefined. The hot path: no promise, no timer. */
  tryHold(): Hold | undefined;
  /**
   * A hold once the server runs, waking or starting it; all callers share one wake.
   * Fails with `wake_timeout`, `start_failed`, `disk_full`, `database_deleted`, `shutting_down`.
   */
  hold(deadline: Deadline): Promise<Hold>;
  /** Registers an open client session: lets the server suspend, keeps it from an idle stop. */
  openSession(): Hold;
  /**
   * Forces a state and returns when it is reached. With holds open, `suspend` waits for them, bounded
   * (`database_busy`); `stop` ends them.
   */
  suspend(): Promise<void>;
  stop(): Promise<void>;
  wake(): Promise<void>;
  /** If the server is up already, `started` is called at once. */
  attach(attachment: Attachment): () => void;
  /** Calls `listener` after every change of state; the result takes it back. */
  onChange(listener: (state: InstanceState, previous: InstanceState) => void): () => void;
}

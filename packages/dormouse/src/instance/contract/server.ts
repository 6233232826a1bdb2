import type { Deadline, Role } from '../../base/index.ts';
import type { Endpoint } from '../../session/index.ts';
import type { Backends } from './backends.ts';
import type { Credentials } from './instance.ts';

/** How a stop ended: a clean shutdown, an immediate one (the next start recovers), or a kill. */
export type StopResult = 'clean' | 'immediate' | 'killed' | 'gone';

/**
 * What has become of a server that an earlier platform started: `starting` means that it still recovers; a `start`
 * waits for the end of that recovery.
 */
export type Adoption = 'running' | 'starting' | 'gone';

/**
 * The server of one database, wherever it runs. Operations on one server run one after the other. Nothing above this
 * contract knows of processes.
 */
export interface Server {
  readonly endpoint: Endpoint;
  /** What a session of the role logs in with. */
  credentials(role: Role): Credentials;
  /** Ends and observes backends of the running server, from outside of the sessions of its clients. */
  readonly backends: Backends;
  /**
   * Starts the server; done once it accepts connections and the start is recorded. First proves that no earlier server
   * is alive on the same data; a server that is found recovering is waited for and taken over. `givenUp` is polled:
   * once it returns true, the start is broken off. Fails with `start_failed`, `binaries_missing`, `disk_full`, and then
   * leaves nothing alive.
   */
  start(deadline: Deadline, givenUp?: () => boolean): Promise<void>;
  /** Freezes the server in place; done once none of it runs. If this fails, the server runs on. */
  suspend(): Promise<void>;
  /** Thaws the server. Rejects if the server is gone. */
  wake(): Promise<void>;
  /**
   * Ends the server, thawing it if need be. Never rejects while any part of the server is alive: a stop that does not
   * succeed turns to stronger means.
   */
  stop(how: 'clean' | 'immediate'): Promise<StopResult>;
  /**
   * Runs `work` while the running server stands still, and lets the server go on whether `work` succeeds or fails.
   * Rejects as `work` does, or if the server cannot be paused.
   */
  paused<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Takes over the server that an earlier platform left: thaws it and proves by a query that it works, else ends it.
   */
  adopt(): Promise<Adoption>;
  /** The memory that the server's processes take now (PSS). Undefined where that is not known. */
  memoryBytes(): Promise<number | undefined>;
  /** Called once each time a running or frozen server is gone without `stop`. */
  onExit: (() => void) | undefined;
}

/**
 * Ends and observes the backends of a running server from outside: by a session of the platform's own, for which the
 * server keeps connections free.
 */
export interface Backends {
  /**
   * Ends a backend, whatever errors its statement catches. Resolves when the backend was signalled, not when it is
   * gone. Never rejects.
   */
  terminate(processId: number): Promise<void>;
  /**
   * Ends the backends of tenants whose start takes longer than `ms` and whose process ids therefore no client knows. A
   * client that still waits for such a start gets 57P01 and tries again. Never rejects.
   */
  terminateStarting(ms: number): Promise<void>;
  /**
   * The backend's `state` in `pg_stat_activity`; undefined if there is no such backend, or no answer. Never rejects.
   */
  stateOf(processId: number): Promise<string | undefined>;
}

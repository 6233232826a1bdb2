/** The backends of a running server, from outside: by a session of ours, for which connections are reserved. */
export interface Backends {
  /** Ends it, whatever it catches. Resolves when it was told so, not when it is gone. Never rejects. */
  terminate(processId: number): Promise<void>;
  /**
   * Ends those of tenants whose start takes longer than `ms`: their process ids nobody has been told. Who still waits
   * for such a start hears 57P01 and tries again. Never rejects.
   */
  terminateStarting(ms: number): Promise<void>;
  /** `state` of `pg_stat_activity`; undefined if there is none, or no answer. Never rejects. */
  stateOf(processId: number): Promise<string | undefined>;
}

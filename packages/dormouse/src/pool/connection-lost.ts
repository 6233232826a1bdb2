import { DormouseError } from '../base/index.ts';
import type { PostgresError } from '../wire/index.ts';

/** SQLSTATEs that end a session from outside, between two commands or by aborting the one under way. */
const ADMIN_SHUTDOWN = '57P01';
const IDLE_SESSION_TIMEOUT = '57P05';

/** A server connection ended. Stays inside pool/; becomes `database_stopped` or `database_crashed` where a caller waits. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  /** The server said that it ended the session, so what was under way was rolled back. */
  readonly orderly: boolean;
  /** What the server said last, if anything. */
  readonly fatal: PostgresError | undefined;
  /** The request that failed with this was certainly not executed: it may be sent again elsewhere. */
  readonly unexecuted: boolean;

  constructor(fatal: PostgresError | undefined, cause: unknown, unexecuted: boolean = false) {
    super(fatal?.message ?? 'connection lost', cause === undefined ? undefined : { cause });
    this.fatal = fatal;
    this.unexecuted = unexecuted;
    this.orderly = fatal?.code === ADMIN_SHUTDOWN || fatal?.code === IDLE_SESSION_TIMEOUT;
  }

  /** The same loss as seen by a request that was not executed. */
  asUnexecuted(): ConnectionLost {
    return new ConnectionLost(this.fatal, this.cause, true);
  }

  toDormouseError(): DormouseError {
    return new DormouseError(this.orderly ? 'database_stopped' : 'database_crashed', { cause: this });
  }
}

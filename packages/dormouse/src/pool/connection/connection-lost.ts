import { DormouseError } from '../../base/index.ts';
import type { PostgresError } from '../../wire/index.ts';

/** SQLSTATE of a session that somebody ended, or that ends with its server. */
const ADMIN_SHUTDOWN = '57P01';
/** Another process crashed, and the server ends all sessions. */
const CRASH_SHUTDOWN = '57P02';
/**
 * Where a session finds that its postmaster is gone, which it tells with the code of an administrator's command:
 * reading, and writing.
 */
const READS = 'secure_read';
const WRITES = 'secure_write';
/**
 * What ends one session between two commands or by aborting the one under way: pg_terminate_backend and the timeouts of
 * a session.
 */
const ENDS_SESSION = new Set([ADMIN_SHUTDOWN, '57P04', '57P05', '25P03', '25P04']);

/** A server connection ended. Stays inside pool/; what a caller hears is `toError`. */
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
    // What was to be written then may be the answer to a commit.
    this.orderly = fatal !== undefined && ENDS_SESSION.has(fatal.code) && fatal.fields.routine !== WRITES;
  }

  /** The same loss as seen by a request that was not executed. */
  asUnexecuted(): ConnectionLost {
    return new ConnectionLost(this.fatal, this.cause, true);
  }

  /**
   * The same loss as seen by a statement that was under way. The server answers in order: if it said that it ends the
   * session before it had answered anything of the statement, the statement was not begun. That does not hold for a
   * script, of which only results are answered. A pipe that was closed before the write ended took no Sync, without
   * which nothing commits.
   */
  seenBy({ touched, parameters }: { readonly touched: boolean; readonly parameters: unknown }): ConnectionLost {
    const notBegun = this.orderly && parameters !== undefined;
    const unexecuted = !touched && (notBegun || (this.cause as { code?: string } | undefined)?.code === 'EPIPE');
    return unexecuted ? this.asUnexecuted() : this;
  }

  /**
   * What a caller hears: our own reason if we closed it; what Postgres said of this session, unless the whole server
   * ends; that it ended without a word.
   */
  toError(serverEnds: boolean): PostgresError | DormouseError {
    if (this.cause instanceof DormouseError) return this.cause;
    if (this.fatal === undefined || isOfCrash(this.fatal)) {
      return new DormouseError('database_crashed', { cause: this });
    }
    if (serverEnds && this.fatal.code === ADMIN_SHUTDOWN) return new DormouseError('database_stopped', { cause: this });
    return this.fatal;
  }
}

/** The whole server has ended, or ends, because a process of it did. */
function isOfCrash({ code, fields }: PostgresError): boolean {
  if (code === CRASH_SHUTDOWN) return true;
  return code === ADMIN_SHUTDOWN && (fields.routine === READS || fields.routine === WRITES);
}

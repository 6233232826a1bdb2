import { DormouseError } from '../../base/index.ts';
import type { PostgresError } from '../../wire/index.ts';

/** SQLSTATE of a session that was ended by a command, or that ends with its server. */
const ADMIN_SHUTDOWN = '57P01';
/** Another process crashed, and the server ends all sessions. */
const CRASH_SHUTDOWN = '57P02';
/**
 * The routines in which a backend finds that its postmaster is gone, when it reads or writes. It reports that with the
 * code of an administrator's command.
 */
const READS = 'secure_read';
const WRITES = 'secure_write';
/**
 * The codes that end one session between two commands, or by aborting the command under way: pg_terminate_backend and
 * the timeouts of a session.
 */
const ENDS_SESSION = new Set([ADMIN_SHUTDOWN, '57P04', '57P05', '25P03', '25P04']);

/** A server connection ended. This error stays inside pool/; callers get the error that `toError` makes of it. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  /** The server said that it ended the session, so the statement under way was rolled back. */
  readonly orderly: boolean;
  /** The error that the server sent last, if any. */
  readonly fatal: PostgresError | undefined;
  /**
   * The statement that failed with this error was certainly not executed: it may be sent again over another connection.
   */
  readonly unexecuted: boolean;

  constructor(fatal: PostgresError | undefined, cause: unknown, unexecuted: boolean = false) {
    super(fatal?.message ?? 'connection lost', cause === undefined ? undefined : { cause });
    this.fatal = fatal;
    this.unexecuted = unexecuted;
    // The backend was writing then: its unwritten bytes may be the answer to a commit.
    this.orderly = fatal !== undefined && ENDS_SESSION.has(fatal.code) && fatal.fields.routine !== WRITES;
  }

  /** The same loss as seen by a statement that was not executed. */
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
   * The error for a caller: the pool's own reason if the pool closed the connection; what Postgres said of this
   * session, unless the whole server ends; otherwise that the server crashed.
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

/** Whether the whole server has ended, or is ending, because one of its processes crashed. */
function isOfCrash({ code, fields }: PostgresError): boolean {
  if (code === CRASH_SHUTDOWN) return true;
  return code === ADMIN_SHUTDOWN && (fields.routine === READS || fields.routine === WRITES);
}

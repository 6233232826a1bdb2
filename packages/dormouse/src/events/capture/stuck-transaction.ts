import { type Lsn, PostgresError } from '../../wire/index.ts';

/**
 * Classes of SQLSTATE whose cause is not the transaction: connection, resources, state of an object, operator, system.
 */
const OF_THE_MOMENT: readonly string[] = ['08', '53', '55', '57', '58'];
/** After this many streams that ended at one transaction by the server's error, the transaction counts as stuck. */
const TIMES_MAX = 5;
/** The same for an error of size: Postgres prints no text over 1 GB, and 600 MB of bytea print as more. */
const SIZE_TIMES_MAX = 2;
const PROGRAM_LIMIT_EXCEEDED = '54000';
const TOO_LARGE = /invalid memory alloc request size/;

/** Tells a transaction that the server can never decode from a stream that ends for another reason. */
export class StuckTransaction {
  #lsn: Lsn | undefined;
  #times = 0;

  /**
   * A stream that had stored everything up to `lsn` ended by `error`; true if the next transaction is to be passed
   * over.
   */
  ended(error: unknown, lsn: Lsn): boolean {
    if (!(error instanceof PostgresError) || OF_THE_MOMENT.includes(error.code.slice(0, 2))) return false;
    if (lsn !== this.#lsn) this.#times = 0;
    this.#lsn = lsn;
    this.#times += 1;
    const bySize = error.code === PROGRAM_LIMIT_EXCEEDED || TOO_LARGE.test(error.message);
    return this.#times >= (bySize ? SIZE_TIMES_MAX : TIMES_MAX);
  }
}

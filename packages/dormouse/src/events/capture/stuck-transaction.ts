import { type Lsn, PostgresError } from '../../wire/index.ts';

/**
 * Classes of SQLSTATE that tell of the moment, not of the transaction: connection, resources, state of an object,
 * operator, system.
 */
const OF_THE_MOMENT: readonly string[] = ['08', '53', '55', '57', '58'];
/** Streams that ended at the same transaction by the server's error, after which the next would do so, too. */
const TIMES_MAX = 5;
/** The same for an error that says why: Postgres prints no text over 1 GB, and 600 MB of bytea are one. */
const SIZE_TIMES_MAX = 2;
const PROGRAM_LIMIT_EXCEEDED = '54000';
const TOO_LARGE = /invalid memory alloc request size/;

/** Tells a transaction that the server cannot decode, ever, from a stream that has ended. */
export class StuckTransaction {
  #lsn: Lsn | undefined;
  #times = 0;

  /** A stream that had gone well up to `lsn` ended so; true if what comes there is to be passed over. */
  ended(error: unknown, lsn: Lsn): boolean {
    if (!(error instanceof PostgresError) || OF_THE_MOMENT.includes(error.code.slice(0, 2))) return false;
    if (lsn !== this.#lsn) this.#times = 0;
    this.#lsn = lsn;
    this.#times += 1;
    const bySize = error.code === PROGRAM_LIMIT_EXCEEDED || TOO_LARGE.test(error.message);
    return this.#times >= (bySize ? SIZE_TIMES_MAX : TIMES_MAX);
  }
}

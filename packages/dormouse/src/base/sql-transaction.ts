/** The part of a SQLite connection that a transaction needs. */
export interface SqlConnection {
  exec(sql: string): unknown;
  readonly inTransaction: boolean;
}

/**
 * Commits all changes of `work`, or none, and rethrows an error. The transactions of libsql are not used: on a full
 * disk SQLite rolls back by itself, and the second rollback of libsql hides `SQLITE_FULL` behind the error that there
 * is no transaction.
 */
export function sqlTransaction(db: SqlConnection, work: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    work();
    db.exec('COMMIT');
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

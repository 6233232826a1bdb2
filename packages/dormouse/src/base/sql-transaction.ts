/** What a transaction needs of a SQLite connection. */
export interface SqlConnection {
  exec(sql: string): unknown;
  readonly inTransaction: boolean;
}

/**
 * Commits what `work` does, or nothing of it, and throws what failed. By hand: on a full disk SQLite has rolled back by
 * itself, and whoever rolls back then is told that there is no transaction instead of `SQLITE_FULL` (libsql's own
 * transactions are).
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

import Database from 'libsql';
import { sqlTransaction } from '../../base/index.ts';
import { migrate } from './log-schema.ts';

/** One SQLite file with its prepared statements. Integers come back as bigint: LSNs need all 64 bits. */
export class SqlFile {
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();

  /** Opens or creates the file, with a WAL journal; a committed transaction is on the disk unless `synced` is false. */
  constructor(path: string, synced = true) {
    this.#db = new Database(path);
    try {
      this.#db.pragma(`synchronous = ${synced ? 'FULL' : 'OFF'}`);
      this.#db.pragma('journal_mode = WAL');
      migrate(this.#db);
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** Runs `work` in a transaction: all of it is committed, or nothing. */
  transaction(work: () => void): void {
    sqlTransaction(this.#db, work);
  }

  statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql).safeIntegers(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
  run(sql: string, ...values: unknown[]): void {
    this.statement(sql).run(...values);
  }
  get<T>(sql: string, ...values: unknown[]): T | undefined {
    return this.statement(sql).get(...values) as T | undefined;
  }
  all<T>(sql: string, ...values: unknown[]): T[] {
    return this.statement(sql).all(...values) as T[];
  }

  /**
   * SQLite keeps the file's descriptors until the last statement is collected as garbage. Until then everything is in
   * the file itself and nothing in its journal.
   */
  close(): void {
    this.#statements.clear();
    try {
      this.#db.pragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // The disk is full: the journal stays as it is, and the next open reads it.
    }
    this.#db.close();
  }
}

/** The columns of a row that hold a position. */
export interface PositionRow {
  readonly ordinal: bigint;
  readonly lsn: bigint;
  readonly position: bigint;
}

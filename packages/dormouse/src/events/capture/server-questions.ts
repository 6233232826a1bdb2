import type { Endpoint } from '../../instance/index.ts';
import { type Lsn, parseLsn } from '../../wire/index.ts';
import { type Connect, ReplicationConnection } from './replication-connection.ts';
import { CATALOG_SQL } from './table-catalog.ts';

/** Behind every commit that was acknowledged before the question. */
const INSERT_LSN = 'SELECT pg_catalog.pg_current_wal_insert_lsn()';
/** What is durable: a stream may begin there. */
const FLUSH_LSN = 'SELECT pg_catalog.pg_current_wal_flush_lsn()';

/**
 * Questions to a running server. A stream takes no statements, so a question goes over another connection: the one that
 * `ask` has open, or else a new one. Fails with `PostgresError` and `database_stopped`.
 */
export class ServerQuestions {
  readonly #connect: Connect;
  readonly #endpoint: Endpoint;
  readonly #ask: ((sql: string) => Promise<string | undefined>) | undefined;

  constructor(connect: Connect, endpoint: Endpoint, ask: ((sql: string) => Promise<string | undefined>) | undefined) {
    this.#connect = connect;
    this.#endpoint = endpoint;
    this.#ask = ask;
  }

  /** How far the WAL goes now. */
  async insertLsn(): Promise<Lsn> {
    return parseLsn(await this.#answer(INSERT_LSN)) ?? 0n;
  }

  async flushLsn(): Promise<Lsn | undefined> {
    return parseLsn(await this.#answer(FLUSH_LSN));
  }

  /** The tables that are there, as `readCatalog` reads them. */
  catalog(): Promise<string> {
    return this.#answer(CATALOG_SQL);
  }

  async #answer(sql: string): Promise<string> {
    const answer = await this.#ask?.(sql);
    if (answer !== undefined) return answer;
    const connection = await ReplicationConnection.open(this.#connect, this.#endpoint, false);
    try {
      const [row] = await connection.query(sql);
      return row?.[0] ?? '';
    } finally {
      connection.terminate();
      connection.destroy();
    }
  }
}

import type { Clock, Timer } from '../../base/index.ts';
import type { Endpoint } from '../../instance/index.ts';
import type { TableFacts, TableName } from '../log/index.ts';
import { type Connect, type QueryRow, ReplicationConnection } from './replication-connection.ts';

/** A table as the catalog has it now. */
export interface CatalogTable extends TableFacts {
  /** `r` a table or partition, `m` a materialized view. */
  readonly kind: string;
  /** `pg_class.relreplident`: d default, n nothing, f full, i index. */
  readonly identity: string;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly virtual: boolean }[];
}

/** Tables per query. */
const LOOKUP_TABLES_MAX = 500;
/**
 * The session is kept this long for the next lookup: lookups come together, but each server process of a frozen server
 * costs memory.
 */
const KEEP_MS = 1000;
/** A lookup takes a millisecond. After this long it waits for a lock: it fails, and the stream begins anew. */
const TIMEOUT_MS = 10_000;

/**
 * A transaction is streamed when its commit is in the WAL, some microseconds before other sessions see the transaction:
 * a lookup in between would find the tables as they were before, and nothing would look them up again. A lookup
 * therefore waits until the transaction is visible, for at most this long.
 */
const SEEN_MS = 5_000;
const SEEN_PAUSE_MS = 1;

/**
 * Asks whether all of these transactions are visible. The stream gives the lower 32 bits of their 64-bit ids: each id
 * is taken as the one nearest to the present.
 */
function seenSql(xids: readonly number[]): string {
  return `
    WITH present AS (SELECT pg_catalog.pg_current_snapshot() AS snapshot),
      next AS (SELECT snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::pg_catalog.text::pg_catalog.int8 AS id FROM present),
      told AS (SELECT snapshot, id, (id >> 32 << 32) + short AS near FROM next, pg_catalog.unnest('{${xids.join(',')}}'::pg_catalog.int8[]) short)
    SELECT pg_catalog.bool_and(pg_catalog.pg_visible_in_snapshot(
      (CASE WHEN near - id > 2147483648 THEN near - 4294967296 WHEN id - near > 2147483648 THEN near + 4294967296 ELSE near END)
        ::pg_catalog.text::pg_catalog.xid8, snapshot)) FROM told`;
}

/**
 * Every name is qualified, and the session's search_path is pg_catalog: no object of a tenant is called or resolved.
 */
function catalogSql(tables: readonly TableName[]): string {
  const wanted = tables.map(({ schema, name }) => `(${literal(schema)}, ${literal(name)})`).join(', ');
  return `
    SELECT n.nspname, c.relname, c.relkind, c.relreplident,
      (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
       FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k (attnum, place),
         pg_catalog.pg_attribute a
       WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
         AND k.place <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.attnum),
      (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname,
         pg_catalog.format_type(a.atttypid, NULL), a.attgenerated = 'v') ORDER BY a.attnum)
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      (WITH RECURSIVE above AS (
         SELECT inhparent AS oid, 1 AS depth FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid
         UNION SELECT i.inhparent, above.depth + 1 FROM above JOIN pg_catalog.pg_inherits i ON i.inhrelid = above.oid)
       SELECT pg_catalog.json_agg(pg_catalog.json_build_array(pn.nspname, pc.relname) ORDER BY above.depth, above.oid)
       FROM above JOIN pg_catalog.pg_class pc ON pc.oid = above.oid JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace),
      c.relispartition
    FROM (VALUES ${wanted}) AS w (schema, name)
      JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'm')`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function catalogTableOf(row: QueryRow): CatalogTable {
  const [schema, name, kind, identity, key, columns, ancestors, partition] = row as readonly string[];
  const list = <T>(json: string | undefined | null): readonly T[] => (JSON.parse(json ?? 'null') as T[] | null) ?? [];
  const names = list<string>(key);
  return {
    schema: schema ?? '',
    name: name ?? '',
    kind: kind ?? '',
    identity: identity ?? '',
    key: names.length === 0 ? null : names,
    columns: list<[string, string, boolean]>(columns).map(([name, type, virtual]) => ({ name, type, virtual })),
    ancestors: list<[string, string]>(ancestors).map(([schema, name]) => ({ schema, name })),
    ...(partition === 't' ? { partition: true } : {}),
  };
}

/**
 * Looks up tables in a database's catalog, in a short session of a role that has no rights there. The stream itself
 * says neither which columns are a table's key nor what a table is a partition of.
 */
export class CatalogLookup {
  readonly #connect: Connect;
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  #session: Promise<ReplicationConnection> | undefined;
  #idle: Timer | undefined;

  constructor(connect: Connect, endpoint: Endpoint, clock: Clock) {
    this.#connect = connect;
    this.#endpoint = endpoint;
    this.#clock = clock;
  }

  /**
   * Gives those of the tables that exist, once the committed transactions `xids` are visible. Fails with
   * `PostgresError`, `database_stopped`.
   */
  async lookUp(tables: readonly TableName[], xids: readonly number[]): Promise<readonly CatalogTable[]> {
    this.#idle?.cancel();
    const found: CatalogTable[] = [];
    try {
      this.#session ??= this.#open();
      const session = await this.#session;
      await this.#untilSeen(session, xids);
      for (let at = 0; at < tables.length; at += LOOKUP_TABLES_MAX) {
        found.push(...(await session.query(catalogSql(tables.slice(at, at + LOOKUP_TABLES_MAX)))).map(catalogTableOf));
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.#idle = this.#clock.after(KEEP_MS, () => this.close());
    return found;
  }

  close(): void {
    this.#idle?.cancel();
    const session = this.#session;
    this.#session = undefined;
    session?.then(
      (connection) => {
        connection.terminate();
        connection.destroy();
      },
      () => {},
    );
  }

  async #untilSeen(session: ReplicationConnection, xids: readonly number[]): Promise<void> {
    if (xids.length === 0) return;
    const giveUpMs = this.#clock.monotonic() + SEEN_MS;
    for (;;) {
      const [row] = await session.query(seenSql(xids));
      if (row?.[0] === 't' || this.#clock.monotonic() > giveUpMs) return;
      await new Promise<void>((resolve) => this.#clock.after(SEEN_PAUSE_MS, resolve));
    }
  }

  async #open(): Promise<ReplicationConnection> {
    const session = await ReplicationConnection.open(this.#connect, this.#endpoint, false);
    try {
      await session.query(`SET statement_timeout = ${TIMEOUT_MS}`);
    } catch (error) {
      session.destroy();
      throw error;
    }
    return session;
  }
}

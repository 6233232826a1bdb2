import type { Clock, Timer } from '../../base/index.ts';
import type { Endpoint } from '../../instance/index.ts';
import type { TableFacts, TableName } from '../log/index.ts';
import { type Connect, type QueryRow, ReplicationConnection } from './replication-connection.ts';

/** What the catalog says of a table now. */
export interface TableLook extends TableFacts {
  /** `r` a table or partition, `m` a materialized view. */
  readonly kind: string;
  /** d default, n nothing, f full, i index. */
  readonly identity: string;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly virtual: boolean }[];
}

/** Tables asked for at once. */
const LOOK_TABLES_MAX = 500;
/**
 * The session is kept for the next look so long: looks come together, and a process of a frozen server costs memory.
 */
const KEEP_MS = 1000;
/** A look takes a millisecond. One that takes this long meets a lock: the stream begins anew. */
const TIMEOUT_MS = 10_000;

/**
 * A transaction is told when its commit is in the WAL, which is some microseconds before others see it: a look in
 * between would find tables as they were, and nothing would ask again. Longer than this a transaction is not waited
 * for.
 */
const SEEN_MS = 5_000;
const SEEN_LOOK_MS = 1;

/**
 * Whether all of these transactions are to be seen. Their ids have 32 of 64 bits; they are the nearest ones to the
 * present.
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
 * Everything is qualified, and the session's search_path is pg_catalog: nothing of a tenant's is called or resolved.
 */
function lookSql(tables: readonly TableName[]): string {
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

function lookOf(row: QueryRow): TableLook {
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
 * Asks a database's catalog of its tables, in a short session of a role that may do nothing there. An event says
 * neither which columns are its table's key nor what it is a partition of.
 */
export class TableLooks {
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
   * Those of the tables that are there once the transactions `xids`, which have committed, are seen. Fails with
   * `PostgresError`, `database_stopped`.
   */
  async look(tables: readonly TableName[], xids: readonly number[]): Promise<readonly TableLook[]> {
    this.#idle?.cancel();
    const looks: TableLook[] = [];
    try {
      this.#session ??= this.#open();
      const session = await this.#session;
      await this.#untilSeen(session, xids);
      for (let at = 0; at < tables.length; at += LOOK_TABLES_MAX) {
        looks.push(...(await session.query(lookSql(tables.slice(at, at + LOOK_TABLES_MAX)))).map(lookOf));
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.#idle = this.#clock.after(KEEP_MS, () => this.close());
    return looks;
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
      await new Promise<void>((resolve) => this.#clock.after(SEEN_LOOK_MS, resolve));
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

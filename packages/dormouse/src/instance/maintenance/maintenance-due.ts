import type { TextRow } from '../administration/index.ts';

/**
 * What maintenance is due, by Postgres's own rules: the thresholds of autovacuum, where a table's storage parameters
 * take precedence over the server's settings. The functions below build SQL and read its rows; nothing here talks to a
 * server.
 */

/** The most databases of one server that are looked into: the main one and shadow databases. */
const DATABASES_MAX = 50;
/** The most tables processed in one turn; the others are due at the next. */
const TABLES_MAX = 500;
/**
 * Old transaction ids are frozen at this share of the age at which Postgres forces it (autovacuum_freeze_max_age, 200
 * million of the 2 100 million there are): a database that never runs for long never lets the forced one end.
 */
const FREEZE_SHARE = 0.75;

/** No session writes in a template; from this age on it is looked into all the same. */
const TEMPLATE_AGE = 100_000_000;

/** One database of a server. */
export interface DatabaseAge {
  readonly name: string;
  /** Transactions since the oldest row that is not frozen; at 2 100 million Postgres refuses writes. */
  readonly frozenXidAge: number;
  /** Rows written since statistics began: if the number has not grown, only the age can be due. */
  readonly written: number;
}

/** One statement of maintenance. */
export interface TableTask {
  readonly kind: 'vacuum' | 'analyze' | 'freeze';
  readonly sql: string;
}

/**
 * The oldest database of a server. Databases that no session may connect to are included, because they age with the
 * others; those with -2, which a broken-off DROP leaves, are not.
 */
export const OLDEST_SQL = `
  SELECT datname, greatest(age(datfrozenxid), mxid_age(datminmxid)) FROM pg_database
  WHERE datconnlimit <> -2 ORDER BY 2 DESC LIMIT 1`;

export const DATABASES_SQL: string = `
  SELECT d.datname, greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)),
    coalesce(s.tup_inserted + s.tup_updated + s.tup_deleted, 0)
  FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid
  WHERE d.datallowconn AND (NOT d.datistemplate OR age(d.datfrozenxid) > ${TEMPLATE_AGE}) ORDER BY d.oid LIMIT ${DATABASES_MAX}`;

export function readDatabases(rows: readonly TextRow[]): readonly DatabaseAge[] {
  return rows.map(([name, age, written]) => ({
    name: name ?? '',
    frozenXidAge: Number(age),
    written: Number(written),
  }));
}

/**
 * Columns and settings that came with PostgreSQL 18 are read through JSON, so that the statement works on older servers
 * too.
 */
export const TABLES_SQL: string = `
  WITH parameter AS (
    SELECT c.oid, o.option_name AS name, o.option_value AS value
    FROM pg_class c, pg_options_to_table(c.reloptions) o WHERE o.option_name LIKE 'autovacuum%'
  ), relation AS (
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
      greatest(c.reltuples, 0)::float8 AS tuples,
      1 - coalesce((to_jsonb(c)->>'relallfrozen')::float8, 0) / greatest(c.relpages, 1) AS unfrozen,
      coalesce(s.n_dead_tup, 0) AS dead, coalesce(s.n_ins_since_vacuum, 0) AS inserted,
      coalesce(s.n_mod_since_analyze, 0) AS modified,
      age(c.relfrozenxid) AS xid_age, mxid_age(c.relminmxid) AS mxid_age,
      coalesce((SELECT value::bool FROM parameter p WHERE p.oid = c.oid AND p.name = 'autovacuum_enabled'), true) AS wanted,
      (SELECT jsonb_object_agg(p.name, p.value) FROM parameter p WHERE p.oid = c.oid) AS own
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
  ), due AS (
    SELECT name, dead,
      wanted AND (
        dead > least(${setting('autovacuum_vacuum_threshold')} + ${setting('autovacuum_vacuum_scale_factor')} * tuples,
          nullif(${setting('autovacuum_vacuum_max_threshold')}, -1))
        OR ${setting('autovacuum_vacuum_insert_threshold')} >= 0 AND inserted > ${setting('autovacuum_vacuum_insert_threshold')}
          + ${setting('autovacuum_vacuum_insert_scale_factor')} * tuples * unfrozen
      ) AS to_vacuum,
      wanted AND modified > ${setting('autovacuum_analyze_threshold')}
        + ${setting('autovacuum_analyze_scale_factor')} * tuples AS to_analyze,
      xid_age > ${FREEZE_SHARE} * least(${setting('autovacuum_freeze_max_age')}, ${server('autovacuum_freeze_max_age')})
        OR mxid_age > ${FREEZE_SHARE} * least(${setting('autovacuum_multixact_freeze_max_age')},
          ${server('autovacuum_multixact_freeze_max_age')}) AS to_freeze
    FROM relation
  )
  SELECT name, to_vacuum, to_analyze, to_freeze FROM due WHERE to_vacuum OR to_analyze OR to_freeze
  ORDER BY to_freeze DESC, dead DESC LIMIT ${TABLES_MAX}`;

/** Locks that a session holds are not waited for: it is due at the next rest again. */
export function readTableTasks(rows: readonly TextRow[]): readonly TableTask[] {
  return rows.map(([name, vacuum, analyze, freeze]): TableTask => {
    const options = ['SKIP_LOCKED', ...(freeze === 't' ? ['FREEZE'] : []), ...(analyze === 't' ? ['ANALYZE'] : [])];
    if (freeze !== 't' && vacuum !== 't') return { kind: 'analyze', sql: `ANALYZE (SKIP_LOCKED) ${name}` };
    return { kind: freeze === 't' ? 'freeze' : 'vacuum', sql: `VACUUM (${options.join(', ')}) ${name}` };
  });
}

/** A table's own parameter, else the server's; null where this version has none. */
function setting(name: string): string {
  return `coalesce((own->>'${name}')::float8, ${server(name)})`;
}

function server(name: string): string {
  return `current_setting('${name}', true)::float8`;
}

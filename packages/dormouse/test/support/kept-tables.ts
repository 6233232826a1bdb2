import type { BareEngine } from './bare-engine.ts';

/** Tables of the library, those that others refer to first. */
const TABLES = [
  'users',
  '"Profile"',
  'posts',
  '"Category"',
  '"_CategoryToPost"',
  '"Label"',
  'post_labels',
  'memberships',
  'invoices',
];
/** What writes now and then is told apart from what was given. */
const TOUCHED = "CASE WHEN updated_at > '2025-01-01' THEN NULL ELSE updated_at END";

/** The rows of the library as they are at one moment, to be put back and to be compared. */
export interface KeptTables {
  /** Makes all tables what they were when they were kept. */
  restore(): Promise<void>;
  /** All rows, as text. */
  rows(): Promise<string>;
}

export async function keepTables(engine: BareEngine): Promise<KeptTables> {
  await engine.sql(
    [
      'DROP SCHEMA IF EXISTS kept CASCADE',
      'CREATE SCHEMA kept',
      ...TABLES.map((t) => `CREATE TABLE kept.${t} AS TABLE public.${t}`),
    ].join(';'),
  );
  const restore = [
    `TRUNCATE ${TABLES.map((table) => `public.${table}`).join()} RESTART IDENTITY CASCADE`,
    ...TABLES.map((table) => `INSERT INTO public.${table} SELECT * FROM kept.${table}`),
    // What sequences make is far from what is given.
    ...['users', 'posts', '"Profile"', '"Category"'].map(
      (table) => `SELECT setval(pg_get_serial_sequence('${table}', 'id'), 1000)`,
    ),
  ].join(';');
  const rows = `SELECT json_build_array(${TABLES.map((table) => {
    const of = table === 'users' ? `(SELECT *, ${TOUCHED} AS updated FROM users)` : table;
    const record = table === 'users' ? "to_jsonb(t) - 'updated_at'" : 'to_jsonb(t)';
    return `(SELECT json_agg(${record} ORDER BY (${record})::text) FROM ${of} t)`;
  }).join()})::text`;
  return {
    async restore() {
      await engine.sql(restore);
    },
    async rows() {
      return (await engine.sql(rows))[0] ?? '';
    },
  };
}

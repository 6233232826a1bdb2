import type { BareEngine } from './bare-engine.ts';

/** Tables to keep, as SQL names. */
export interface TablesToKeep {
  /** The tables' names; a table comes after those that it refers to. */
  readonly tables: readonly string[];
  /** SQL that names their sequences. */
  readonly sequences: readonly string[];
  /** Replaces, in a row's text, values that differ from run to run. */
  equalize(text: string): string;
}

/** The library's (library.ts); what writes now and then is told apart from what was given. */
export const LIBRARY_TABLES: TablesToKeep = {
  tables: [
    'users',
    '"Profile"',
    'posts',
    '"Category"',
    '"_CategoryToPost"',
    '"Label"',
    'post_labels',
    'memberships',
    'invoices',
  ],
  sequences: ['users', 'posts', '"Profile"', '"Category"'].map((table) => `pg_get_serial_sequence('${table}', 'id')`),
  equalize: (text) => text.replace(/"updated_at": "20(?:2[5-9]|[3-9]\d)[^"]*"/, '"updated_at": "touched"'),
};

/** The rows of tables as they are at one moment, to be put back and to be compared. */
export interface KeptTables {
  /** Restores all tables to the kept rows. */
  restore(): Promise<void>;
  /** All rows, as text. */
  rows(): Promise<string>;
}

export async function keepTables(
  engine: BareEngine,
  { tables, sequences, equalize }: TablesToKeep,
): Promise<KeptTables> {
  await engine.sql(
    [
      'DROP SCHEMA IF EXISTS kept CASCADE',
      'CREATE SCHEMA kept',
      ...tables.map((table) => `CREATE TABLE kept.${table} AS TABLE public.${table}`),
    ].join(';'),
  );
  const restore = [
    `TRUNCATE ${tables.map((table) => `public.${table}`).join()} RESTART IDENTITY CASCADE`,
    ...tables.map((table) => `INSERT INTO public.${table} SELECT * FROM kept.${table}`),
    // What sequences make is far from what is given.
    ...sequences.map((sequence) => `SELECT setval(${sequence}, 1000)`),
  ].join(';');
  const texts = tables.map((table) => `coalesce((SELECT json_agg(to_jsonb(t)::text) FROM ${table} t), '[]')`);
  return {
    async restore() {
      await engine.sql(restore);
    },
    async rows() {
      const [all] = await engine.sql(`SELECT json_build_array(${texts.join()})::text`);
      const byTable = JSON.parse(all ?? '[]') as string[][];
      return byTable.map((rows, place) => `${tables[place]}\n${rows.map(equalize).sort().join('\n')}`).join('\n');
    },
  };
}

import { readFile } from 'node:fs/promises';
import pg from 'pg';

/** Creates the tables over TCP, as a migration tool would; false if they exist already. */
export async function makeTables(postgresUrl: string): Promise<boolean> {
  const client = new pg.Client(postgresUrl);
  await client.connect();
  try {
    const { rows } = await client.query(`SELECT to_regclass('"Post"') IS NOT NULL AS there`);
    if (rows[0].there) return false;
    await client.query(await readFile(new URL('../prisma/migration.sql', import.meta.url), 'utf8'));
    return true;
  } finally {
    await client.end();
  }
}

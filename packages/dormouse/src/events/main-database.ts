import type { Endpoint } from '../instance/index.ts';
import { PostgresError } from '../wire/index.ts';
import { type Connect, MAIN_DATABASE, ReplicationConnection } from './replication-connection.ts';

/** "database is not currently accepting connections", not even a superuser's. */
const CLOSED = '55000';
/** Nobody's but ours, so nobody else can close it. */
const ANOTHER_DATABASE = 'template1';

/**
 * Opens a walsender's connection to the main database. Its owner can close that to everybody from a second one
 * (`ALLOW_CONNECTIONS false`) and not open it again: then we do. Fails as `ReplicationConnection.open`.
 */
export async function openMainDatabase(connect: Connect, endpoint: Endpoint): Promise<ReplicationConnection> {
  try {
    return await ReplicationConnection.open(connect, endpoint, true);
  } catch (error) {
    if (!(error instanceof PostgresError) || error.code !== CLOSED) throw error;
  }
  const aside = await ReplicationConnection.open(connect, endpoint, false, ANOTHER_DATABASE);
  try {
    await aside.query(`ALTER DATABASE ${MAIN_DATABASE} ALLOW_CONNECTIONS true`);
  } finally {
    aside.terminate();
    aside.destroy();
  }
  return ReplicationConnection.open(connect, endpoint, true);
}

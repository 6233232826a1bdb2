import { PostgresError } from '../../wire/index.ts';
import type { Endpoint } from '../contract/index.ts';
import { AdminSession, NEUTRAL_DATABASE } from './admin-session.ts';
import { SUPERUSER } from './roles.ts';

/**
 * The answer of a server to one query: it works; it is starting or has no free connection yet (ask again); or it
 * refuses.
 */
export type ProbeResult = 'answers' | 'not-yet' | 'refuses';

/** SQLSTATEs of a server that will answer soon: it starts up, recovers, or has too many connections. */
const NOT_YET: readonly string[] = ['57P03', '53300'];

/**
 * Opens a session, runs one query that gives one row, and closes the session. Never rejects; silence for `timeoutMs`
 * counts as a refusal.
 */
export async function probe(endpoint: Endpoint, timeoutMs: number, sql = 'SELECT 1'): Promise<ProbeResult> {
  let session: AdminSession | undefined;
  try {
    session = await AdminSession.open(endpoint, NEUTRAL_DATABASE, timeoutMs, SUPERUSER);
    return (await session.query(sql)).length === 1 ? 'answers' : 'refuses';
  } catch (error) {
    return error instanceof PostgresError && NOT_YET.includes(error.code) ? 'not-yet' : 'refuses';
  } finally {
    void session?.close();
  }
}

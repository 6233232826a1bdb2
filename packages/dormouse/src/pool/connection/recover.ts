import type { Clock, RandomBytes } from '../../base/index.ts';
import { resetScript } from './reset-script.ts';
import type { ServerConnection } from './server-connection.ts';

/** A connection that cannot be put in order within this time is closed. */
const RECOVER_MS = 5_000;

/**
 * Makes a used connection as good as a new one: ends the statement that runs, rolls back an open transaction, and
 * resets the session. Closes the connection if that fails. Never rejects.
 */
export async function recover(connection: ServerConnection, clock: Clock, random: RandomBytes): Promise<void> {
  const giveUp = clock.after(RECOVER_MS, () => connection.destroy());
  try {
    if (connection.busy) await connection.interrupt();
    if (connection.lost !== undefined) return;
    if (connection.transactionStatus !== 'I') await connection.own('ROLLBACK');
    if (connection.changed) {
      await connection.own('DISCARD ALL');
      connection.renewed();
      await connection.own(resetScript(random));
    }
  } catch (error) {
    connection.destroy(error as Error);
  } finally {
    giveUp.cancel();
  }
}

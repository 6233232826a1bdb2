import type { Clock, RandomBytes } from '../../base/index.ts';
import { resetScript } from './reset-script.ts';
import type { Backend } from './server-connection.ts';

/** A connection that cannot be put in order within this time is closed. */
const RECOVER_MS = 5_000;

/**
 * Makes a used connection as good as a new one: ends what runs, rolls back what is open, resets what was set. Closes it
 * if that fails. Never rejects.
 */
export async function recover(backend: Backend, clock: Clock, random: RandomBytes): Promise<void> {
  const giveUp = clock.after(RECOVER_MS, () => backend.destroy());
  try {
    if (backend.busy) await backend.interrupt();
    if (backend.lost !== undefined) return;
    if (backend.transactionStatus !== 'I') await backend.own('ROLLBACK');
    if (backend.changed) {
      await backend.own('DISCARD ALL');
      backend.renewed();
      await backend.own(resetScript(random));
    }
  } catch (error) {
    backend.destroy(error as Error);
  } finally {
    giveUp.cancel();
  }
}

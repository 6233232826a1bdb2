import type { Clock, Logger } from '../../base/index.ts';
import type { EventLog } from '../log/index.ts';
import type { ServerQuestions } from './server-questions.ts';
import type { Watermarks } from './watermarks.ts';

export interface PassOverOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly marks: Watermarks;
  readonly questions: Pick<ServerQuestions, 'flushLsn'>;
}

/**
 * Passes over a transaction that the server can never decode. Where it ends cannot be told without decoding it, so the
 * stream goes on from where the server is now; a gap says that there were events in between.
 */
export async function passOver(
  error: unknown,
  { log, clock, logger, marks, questions }: PassOverOptions,
): Promise<void> {
  try {
    await log.discardPending();
    const endLsn = await questions.flushLsn();
    if (endLsn === undefined || endLsn <= marks.storedLsn) return;
    const gap = { relation: -1, operation: 'gap' as const, before: undefined, after: undefined };
    const place = { lsn: marks.storedLsn, xid: 0, committedAtMs: clock.now(), firstIndex: 0 };
    await log.append({ relations: [], transactions: [{ ...place, events: [gap] }], endLsn });
    logger.log('warn', 'a transaction that Postgres cannot decode is passed over; a gap follows', {
      error: String(error),
      bytes: Number(endLsn - marks.storedLsn),
    });
    marks.storedUpTo(endLsn);
    marks.steps += 1;
  } catch (failure) {
    logger.log('warn', 'a transaction that Postgres cannot decode was not passed over', { error: String(failure) });
  }
}

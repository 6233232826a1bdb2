import type { Clock, Logger, Timer } from '../../base/index.ts';
import type { CursorKey, EventLog } from '../log/index.ts';
import { comparePositions, type Position } from '../log/index.ts';

/** While no event is delivered, the cursor moves on only this often: each save is an fsync. */
const IDLE_SAVE_MS = 5000;

/**
 * Keeps the cursor of one named subscriber: behind the last event that the subscriber has acknowledged; or, once it has
 * acknowledged every event that it was sent, behind the events that its filter left out, so that a subscriber to rare
 * events does not fall behind what the log keeps.
 */
export class CursorKeeper {
  readonly #log: EventLog;
  readonly #key: CursorKey;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #sent: Position;
  #acked: Position;
  #passed: Position;
  #wanted: Position;
  #saved: Position;
  #saving: Promise<void> | undefined;
  #idleTimer: Timer | undefined;

  constructor(log: EventLog, key: CursorKey, at: Position, clock: Clock, logger: Logger) {
    this.#log = log;
    this.#key = key;
    this.#clock = clock;
    this.#logger = logger;
    this.#sent = this.#acked = this.#passed = this.#wanted = this.#saved = at;
  }

  /** An event is sent to the subscriber. */
  sent(position: Position): void {
    this.#sent = position;
  }

  /** Every event up to here was sent or left out by the filter. */
  passed(position: Position): void {
    this.#passed = position;
    if (comparePositions(this.#acked, this.#sent) < 0) return;
    this.#idleTimer ??= this.#clock.after(IDLE_SAVE_MS, () => {
      this.#idleTimer = undefined;
      this.#move();
    });
  }

  /** The subscriber has acknowledged everything up to here. An event that it was never sent cannot be acknowledged. */
  acknowledged(position: Position): void {
    if (comparePositions(position, this.#sent) > 0 || comparePositions(position, this.#acked) <= 0) return;
    this.#acked = position;
    this.#move();
  }

  /** Saves the cursor a last time. */
  async close(): Promise<void> {
    this.#idleTimer?.cancel();
    this.#move();
    await this.#saving;
  }

  #move(): void {
    const done = comparePositions(this.#acked, this.#sent) >= 0;
    const place = done && comparePositions(this.#passed, this.#acked) > 0 ? this.#passed : this.#acked;
    if (comparePositions(place, this.#wanted) > 0) this.#wanted = place;
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
  }

  /** One save at a time; acknowledgements that come meanwhile share the next save. */
  async #save(): Promise<void> {
    while (comparePositions(this.#wanted, this.#saved) > 0) {
      const place = this.#wanted;
      try {
        await this.#log.saveCursor(this.#key, place);
      } catch (error) {
        // Delivery is at least once: events behind the last saved cursor are delivered again.
        this.#logger.log('warn', 'a cursor was not saved', { error: String(error) });
        return;
      }
      this.#saved = place;
    }
  }
}

/**
 * Where a named subscriber goes on: at its saved cursor, or, the first time, at `first`, which is saved before any
 * event is delivered. A cursor whose events are no longer kept moves to the oldest event that is; `skipped` says so.
 */
export async function resume(
  log: EventLog,
  key: CursorKey,
  first: () => Promise<Position>,
): Promise<{ readonly position: Position; readonly skipped: boolean }> {
  const known = await log.cursor(key);
  if (known === undefined) {
    const position = await first();
    await log.saveCursor(key, position);
    return { position, skipped: false };
  }
  const { floor } = await log.state();
  if (comparePositions(known.position, floor) >= 0) return { position: known.position, skipped: false };
  await log.saveCursor(key, floor);
  return { position: floor, skipped: true };
}

import type { Clock, Logger, Timer } from '../../base/index.ts';
import type { CursorKey, EventLog } from '../log/index.ts';
import { comparePositions, type Position } from '../log/index.ts';

/** Where nothing is delivered, the place moves on only this often: each save is an fsync. */
const IDLE_SAVE_MS = 5000;

/**
 * The durable place of one named subscriber: after the last event it has acknowledged, or, when it has acknowledged all
 * it was given, after what its filter let pass by, so that a rare subscriber does not fall behind what is kept.
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

  /** An event goes to the subscriber. */
  sent(position: Position): void {
    this.#sent = position;
  }

  /** Everything up to here was looked at. */
  passed(position: Position): void {
    this.#passed = position;
    if (comparePositions(this.#acked, this.#sent) < 0) return;
    this.#idleTimer ??= this.#clock.after(IDLE_SAVE_MS, () => {
      this.#idleTimer = undefined;
      this.#move();
    });
  }

  /** The subscriber is done with everything up to here. What it was never sent it cannot acknowledge. */
  acknowledged(position: Position): void {
    if (comparePositions(position, this.#sent) > 0 || comparePositions(position, this.#acked) <= 0) return;
    this.#acked = position;
    this.#move();
  }

  /** Saves what is left to save. */
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

  /** One save at a time; acknowledgements that come meanwhile share the next. */
  async #save(): Promise<void> {
    while (comparePositions(this.#wanted, this.#saved) > 0) {
      const place = this.#wanted;
      try {
        await this.#log.saveCursor(this.#key, place);
      } catch (error) {
        // At least once: what was not saved is delivered again.
        this.#logger.log('warn', 'a cursor was not saved', { error: String(error) });
        return;
      }
      this.#saved = place;
    }
  }
}

/**
 * Where a named subscriber goes on: its saved place, or, the first time, `first`, which is saved before anything is
 * delivered. A place whose events are no longer kept moves to the oldest that are; `skipped` says so.
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

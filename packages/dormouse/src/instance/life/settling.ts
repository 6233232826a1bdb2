import type { Attachments } from './attachments.ts';
import { IdleTaskTurn } from './idle-tasks.ts';

/**
 * Before a rest attachments finish what is under way (capture reads what was written), while the server still runs and
 * serves. What was settled stays so until somebody uses the server; a turn that somebody interrupts is had again before
 * the next rest.
 */
export class Settling {
  readonly #attendants: Attachments;
  readonly #turn: IdleTaskTurn;
  #settled = false;

  /** `over` is called when a turn has ended, done or given up. */
  constructor(attendants: Attachments, over: () => void) {
    this.#attendants = attendants;
    const run = async (signal: AbortSignal): Promise<void> => {
      await this.#attendants.settle(signal);
      if (!signal.aborted) this.#settled = true;
    };
    this.#turn = new IdleTaskTurn({ due: () => !this.done, run }, over);
  }

  get busy(): boolean {
    return this.#turn.busy;
  }

  /** Nothing has to be waited for. */
  get done(): boolean {
    return this.#settled || !this.#attendants.settles;
  }

  /** True if there is something to wait for: it has begun. */
  begin(): boolean {
    return this.#turn.begin();
  }

  giveUp(): void {
    this.#turn.giveUp();
  }

  /** Somebody has the server. */
  used(): void {
    this.#settled = false;
    if (this.#turn.busy) this.#turn.giveUp();
  }
}

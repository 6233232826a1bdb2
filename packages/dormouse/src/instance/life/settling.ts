import type { Attachments } from './attachments.ts';
import { IdleTaskTurn } from './idle-tasks.ts';

/**
 * Before a rest, attachments finish what is under way (capture reads what was written) while the server still runs and
 * serves. The database then counts as settled until it is used again; a turn that is interrupted by a use is repeated
 * before the next rest.
 */
export class Settling {
  readonly #attachments: Attachments;
  readonly #turn: IdleTaskTurn;
  #settled = false;

  /** `onEnd` is called when a turn has ended, done or given up. */
  constructor(attachments: Attachments, onEnd: () => void) {
    this.#attachments = attachments;
    const run = async (signal: AbortSignal): Promise<void> => {
      await this.#attachments.settle(signal);
      if (!signal.aborted) this.#settled = true;
    };
    this.#turn = new IdleTaskTurn({ due: () => !this.done, run }, onEnd);
  }

  get running(): boolean {
    return this.#turn.running;
  }

  /** Whether nothing has to be waited for. */
  get done(): boolean {
    return this.#settled || !this.#attachments.settles;
  }

  begin(): void {
    this.#turn.begin();
  }

  giveUp(): void {
    this.#turn.giveUp();
  }

  /** The server is used again. */
  used(): void {
    this.#settled = false;
    this.#turn.giveUp();
  }
}

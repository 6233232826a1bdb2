/** Work that is done on an idle server before it rests. */
export interface IdleTasks {
  /** Whether a run is worthwhile now. */
  due(): boolean;
  /** Does what is due, for a bounded time. Ends soon after `signal` fires. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** Runs idle tasks, one turn at a time; a turn is given up when the server is needed. */
export class IdleTaskTurn {
  readonly #tasks: IdleTasks | undefined;
  readonly #onEnd: () => void;
  #running: AbortController | undefined;

  /** `onEnd` is called when a turn has ended, done or given up. */
  constructor(tasks: IdleTasks | undefined, onEnd: () => void) {
    this.#tasks = tasks;
    this.#onEnd = onEnd;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  get due(): boolean {
    return this.#tasks?.due() === true;
  }

  /** Begins a turn. None is running. */
  begin(): void {
    const turn = new AbortController();
    this.#running = turn;
    const end = (): void => {
      this.#running = undefined;
      this.#onEnd();
    };
    this.#tasks?.run(turn.signal).then(end, end);
  }

  giveUp(): void {
    this.#running?.abort();
  }
}

/** Work that is done on an idle server before it rests. */
export interface IdleTasks {
  /** Whether it is worth a look now. */
  due(): boolean;
  /** Does what is due, for a bounded time. Ends soon after `signal` fires. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** One turn of chores at a time, given up when somebody needs the server. */
export class IdleTaskTurn {
  readonly #chores: IdleTasks | undefined;
  readonly #over: () => void;
  #running: AbortController | undefined;

  /** `over` is called when a turn has ended, done or given up. */
  constructor(chores: IdleTasks | undefined, over: () => void) {
    this.#chores = chores;
    this.#over = over;
  }

  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** True if there was something to look at: it has begun. */
  begin(): boolean {
    if (this.#chores?.due() !== true) return false;
    const turn = new AbortController();
    this.#running = turn;
    const end = (): void => {
      this.#running = undefined;
      this.#over();
    };
    this.#chores.run(turn.signal).then(end, end);
    return true;
  }

  giveUp(): void {
    this.#running?.abort();
  }
}

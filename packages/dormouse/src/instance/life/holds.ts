import type { Hold } from '../contract/index.ts';

/**
 * Counts the open holds of one generation of a server, which lasts from a start to the server's end. The end of the
 * server ends its holds: their later release does nothing.
 */
export class Holds {
  readonly #onLast: () => void;
  #generation = 1;
  #open = 0;

  /** `onLast` is called when the last open hold is released. */
  constructor(onLast: () => void) {
    this.#onLast = onLast;
  }

  get open(): number {
    return this.#open;
  }

  get generation(): number {
    return this.#generation;
  }

  take(): Hold {
    this.#open++;
    let generation: number | undefined = this.#generation;
    return {
      release: () => {
        if (generation !== this.#generation) return;
        generation = undefined;
        this.#open--;
        if (this.#open === 0) this.#onLast();
      },
    };
  }

  /** The server is gone. */
  endGeneration(): void {
    this.#generation++;
    this.#open = 0;
  }
}

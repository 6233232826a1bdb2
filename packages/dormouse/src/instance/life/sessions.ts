import type { Hold } from '../contract/index.ts';

/** Counts the open client sessions of one database. */
export class Sessions {
  readonly #onLast: () => void;
  #open = 0;

  /** `onLast` is called when the last session has ended. */
  constructor(onLast: () => void) {
    this.#onLast = onLast;
  }

  get open(): number {
    return this.#open;
  }

  add(): Hold {
    this.#open++;
    let open = true;
    return {
      release: () => {
        if (!open) return;
        open = false;
        this.#open--;
        if (this.#open === 0) this.#onLast();
      },
    };
  }
}

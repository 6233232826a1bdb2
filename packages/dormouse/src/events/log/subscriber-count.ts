import { DormouseError } from '../../base/index.ts';

/** Counts a database's subscribers, or other readers. */
export class SubscriberCount {
  readonly #max: number;
  readonly #what: string;
  #open = 0;

  constructor(max: number, what = 'event subscribers already. Close some first.') {
    this.#max = max;
    this.#what = what;
  }

  get open(): number {
    return this.#open;
  }

  /** Takes a place; the result gives it back. Fails with `quota_exceeded`. */
  enter(): () => void {
    if (this.#open >= this.#max) {
      throw new DormouseError('quota_exceeded', {
        message: `This database has ${this.#max} ${this.#what}`,
      });
    }
    this.#open += 1;
    let inside = true;
    return () => {
      if (inside) this.#open -= 1;
      inside = false;
    };
  }
}

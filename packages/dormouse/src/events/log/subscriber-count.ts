import { DormouseError } from '../../base/index.ts';

/** Counts the subscribers of one database, or its readers of another kind, up to a maximum. */
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

  /** Takes a place; the returned function gives the place back. Fails with `quota_exceeded`. */
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

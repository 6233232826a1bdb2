import type { Clock, DormouseError, Timer } from '../../base/index.ts';

/** What somebody forces. */
export type Rest = 'suspended' | 'stopped';

interface Wish {
  readonly rest: Rest;
  /** Somebody's, as against the platform's own. */
  readonly byHand: boolean;
  readonly timer: Timer | undefined;
  resolve(): void;
  reject(error: DormouseError): void;
}

/** Forced rests that are not reached yet. */
export class ForcedStates {
  readonly #clock: Clock;
  readonly #wishes = new Set<Wish>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#wishes.size;
  }

  has(rest: Rest): boolean {
    for (const wish of this.#wishes) if (wish.rest === rest) return true;
    return false;
  }

  /** `patience`: after `ms` the wish is given up if `late` gives an error. */
  add(
    rest: Rest,
    byHand: boolean,
    patience?: { readonly ms: number; late(): DormouseError | undefined },
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const wish: Wish = {
        rest,
        byHand,
        timer:
          patience &&
          this.#clock.after(patience.ms, () => {
            const error = this.#wishes.has(wish) ? patience.late() : undefined;
            if (error === undefined) return;
            this.#wishes.delete(wish);
            reject(error);
          }),
        resolve,
        reject,
      };
      this.#wishes.add(wish);
    });
  }

  /** True if there was one by hand among them. */
  grant(rest: Rest): boolean {
    const granted = this.#take(rest);
    for (const wish of granted) wish.resolve();
    return granted.some(({ byHand }) => byHand);
  }

  refuse(rest: Rest, error: DormouseError): void {
    for (const wish of this.#take(rest)) wish.reject(error);
  }

  #take(rest: Rest): Wish[] {
    const taken = [...this.#wishes].filter((wish) => wish.rest === rest);
    for (const wish of taken) {
      this.#wishes.delete(wish);
      wish.timer?.cancel();
    }
    return taken;
  }
}

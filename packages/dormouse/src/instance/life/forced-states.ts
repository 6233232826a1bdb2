import type { Clock, DormouseError, Timer } from '../../base/index.ts';
import type { InstanceState } from '../contract/index.ts';

/** A state that a database can be forced into. */
export type ForcedState = 'suspended' | 'stopped';

interface Order {
  readonly state: ForcedState;
  /** Given by a caller, not by the platform itself. */
  readonly byHand: boolean;
  readonly timer: Timer | undefined;
  resolve(): void;
  reject(error: DormouseError): void;
}

/** Orders that force a database into a state, until the state is reached. */
export class ForcedStates {
  readonly #clock: Clock;
  readonly #orders = new Set<Order>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Orders that are not fulfilled yet. */
  get size(): number {
    return this.#orders.size;
  }

  has(state: ForcedState): boolean {
    for (const order of this.#orders) if (order.state === state) return true;
    return false;
  }

  /**
   * Adds an order; resolves when it is fulfilled. With `patience` the order is given up after `ms` if `late` gives an
   * error then.
   */
  add(
    state: ForcedState,
    byHand: boolean,
    patience?: { readonly ms: number; late(): DormouseError | undefined },
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const order: Order = {
        state,
        byHand,
        timer:
          patience &&
          this.#clock.after(patience.ms, () => {
            const error = this.#orders.has(order) ? patience.late() : undefined;
            if (error === undefined) return;
            this.#orders.delete(order);
            reject(error);
          }),
        resolve,
        reject,
      };
      this.#orders.add(order);
    });
  }

  /** Fulfils the orders that a database in this state satisfies; true if one of them was given by hand. */
  reached(state: InstanceState): boolean {
    const stopped = state === 'stopped' && this.#fulfil('stopped');
    // A stopped database rests deeper than a suspended one, and a failed one has nothing to freeze.
    const rests = state === 'stopped' || state === 'suspended' || state === 'failed';
    return (rests && this.#fulfil('suspended')) || stopped;
  }

  refuse(state: ForcedState, error: DormouseError): void {
    for (const order of this.#take(state)) order.reject(error);
  }

  #fulfil(state: ForcedState): boolean {
    const taken = this.#take(state);
    for (const order of taken) order.resolve();
    return taken.some(({ byHand }) => byHand);
  }

  #take(state: ForcedState): Order[] {
    const taken = [...this.#orders].filter((order) => order.state === state);
    for (const order of taken) {
      this.#orders.delete(order);
      order.timer?.cancel();
    }
    return taken;
  }
}

import { assert } from '../../base/index.ts';
import type { InstanceState } from '../contract/index.ts';
import { type InstanceEvent, TRANSITIONS } from './transitions.ts';

export interface StateMachineOptions {
  /** Does what entering a state takes, before the listeners are told. */
  enter(state: InstanceState, previous: InstanceState): void;
  /** Called after each change once all listeners were told: the next decision can be made now. */
  settled(): void;
}

/** One database's state. It changes through TRANSITIONS and by nothing else. */
export class StateMachine {
  readonly #options: StateMachineOptions;
  readonly #listeners = new Set<(state: InstanceState, previous: InstanceState) => void>();
  #state: InstanceState = 'stopped';
  /** Numbers the states entered so far, so that the report of work whose state has ended is recognised and dropped. */
  #operation = 0;
  #dispatching = false;

  constructor(options: StateMachineOptions) {
    this.#options = options;
  }

  get state(): InstanceState {
    return this.#state;
  }

  /** True while the listeners are told of a change. */
  get dispatching(): boolean {
    return this.#dispatching;
  }

  onChange(listener: (state: InstanceState, previous: InstanceState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispatch(event: InstanceEvent): void {
    const previous = this.#state;
    const next = TRANSITIONS[previous][event];
    assert(next !== 'bug', `${event} in state ${previous}`);
    if (next === previous) return;
    assert(!this.#dispatching, `${event} while the listeners are told of the last change`);
    this.#dispatching = true;
    this.#state = next;
    this.#operation++;
    this.#options.enter(next, previous);
    for (const listener of [...this.#listeners]) listener(next, previous);
    this.#dispatching = false;
    this.#options.settled();
  }

  /**
   * Begins the work of a transient state. `work` may ask whether it is still wanted. Its end is reported unless the
   * state has ended before.
   */
  begin(work: (wanted: () => boolean) => Promise<void>, ends: { done(): void; failed(thrown: unknown): void }): void {
    const mine = this.#operation;
    const wanted = (): boolean => this.#operation === mine;
    work(wanted).then(
      () => {
        if (wanted()) ends.done();
      },
      (thrown: unknown) => {
        if (wanted()) ends.failed(thrown);
      },
    );
  }
}

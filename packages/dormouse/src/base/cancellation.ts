/** Tells work that no client waits for it any more (the client hung up). Fires once, and cannot be undone. */
export class Cancellation {
  #cancelled = false;
  /** The first listener; hardly any request has a second. */
  #first: (() => void) | undefined;
  #others: Set<() => void> | undefined;

  get cancelled(): boolean {
    return this.#cancelled;
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    const first = this.#first;
    const others = this.#others;
    this.#first = undefined;
    this.#others = undefined;
    first?.();
    if (others) for (const listener of others) listener();
  }

  /** Calls `listener` once on cancellation (at once if already cancelled). The result removes the listener. */
  onCancel(listener: () => void): () => void {
    if (this.#cancelled) {
      listener();
      return () => {};
    }
    if (this.#first === undefined) {
      this.#first = listener;
      return () => {
        if (this.#first === listener) this.#first = undefined;
      };
    }
    this.#others ??= new Set();
    this.#others.add(listener);
    return () => this.#others?.delete(listener);
  }
}

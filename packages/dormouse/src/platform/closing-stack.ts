/** Closes resources in the reverse order of their opening, each once, and continues when a step fails. */
export class ClosingStack {
  readonly #steps: (() => void | Promise<void>)[] = [];

  /** Adds the step that closes the resource opened last. */
  push(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Runs every step, then throws the first failure if there was one. A second call does nothing. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** What was opened, closed in reverse order: once, and to the end even when a step fails. */
export class ClosingStack {
  readonly #steps: (() => void | Promise<void>)[] = [];

  /** Adds what closes the thing opened last. */
  push(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Runs every step; then throws the first failure, if there was one. Called again, it has nothing left to do. */
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

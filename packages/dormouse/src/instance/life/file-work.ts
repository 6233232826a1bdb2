import type { DormouseError } from '../../base/index.ts';

interface Entry {
  readonly yields: boolean;
  readonly aborter: AbortController;
}

/** Those who need the files of a stopped server to themselves. While there are any, it is not started. */
export class FileWork {
  readonly #entries = new Set<Entry>();

  get busy(): boolean {
    return this.#entries.size > 0;
  }

  /** Runs `work` once `stopped` has resolved. Those that `yield` are ended when somebody needs the server. */
  async run<T>(yields: boolean, stopped: () => Promise<void>, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const entry: Entry = { yields, aborter: new AbortController() };
    this.#entries.add(entry);
    try {
      await stopped();
      return await work(entry.aborter.signal);
    } finally {
      this.#entries.delete(entry);
    }
  }

  /** Asks those that yield to end. */
  yield(reason: DormouseError): void {
    for (const { yields, aborter } of this.#entries) if (yields) aborter.abort(reason);
  }

  end(reason: DormouseError): void {
    for (const { aborter } of this.#entries) aborter.abort(reason);
  }
}

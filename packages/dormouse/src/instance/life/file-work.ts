import type { DormouseError } from '../../base/index.ts';

interface Entry {
  readonly yields: boolean;
  readonly aborter: AbortController;
}

/** Work on the files of a stopped server. While any is under way, the server is not started. */
export class FileWork {
  readonly #entries = new Set<Entry>();

  get running(): boolean {
    return this.#entries.size > 0;
  }

  /** Runs `work` once `stopped` has resolved. Work that `yields` is asked to end when the server is needed. */
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

  /** Asks the work that yields to end. */
  yield(reason: DormouseError): void {
    for (const { yields, aborter } of this.#entries) if (yields) aborter.abort(reason);
  }

  /** Asks all work to end. */
  end(reason: DormouseError): void {
    for (const { aborter } of this.#entries) aborter.abort(reason);
  }
}

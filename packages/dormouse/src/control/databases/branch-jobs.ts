import { type DatabaseId, DormouseError, toDormouseError } from '../../base/index.ts';
import type { ForkResult } from '../../instance/index.ts';
import type { BranchProgress } from '../../management-api/index.ts';

/** Most branches whose outcome is kept for later questions. */
const ENDED_MAX = 64;

/** What the making of a branch listens to and reports. */
export interface BranchJob {
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

interface Running {
  readonly aborter: AbortController;
  progress: BranchProgress | null;
  done: Promise<unknown>;
}

/** The branches that are being made, and the outcomes of the latest ones. */
export class BranchJobs {
  readonly #running = new Map<DatabaseId, Running>();
  readonly #ended = new Map<DatabaseId, ForkResult | DormouseError>();

  /** Runs `work`, which makes the branch `id`. */
  async run(id: DatabaseId, work: (job: BranchJob) => Promise<ForkResult>): Promise<void> {
    const running: Running = { aborter: new AbortController(), progress: null, done: Promise.resolve() };
    const { signal } = running.aborter;
    this.#running.set(id, running);
    const made = work({
      signal,
      onProgress: (doneBytes, totalBytes) => {
        running.progress = { doneBytes, totalBytes };
      },
    });
    running.done = made.catch(() => {});
    try {
      this.#end(id, await made);
    } catch (thrown) {
      this.#end(id, toDormouseError(thrown));
      throw thrown;
    } finally {
      this.#running.delete(id);
    }
  }

  progressOf(id: DatabaseId): BranchProgress | null {
    return this.#running.get(id)?.progress ?? null;
  }

  /** The outcome of a recent branch; undefined for any other. Throws the error that a recent branch failed with. */
  resultOf(id: DatabaseId): ForkResult | undefined {
    const ended = this.#ended.get(id);
    if (ended instanceof DormouseError) throw ended;
    return ended;
  }

  /** Aborts the making of a branch and waits until nothing of it is left; false when `id` is not being made. */
  async abort(id: DatabaseId): Promise<boolean> {
    const running = this.#running.get(id);
    if (running === undefined) return false;
    running.aborter.abort(new DormouseError('database_deleted'));
    await running.done;
    return true;
  }

  #end(id: DatabaseId, how: ForkResult | DormouseError): void {
    this.#ended.set(id, how);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= ENDED_MAX) break;
      this.#ended.delete(oldest);
    }
  }
}

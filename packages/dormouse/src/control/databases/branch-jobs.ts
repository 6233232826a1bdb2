import { type DatabaseId, DormouseError, toDormouseError } from '../../base/index.ts';
import type { ForkResult } from '../../instance/index.ts';
import type { BranchProgress } from '../../management-api/index.ts';

/** How branches ended is told to who asks afterwards; of the last so many. */
const ENDED_MAX = 64;

/** A branch in the making. */
export interface BranchJob {
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

interface Running {
  readonly aborter: AbortController;
  progress: BranchProgress | null;
  done: Promise<unknown>;
}

/** The branches in the making, and how the last ones ended. */
export class BranchJobs {
  readonly #running = new Map<DatabaseId, Running>();
  readonly #ended = new Map<DatabaseId, ForkResult | DormouseError>();

  /** Runs `work` as the making of `id`. */
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

  /** How a branch was made, if that was not long ago. Throws what it failed with. */
  resultOf(id: DatabaseId): ForkResult | undefined {
    const ended = this.#ended.get(id);
    if (ended instanceof DormouseError) throw ended;
    return ended;
  }

  /** Ends a branch in the making and waits until nothing of it is left; false if it is none. */
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

import { type Clock, type DatabaseRecord, Deadline, DormouseError } from '../../base/index.ts';
import type { ForkResult, Runtime } from '../contract/index.ts';
import type { Controller } from '../life/index.ts';

export interface BranchOptions {
  /** Stops the source first if it is up, and copies its files. */
  readonly atRest?: boolean;
  /** The total is an estimate. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

interface BranchesOptions {
  readonly runtime: Runtime;
  readonly clock: Clock;
}

/** The database that is made. */
type Branch = Pick<DatabaseRecord, 'id' | 'throwAway'>;

/** Copies made at the same time: each reads and writes the disk at full speed. Further copies wait for their turn. */
const TOGETHER = 4;
/** A source that has to recover before it can be copied may take as long as any start. */
const SOURCE_START_MS = 5 * 60_000;

/** Makes branches, a bounded number at a time. */
export class Branches {
  readonly #runtime: Runtime;
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Set<Promise<unknown>>();

  constructor({ runtime, clock }: BranchesOptions) {
    this.#runtime = runtime;
    this.#clock = clock;
  }

  /** Makes the storage of a branch from `source`, when its turn has come. */
  async make(source: Controller, branch: Branch, options: BranchOptions): Promise<ForkResult> {
    if (
      branch.throwAway &&
      source.state === 'stopped' &&
      (await this.#runtime.readyCopies.take(source.databaseId, branch.id))
    )
      return { way: 'files', pausedMs: 0 };
    while (this.#running.size >= TOGETHER) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    options.signal?.throwIfAborted();
    const work = this.#make(source, branch, options).finally(() => {
      this.#running.delete(work);
      this.#waiting.shift()?.();
    });
    this.#running.add(work);
    return work;
  }

  /** Resolves when no copy is being made. The close of its source has asked each copy to end. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled([...this.#running]);
  }

  async #make(source: Controller, branch: Branch, options: BranchOptions): Promise<ForkResult> {
    const { atRest = false } = options;
    if (atRest || source.state === 'stopped') {
      const result = await this.#copyFiles(source, branch, options, !atRest);
      if (result !== 'yielded') {
        if (branch.throwAway) void this.#runtime.readyCopies.expectMore(source);
        return result;
      }
    }
    return this.#copyRunning(source, branch, options);
  }

  async #copyFiles(
    source: Controller,
    { id, throwAway }: Branch,
    { onProgress, signal }: BranchOptions,
    yields: boolean,
  ): Promise<ForkResult | 'yielded'> {
    return source.whileStopped(yields, async (ended) => {
      try {
        return await this.#runtime.fork({
          ...{ source: source.databaseId, server: source.server, running: false, id, throwAway, onProgress },
          signal: signal === undefined ? ended : AbortSignal.any([signal, ended]),
        });
      } catch (error) {
        // The source is needed: it starts, and is copied while it runs.
        if (ended.aborted && source.closed === undefined && signal?.aborted !== true) return 'yielded';
        throw error;
      }
    });
  }

  async #copyRunning(
    source: Controller,
    { id, throwAway }: Branch,
    { onProgress, signal }: BranchOptions,
  ): Promise<ForkResult> {
    const hold = await source.hold(Deadline.in(this.#clock, SOURCE_START_MS));
    try {
      signal?.throwIfAborted();
      return await this.#runtime.fork({
        ...{ source: source.databaseId, server: source.server, running: true, id, throwAway, onProgress, signal },
      });
    } catch (error) {
      if (source.closed !== undefined) throw new DormouseError(source.closed);
      throw error;
    } finally {
      hold.release();
    }
  }
}

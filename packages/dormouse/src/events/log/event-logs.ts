import { type Clock, DormouseError } from '../../base/index.ts';
import { ThreadCalls, threadFile } from '../../threads/index.ts';
import type { EventLog } from './event-log.ts';
import { FairQueue, type QueuedCall } from './fair-queue.ts';
import { HostedLog, type LogHost } from './hosted-log.ts';
import type { LogLimits } from './log-bounds.ts';
import {
  LOG_CALL_KINDS,
  type LogCallName,
  type LogCallParameters,
  type LogCallResult,
  type LogCalls,
  type LogFileName,
} from './log-calls.ts';

/**
 * Calls that the thread has at a time: the second lies ready when the first is done. A call that the thread does not
 * have yet can be taken out.
 */
const IN_THREAD_MAX = 2;
/**
 * Calls of one database that may wait: those of 100 live readers and as many other readers, and acknowledgements.
 */
const WAITING_MAX = 1000;

interface Job extends QueuedCall {
  /** Makes the call to the thread; settles once the caller has its result. */
  run(): Promise<void>;
  reject(error: unknown): void;
}

/**
 * The logs of one process: one worker thread for all of them, started with the first call. Databases take turns in the
 * thread.
 */
export class EventLogs implements LogHost {
  readonly #clock: Clock;
  readonly #turns = new FairQueue<Job>();
  readonly #thread = new ThreadCalls<LogCalls>({
    name: 'dormouse-events',
    file: threadFile('log-worker', import.meta.url),
  });
  /** Calls that the thread has. */
  #inThread = 0;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The log in this file; touches nothing until it is used. */
  open(path: string, limits: LogLimits): EventLog {
    return new HostedLog(this, this.#clock, { path, limits });
  }

  /**
   * Makes a call in the turn of the file's database. Fails as the call does, and with `queue_full`, `shutting_down`,
   * `database_deleted`, and the reason of a signal that fired before the thread began.
   */
  async call<Name extends LogCallName>(
    file: LogFileName,
    name: Name,
    parameters: LogCallParameters<Name>,
    signal?: AbortSignal,
  ): Promise<LogCallResult<Name>> {
    if (this.#closed) throw new DormouseError('shutting_down');
    signal?.throwIfAborted();
    if (this.#turns.waiting(file.path) >= WAITING_MAX) {
      throw new DormouseError('queue_full', {
        message: 'Too many readers of the events of this database wait already. Try again in a moment.',
      });
    }
    let leave: (() => void) | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const ask = (): Promise<LogCallResult<Name>> =>
          this.#thread.call(name, ...([file, ...parameters] as Parameters<LogCalls[Name]>));
        const job: Job = {
          ...{ owner: file.path, kind: LOG_CALL_KINDS[name], reject },
          run: () => ask().then(resolve, reject),
        };
        leave = () => {
          if (this.#turns.remove(job)) reject(signal?.reason);
        };
        signal?.addEventListener('abort', leave, { once: true });
        this.#turns.add(job);
        this.#fillThread();
      });
    } finally {
      if (leave !== undefined) signal?.removeEventListener('abort', leave);
    }
  }

  refuse(path: string, error: DormouseError): void {
    for (const { reject } of this.#turns.removeAll(path)) reject(error);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const error = new DormouseError('shutting_down');
    for (const { reject } of this.#turns.removeAll()) reject(error);
    await this.#thread.close();
  }

  /** Gives the thread the next calls, until it has as many as it may. */
  #fillThread(): void {
    while (this.#inThread < IN_THREAD_MAX) {
      const job = this.#turns.take();
      if (job === undefined) return;
      this.#inThread += 1;
      void job.run().finally(() => {
        this.#inThread -= 1;
        this.#fillThread();
      });
    }
  }
}

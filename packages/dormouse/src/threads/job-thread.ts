import type { MessagePort, Worker } from 'node:worker_threads';
import { type Clock, type Deadline, DormouseError, type Logger, type Timer } from '../base/index.ts';
import { startThread } from './start-thread.ts';
import { ownKernelId, threadCpuMs } from './thread-cpu.ts';

/** What a thread answers to a job. `memoryBytes`: the size of the thread's WebAssembly memory by now. */
export type JobAnswer = { readonly memoryBytes: number } & (
  | { readonly result: unknown }
  | { readonly failure: Failure }
);

/** A job as it goes to the thread, and the thread's reply. */
type NumberedJob<Job> = Job & { readonly id: number };
type JobReply = JobAnswer & { readonly id: number };

export interface Failure {
  /**
   * `refused`: the job itself is at fault. `missing`: the thread lacks something that the job needs. `panic`: the
   * thread is broken.
   */
  readonly reason: 'refused' | 'missing' | 'panic';
  readonly message: string;
  readonly code?: string | undefined;
  readonly meta?: unknown;
}

/** A job ended without a result. `deadline`: the job outlasted its limit, and its thread was ended. */
export class JobFailed extends Error {
  override readonly name = 'JobFailed';
  readonly reason: Failure['reason'] | 'deadline';
  readonly code: string | undefined;
  readonly meta: unknown;

  constructor(failure: Omit<Failure, 'reason'> & { readonly reason: JobFailed['reason'] }) {
    super(failure.message);
    this.reason = failure.reason;
    this.code = failure.code;
    this.meta = failure.meta;
  }
}

export interface JobThreadOptions {
  readonly name: string;
  /** The built JavaScript file of the thread, which calls {@link answerJobs}. */
  readonly file: string;
  /** Makes the data that every thread starts with; called once. */
  readonly prepare: () => Promise<object>;
  readonly clock: Clock;
  readonly log: Logger;
  /** A thread whose memory has grown beyond this is replaced: WebAssembly memory never shrinks. */
  readonly memoryBytesMax: number;
  readonly heapMbMax: number;
  /** Jobs that may wait. */
  readonly waitingMax: number;
  /** What a caller is told whose job was not done in time, or was refused because too many wait. */
  readonly messages: { readonly late: string; readonly full: string };
  /** The thread is ended after it has been idle for this long; absent: it is kept. */
  readonly idleMs?: number;
  /**
   * What the limits of jobs count: processor time of the thread, where the thread has posted its kernel id and the
   * kernel tells its processor time; else elapsed time.
   */
  readonly limits?: 'processor time';
}

/** A job under a limit of processor time may take this many times the limit, on a machine that is busy otherwise. */
const BUSY_FACTOR = 10;
/** The shortest time between two checks of a job's processor time. */
const LOOK_MS_MIN = 100;

interface Waiting<Job> {
  readonly job: Job;
  readonly limitMs: number;
  /** Told how long the job ran, however it ended. */
  readonly ran: ((ms: number) => void) | undefined;
  /** Fires at the caller's deadline. */
  expiry: Timer | undefined;
  /** The caller has its answer: a job that has not begun is not run any more. */
  settled: boolean;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

interface Running<Job> {
  readonly id: number;
  readonly waiting: Waiting<Job>;
  timer: Timer;
  readonly sinceMs: number;
  /** The thread's processor time when the job began. */
  readonly cpuMs: number | undefined;
}

/**
 * One worker thread that runs one job at a time, each under a limit of time (or of processor time); owners take turns.
 * When a job breaks the thread, outlasts its limit or makes the thread too large, the thread is ended, and the next job
 * starts another one. Only that job fails. A caller's deadline is something else: it ends the caller's wait, never the
 * thread, which runs jobs of other callers.
 */
export class JobThread<Job extends object> {
  readonly #options: JobThreadOptions;
  /** Jobs that wait: one queue per owner, in the order of the owners' turns. */
  readonly #queues = new Map<string, Waiting<Job>[]>();
  #waiting = 0;
  #prepared: Promise<object> | undefined;
  #worker: Promise<Worker> | undefined;
  #running: Running<Job> | undefined;
  #idle: Timer | undefined;
  /** The thread's id in the kernel. */
  #kernelId: number | undefined;
  #busy = false;
  #jobs = 0;
  #closed = false;

  constructor(options: JobThreadOptions) {
    this.#options = options;
  }

  /**
   * Runs a job in its owner's turn, for at most `limitMs` once the job has begun; `ran` is told how long the job ran.
   * Throws {@link JobFailed}, `queue_full`, `query_timeout` (the job is not done at `deadline`), `shutting_down`.
   */
  submit(owner: string, job: Job, deadline: Deadline, limitMs: number, ran?: (ms: number) => void): Promise<unknown> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    if (this.#waiting >= this.#options.waitingMax && !this.#makeRoomFor(owner)) return Promise.reject(this.#full());
    return new Promise((resolve, reject) => {
      const waiting: Waiting<Job> = { job, limitMs, ran, expiry: undefined, settled: false, resolve, reject };
      const leftMs = deadline.remainingMs();
      if (leftMs < Number.POSITIVE_INFINITY) {
        waiting.expiry = this.#options.clock.after(Math.ceil(leftMs), () => {
          settle(waiting, () => reject(new DormouseError('query_timeout', { message: this.#options.messages.late })));
        });
      }
      this.#enqueue(owner, [waiting]);
    });
  }

  /**
   * Refuses the last job of the owner with the longest queue, if that is another owner: the owner that fills the queue
   * is refused, not the one that comes when it is full.
   */
  #makeRoomFor(owner: string): boolean {
    let longest: Waiting<Job>[] = this.#queues.get(owner) ?? [];
    const own = longest.length + 1;
    for (const queue of this.#queues.values()) if (queue.length > longest.length) longest = queue;
    if (longest.length <= own) return false;
    const last = longest.pop();
    if (last === undefined) return false;
    this.#waiting--;
    settle(last, () => last.reject(this.#full()));
    return true;
  }

  #full(): DormouseError {
    return new DormouseError('queue_full', { message: this.#options.messages.full });
  }

  /** Gives an owner's waiting jobs to another thread. */
  handOver(owner: string, to: JobThread<Job>): void {
    const queue = this.#queues.get(owner);
    if (queue === undefined) return;
    this.#queues.delete(owner);
    this.#waiting -= queue.length;
    to.#enqueue(owner, queue);
  }

  #enqueue(owner: string, waiting: readonly Waiting<Job>[]): void {
    const queue = this.#queues.get(owner);
    if (queue === undefined) this.#queues.set(owner, [...waiting]);
    else queue.push(...waiting);
    this.#waiting += waiting.length;
    this.#next();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#idle?.cancel();
    const waiting = [...this.#queues.values()].flat();
    if (this.#running !== undefined) waiting.push(this.#running.waiting);
    this.#queues.clear();
    this.#running?.timer.cancel();
    this.#running = undefined;
    for (const each of waiting) settle(each, () => each.reject(new DormouseError('shutting_down')));
    await this.#end();
  }

  /** Starts the next job, if none runs: the first job of the owner whose turn it is. */
  #next(): void {
    if (this.#busy || this.#closed) return;
    for (const [owner, queue] of this.#queues) {
      const wanted = queue.findIndex(({ settled }) => !settled);
      const taken = queue.splice(0, wanted < 0 ? queue.length : wanted + 1);
      this.#waiting -= taken.length;
      // The owner goes to the end of the order, or leaves it if it has no more jobs.
      this.#queues.delete(owner);
      if (queue.length > 0) this.#queues.set(owner, queue);
      const waiting = wanted < 0 ? undefined : taken.at(-1);
      if (waiting === undefined) continue;
      this.#busy = true;
      this.#idle?.cancel();
      void this.#run(waiting);
      return;
    }
    const { idleMs, clock } = this.#options;
    if (idleMs === undefined || this.#worker === undefined) return;
    this.#idle?.cancel();
    this.#idle = clock.after(idleMs, () => void this.#end());
  }

  async #run(waiting: Waiting<Job>): Promise<void> {
    let worker: Worker;
    try {
      worker = await this.#started();
    } catch (cause) {
      this.#done(waiting, () => waiting.reject(new DormouseError('internal', { cause })));
      return;
    }
    if (this.#closed) {
      settle(waiting, () => waiting.reject(new DormouseError('shutting_down')));
      return;
    }
    if (waiting.settled) {
      this.#done(waiting, () => {});
      return;
    }
    const { clock } = this.#options;
    const timer = clock.after(waiting.limitMs, () => this.#late(waiting));
    this.#running = { id: ++this.#jobs, waiting, timer, sinceMs: clock.monotonic(), cpuMs: this.#cpuMs() };
    const job: NumberedJob<Job> = { ...waiting.job, id: this.#running.id };
    worker.postMessage(job);
  }

  /** The time of a job is up. Under a limit of processor time the job goes on if it has not used that much. */
  #late(waiting: Waiting<Job>): void {
    const running = this.#running;
    if (running?.waiting !== waiting) return;
    const { clock } = this.#options;
    const { limitMs } = waiting;
    const cpuMs = this.#cpuMs();
    if (cpuMs !== undefined && running.cpuMs !== undefined) {
      const leftMs = limitMs - (cpuMs - running.cpuMs);
      if (leftMs > 0 && clock.monotonic() - running.sinceMs < limitMs * BUSY_FACTOR) {
        running.timer = clock.after(Math.max(leftMs, LOOK_MS_MIN), () => this.#late(waiting));
        return;
      }
    }
    this.#replace('a job outlasted its deadline');
    this.#fail(waiting, new JobFailed({ reason: 'deadline', message: `it took longer than ${limitMs} ms` }));
  }

  #cpuMs(): number | undefined {
    const { limits } = this.#options;
    return limits === undefined || this.#kernelId === undefined ? undefined : threadCpuMs(this.#kernelId);
  }

  #answered(reply: JobReply): void {
    const running = this.#running;
    if (running === undefined || running.id !== reply.id) return;
    if (reply.memoryBytes > this.#options.memoryBytesMax) this.#replace('its memory has grown');
    if ('failure' in reply) {
      if (reply.failure.reason === 'panic') this.#replace(reply.failure.message);
      this.#fail(running.waiting, new JobFailed(reply.failure));
      return;
    }
    this.#ended(running);
    this.#done(running.waiting, () => running.waiting.resolve(reply.result));
  }

  #fail(waiting: Waiting<Job>, error: Error): void {
    if (this.#running?.waiting !== waiting) return;
    this.#ended(this.#running);
    this.#done(waiting, () => waiting.reject(error));
  }

  #ended({ timer, waiting, sinceMs }: Running<Job>): void {
    timer.cancel();
    this.#running = undefined;
    waiting.ran?.(this.#options.clock.monotonic() - sinceMs);
  }

  #done(waiting: Waiting<Job>, tell: () => void): void {
    this.#busy = false;
    settle(waiting, tell);
    this.#next();
  }

  #replace(reason: string): void {
    this.#options.log.log('warn', 'a thread is replaced', { thread: this.#options.name, reason });
    void this.#end();
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.then(
      (started) => started.terminate(),
      () => undefined,
    );
  }

  #started(): Promise<Worker> {
    this.#worker ??= this.#start().catch((error: unknown) => {
      this.#worker = undefined;
      throw error;
    });
    return this.#worker;
  }

  async #start(): Promise<Worker> {
    const { file, name, heapMbMax, prepare } = this.#options;
    this.#prepared ??= prepare();
    const onReady = (message: unknown): void => {
      this.#kernelId = typeof message === 'number' ? message : undefined;
    };
    const worker = await startThread({ name, file, data: await this.#prepared, heapMbMax, onReady });
    worker.on('message', (reply: JobReply) => this.#answered(reply));
    worker.on('error', (error) => this.#broke(worker, error));
    worker.on('exit', () => this.#broke(worker, new Error('the thread ended')));
    return worker;
  }

  /** The thread ended by itself, for example because its heap was full: the job that it had fails. */
  #broke(worker: Worker, error: Error): void {
    void this.#worker?.then((current) => {
      if (current !== worker) return;
      const running = this.#running;
      this.#replace(error.message);
      if (running !== undefined)
        this.#fail(running.waiting, new JobFailed({ reason: 'panic', message: error.message }));
    });
  }
}

/** Answers the caller, once. */
function settle(waiting: Waiting<object>, tell: () => void): void {
  if (waiting.settled) return;
  waiting.settled = true;
  waiting.expiry?.cancel();
  tell();
}

/** The thread's side of {@link JobThread}: tells that the thread is ready, then answers each job. */
export function answerJobs<Job extends object>(port: MessagePort, answer: (job: Job) => JobAnswer): void {
  port.on('message', (job: NumberedJob<Job>) => {
    const reply: JobReply = { ...answer(job), id: job.id };
    port.postMessage(reply);
  });
  port.postMessage(ownKernelId() ?? 'ready');
}

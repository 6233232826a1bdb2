import type { Worker } from 'node:worker_threads';
import { type Clock, DormouseError, type Logger, type Timer } from '../../base/index.ts';
import { startThread } from '../../threads/index.ts';
import type { LargeBodyJob } from './large-body-job.ts';
import type { FromThread, LargeBodyThreadData } from './large-body-protocol.ts';

/**
 * Threads at most, and so databases whose requests with large bodies run at the same time: each thread may come to take
 * a gigabyte.
 */
const THREADS_MAX = 3;
/**
 * Requests of one database that its thread works on at the same time: more than the database has connections, so that
 * no request waits for this bound alone.
 */
const JOBS_MAX = 32;
/** Bytes of bodies that may wait for a thread, of all databases together. */
const WAITING_BYTES_MAX = 256 * 2 ** 20;
/** A thread without work ends after this long: a start takes some 200 ms. */
const IDLE_MS = 30_000;
/** JavaScript heap of a thread, in MB: enough for a body of 16 MiB in its densest form, and its plan. */
const HEAP_MB_MAX = 512;
/** A thread whose compiler has grown beyond this is replaced: WebAssembly memory never shrinks. */
const COMPILER_BYTES_MAX = 256 * 2 ** 20;

export interface LargeBodyThreadsOptions {
  /** The built JavaScript file of the thread. */
  readonly file: string;
  /** Makes the data that a thread starts with. Called once. */
  readonly prepare: () => Promise<LargeBodyThreadData>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The part of a job that the threads use. */
export type Job = Pick<
  LargeBodyJob,
  'id' | 'bytes' | 'urgent' | 'reply' | 'ended' | 'begin' | 'take' | 'done' | 'lost'
>;

/** A database that has requests with large bodies. */
interface Owner {
  readonly name: string;
  readonly waiting: Job[];
  thread: LargeBodyThread | undefined;
}

interface LargeBodyThread {
  readonly worker: Promise<Worker>;
  /** The database that the thread belongs to. */
  owner: Owner | undefined;
  readonly jobs: Map<number, Job>;
  /** The thread takes no new requests. */
  isWorn: boolean;
  idle: Timer | undefined;
}

function queueFull(): DormouseError {
  const message = 'Too many large queries wait for their turn. Send fewer at a time, or smaller ones.';
  return new DormouseError('queue_full', { message });
}

function waitingBytesOf(owner: Owner | undefined): number {
  let bytes = 0;
  for (const job of owner?.waiting ?? []) bytes += job.bytes;
  return bytes;
}

/**
 * Threads for requests with large bodies. A thread belongs to one database while it has requests of that database:
 * whatever the requests do to the thread, they do to their own database. While another database waits for a thread, a
 * database that has one begins no further requests there.
 */
export class LargeBodyThreads {
  readonly #options: LargeBodyThreadsOptions;
  readonly #threads = new Set<LargeBodyThread>();
  /** The databases with requests, in the order of their turns. */
  readonly #owners = new Map<string, Owner>();
  #prepared: Promise<LargeBodyThreadData> | undefined;
  #waitingBytes = 0;
  #closed = false;

  constructor(options: LargeBodyThreadsOptions) {
    this.#options = options;
  }

  /** Takes a job, whose `reply` settles whatever becomes of it. Throws `queue_full` and `shutting_down`. */
  submit(name: string, job: Job): void {
    if (this.#closed) throw new DormouseError('shutting_down');
    if (!this.#makeRoom(name, job.bytes)) throw queueFull();
    let owner = this.#owners.get(name);
    if (owner === undefined) {
      owner = { name, waiting: [], thread: undefined };
      this.#owners.set(name, owner);
    }
    // A job of an open transaction goes first: the others may wait for locks that its transaction holds.
    if (job.urgent) owner.waiting.unshift(job);
    else owner.waiting.push(job);
    this.#waitingBytes += job.bytes;
    const { waiting } = owner;
    const leave = (): void => this.#leave(waiting, job);
    job.reply.then(leave, leave);
    this.#pump();
  }

  /**
   * Makes room for a request: the database with the most waiting bytes loses its last requests, if it has more bytes
   * than this database would have.
   */
  #makeRoom(name: string, bytes: number): boolean {
    while (this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
      let largest: Owner | undefined;
      let most = bytes + waitingBytesOf(this.#owners.get(name));
      for (const owner of this.#owners.values()) {
        if (owner.name === name || owner.waiting.length < 2 || waitingBytesOf(owner) <= most) continue;
        largest = owner;
        most = waitingBytesOf(owner);
      }
      const job = largest?.waiting.pop();
      if (job === undefined) return false;
      this.#waitingBytes -= job.bytes;
      job.lost(queueFull());
    }
    return true;
  }

  /** Removes a job that ended before it began, so that its body counts no more. */
  #leave(waiting: Job[], job: Job): void {
    const at = waiting.indexOf(job);
    if (at === -1) return;
    waiting.splice(at, 1);
    this.#waitingBytes -= job.bytes;
    this.#pump();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { waiting } of this.#owners.values()) {
      for (const job of waiting.splice(0)) job.lost(new DormouseError('shutting_down'));
    }
    await Promise.all([...this.#threads].map((thread) => this.#drop(thread, new DormouseError('shutting_down'))));
  }

  /** Begins the jobs that may begin. */
  #pump(): void {
    if (this.#closed) return;
    for (const owner of [...this.#owners.values()]) {
      this.#skipEnded(owner);
      if (owner.waiting.length > 0) owner.thread ??= this.#threadFor(owner);
      else if (owner.thread === undefined) this.#owners.delete(owner.name);
    }
    for (const owner of this.#owners.values()) {
      const { thread } = owner;
      if (thread === undefined) continue;
      for (
        let job = owner.waiting[0];
        job !== undefined && this.#mayBegin(thread, owner, job);
        job = owner.waiting[0]
      ) {
        owner.waiting.shift();
        this.#waitingBytes -= job.bytes;
        this.#begin(thread, job);
        this.#skipEnded(owner);
      }
    }
  }

  #mayBegin(thread: LargeBodyThread, owner: Owner, job: Job): boolean {
    if (job.urgent) return true;
    if (thread.isWorn) return false;
    return thread.jobs.size === 0 || (thread.jobs.size < JOBS_MAX && !this.#othersWait(owner));
  }

  #skipEnded({ waiting }: Owner): void {
    for (let job = waiting[0]; job?.ended === true; job = waiting[0]) {
      waiting.shift();
      this.#waitingBytes -= job.bytes;
    }
  }

  #othersWait(than: Owner): boolean {
    for (const owner of this.#owners.values()) {
      if (owner !== than && owner.thread === undefined && owner.waiting.length > 0) return true;
    }
    return false;
  }

  /** A thread without a database, or a new one; undefined if there are too many threads. */
  #threadFor(owner: Owner): LargeBodyThread | undefined {
    let free: LargeBodyThread | undefined;
    for (const thread of this.#threads) if (thread.owner === undefined && !thread.isWorn) free = thread;
    if (free === undefined) {
      if (this.#threads.size >= THREADS_MAX) return undefined;
      free = { worker: this.#start(), owner, jobs: new Map(), isWorn: false, idle: undefined };
      const started = free;
      this.#threads.add(started);
      started.worker.then(
        (worker) => this.#listen(started, worker),
        (cause) => this.#drop(started, new DormouseError('internal', { cause })),
      );
    }
    free.idle?.cancel();
    free.owner = owner;
    return free;
  }

  #begin(thread: LargeBodyThread, job: Job): void {
    thread.jobs.set(job.id, job);
    const ended = (): void => this.#jobEnded(thread, job);
    job.reply.then(ended, ended);
    const kill = (reason: string): void => {
      this.#options.log.log('warn', 'a thread for large queries is ended', { reason });
      void this.#drop(thread, broughtDown());
    };
    const begin = (worker: Worker): void => {
      if (!job.ended) job.begin({ post: (message, transfer) => worker.postMessage(message, transfer), kill });
    };
    // A thread that did not start was dropped, and its jobs with it.
    thread.worker.then(begin).catch((cause: unknown) => job.lost(new DormouseError('internal', { cause })));
  }

  #jobEnded(thread: LargeBodyThread, job: Job): void {
    thread.jobs.delete(job.id);
    const { owner } = thread;
    if (thread.jobs.size === 0 && this.#threads.has(thread) && owner !== undefined) {
      if (thread.isWorn) {
        void this.#drop(thread, broughtDown());
      } else if (owner.waiting.length === 0 || this.#othersWait(owner)) {
        this.#release(thread, owner);
        thread.idle = this.#options.clock.after(IDLE_MS, () => void this.#drop(thread, broughtDown()));
      }
    }
    this.#pump();
  }

  /** Takes the thread from its database, which goes to the end of the line. */
  #release(thread: LargeBodyThread, owner: Owner): void {
    thread.owner = undefined;
    owner.thread = undefined;
    this.#owners.delete(owner.name);
    if (owner.waiting.length > 0) this.#owners.set(owner.name, owner);
  }

  #listen(thread: LargeBodyThread, worker: Worker): void {
    worker.on('message', (message: FromThread) => {
      const job = thread.jobs.get(message.job);
      if (message.from !== 'done') {
        job?.take(message);
        return;
      }
      if (message.broken || message.memoryBytes > COMPILER_BYTES_MAX) thread.isWorn = true;
      job?.done(message);
    });
    const gone = (cause: Error): void => {
      if (!this.#threads.has(thread)) return;
      this.#options.log.log('warn', 'a thread for large queries has ended', { cause });
      void this.#drop(thread, tooLarge(cause));
    };
    worker.on('error', gone);
    worker.on('exit', () => gone(new Error('the thread ended')));
  }

  /** Ends a thread. The jobs that it works on fail. */
  async #drop(thread: LargeBodyThread, error: DormouseError): Promise<void> {
    if (!this.#threads.delete(thread)) return;
    thread.idle?.cancel();
    if (thread.owner !== undefined) this.#release(thread, thread.owner);
    for (const job of thread.jobs.values()) job.lost(error);
    await thread.worker.then(
      (worker) => worker.terminate(),
      () => undefined,
    );
    this.#pump();
  }

  async #start(): Promise<Worker> {
    const { file, prepare } = this.#options;
    this.#prepared ??= prepare();
    return startThread({ name: 'dormouse-large-body', file, data: await this.#prepared, heapMbMax: HEAP_MB_MAX });
  }
}

function broughtDown(): DormouseError {
  const message = 'Another large query of this database ended the thread that ran this one.';
  return new DormouseError('interrupted', { message });
}

function tooLarge(cause: Error): DormouseError {
  return new DormouseError('query_invalid', {
    message:
      'The query outgrew the memory of the thread that ran it, or another large one of this database did. Make it smaller.',
    cause,
  });
}

import type { MessagePort, Worker } from 'node:worker_threads';
import { DormouseError, type ErrorCode } from '../base/index.ts';
import { spawnThread } from './start-thread.ts';

/**
 * The calls that a thread answers, declared once as a type: each call's name with its parameters and its result. Both
 * sides are derived from that type: {@link ThreadCalls} for the thread that asks, {@link answerCalls} for the thread
 * that answers. Parameters and results are copied by structured clone.
 */
export type CallTable = Readonly<Record<string, (...parameters: never[]) => unknown>>;

interface Call {
  readonly id: number;
  readonly name: string;
  readonly parameters: readonly unknown[];
}

type Reply = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly failure: CallFailure };

/** An error as it crosses between threads. */
interface CallFailure {
  readonly code: ErrorCode;
  /** Undefined: the message that the code has by itself. */
  readonly message: string | undefined;
  readonly cause: string;
}

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: DormouseError) => void;
}

export interface ThreadCallsOptions {
  readonly name: string;
  /** The built JavaScript file of the thread, which calls {@link answerCalls}. */
  readonly file: string;
}

/**
 * A worker thread that is asked by calls. The thread starts with the first call and keeps no process alive. When the
 * thread ends by itself, the calls that it had fail with `internal`, and the next call starts another thread.
 */
export class ThreadCalls<Calls extends CallTable> {
  readonly #options: ThreadCallsOptions;
  readonly #pending = new Map<number, PendingCall>();
  #worker: Worker | undefined;
  #calls = 0;
  #closed = false;

  constructor(options: ThreadCallsOptions) {
    this.#options = options;
  }

  /** Rejects with the error that the thread threw, `internal` if the thread ended, `shutting_down` once closed. */
  call<Name extends keyof Calls & string>(
    name: Name,
    ...parameters: Parameters<Calls[Name]>
  ): Promise<ReturnType<Calls[Name]>> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    this.#worker ??= this.#start();
    const call: Call = { id: ++this.#calls, name, parameters };
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      worker.postMessage(call);
      this.#pending.set(call.id, { resolve: (result) => resolve(result as ReturnType<Calls[Name]>), reject });
    });
  }

  /** Ends the thread; calls without a reply fail with `shutting_down`. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    this.#rejectAll(new DormouseError('shutting_down'));
    await worker?.terminate();
  }

  #start(): Worker {
    const { name } = this.#options;
    const worker = spawnThread(this.#options);
    worker.on('message', (reply: Reply) => {
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if ('failure' in reply) pending?.reject(errorOf(reply.failure));
      else pending?.resolve(reply.result);
    });
    const ended = (cause: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#rejectAll(new DormouseError('internal', { cause }));
    };
    worker.on('error', ended);
    worker.on('exit', (code) => ended(`the thread ${name} ended with ${code}`));
    return worker;
  }

  #rejectAll(error: DormouseError): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }
}

/**
 * Answers the calls that come in on `port`, one after the other. `codeOf` gives the code under which an error of an
 * answer reaches the caller.
 */
export function answerCalls<Calls extends CallTable>(
  port: MessagePort,
  answers: Calls,
  codeOf: (error: unknown) => ErrorCode,
): void {
  port.on('message', ({ id, name, parameters }: Call) => {
    const answer = answers[name] as (...parameters: readonly unknown[]) => unknown;
    let reply: Reply;
    try {
      reply = { id, result: answer(...parameters) };
    } catch (error) {
      const message = error instanceof DormouseError ? error.message : undefined;
      reply = { id, failure: { code: codeOf(error), message, cause: String(error) } };
    }
    port.postMessage(reply);
  });
}

function errorOf({ code, message, cause }: CallFailure): DormouseError {
  return new DormouseError(code, message === undefined ? { cause } : { message, cause });
}

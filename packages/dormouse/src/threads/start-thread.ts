import { Worker } from 'node:worker_threads';

export interface ThreadOptions {
  readonly name: string;
  /** The built JavaScript file of the thread. */
  readonly file: string;
  /** What the thread finds as its `workerData`. */
  readonly data?: object;
  readonly heapMbMax?: number;
}

/** Starts a worker thread, which keeps no process alive. */
export function spawnThread({ name, file, data, heapMbMax }: ThreadOptions): Worker {
  const worker = new Worker(file, {
    name,
    workerData: data,
    ...(heapMbMax === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapMbMax } }),
  });
  worker.unref();
  return worker;
}

export interface ThreadStart extends ThreadOptions {
  /** Receives the message that the thread posts when it is ready. */
  readonly onReady?: (message: unknown) => void;
}

/**
 * Starts a thread that posts one message when it is ready, and returns then. Rejects if the thread ends or fails before
 * it is ready.
 */
export async function startThread({ onReady, ...options }: ThreadStart): Promise<Worker> {
  const worker = spawnThread(options);
  await new Promise<void>((resolve, reject) => {
    // Not removeAllListeners: that would also remove the Worker's own listeners, by which it receives messages.
    const settle = (error?: Error): void => {
      worker.off('message', ready).off('error', settle).off('exit', ended);
      if (error === undefined) resolve();
      else reject(error);
    };
    const ready = (message: unknown): void => {
      onReady?.(message);
      settle();
    };
    const ended = (code: number): void => settle(new Error(`the thread ended with ${code}`));
    worker.on('message', ready).on('error', settle).on('exit', ended);
  });
  return worker;
}

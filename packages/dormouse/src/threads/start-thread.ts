import { Worker } from 'node:worker_threads';

export interface ThreadStart {
  readonly name: string;
  /** The built JavaScript file of the thread. It posts one message when it is ready. */
  readonly file: string;
  readonly data: object;
  readonly heapMbMax: number;
  /** Given what the thread posts when it is ready. */
  readonly onReady?: (message: unknown) => void;
}

/**
 * Starts a worker thread, which keeps no process alive, and returns when it is ready. Rejects if it ends or fails
 * before.
 */
export async function startThread({ name, file, data, heapMbMax, onReady }: ThreadStart): Promise<Worker> {
  const worker = new Worker(file, {
    name,
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: heapMbMax },
  });
  worker.unref();
  await new Promise<void>((resolve, reject) => {
    // Not removeAllListeners: it takes those by which a Worker receives at all.
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

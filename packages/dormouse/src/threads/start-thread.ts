import { Worker } from 'node:worker_threads';

export interface ThreadStart {
  readonly name: string;
  /** The built JavaScript file of the thread, which posts one message when it is ready. */
  readonly file: string;
  readonly data: object;
  readonly heapMbMax: number;
  /** Receives the message that the thread posts when it is ready. */
  readonly onReady?: (message: unknown) => void;
}

/**
 * Starts a worker thread and returns when the thread is ready. The thread keeps no process alive. Rejects if the thread
 * ends or fails before it is ready.
 */
export async function startThread({ name, file, data, heapMbMax, onReady }: ThreadStart): Promise<Worker> {
  const worker = new Worker(file, {
    name,
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: heapMbMax },
  });
  worker.unref();
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

/** The entry point of a thread for requests with large bodies. */
import { parentPort, workerData } from 'node:worker_threads';
import type { LargeBodyThreadData, ToThread } from './large-body-protocol.ts';
import { LargeBodyService } from './large-body-service.ts';

const port = parentPort;
if (port !== null) {
  const service = new LargeBodyService(workerData as LargeBodyThreadData, (message, transfer) =>
    port.postMessage(message, transfer),
  );
  port.on('message', (message: ToThread) => service.take(message));
  port.postMessage('ready');
}

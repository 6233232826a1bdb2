import { readlinkSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

// A thread for jobs that keep the processor busy for a while, or sleep for it.

parentPort.on('message', ({ id, spins, ms }) => {
  const until = performance.now() + ms;
  if (spins) while (performance.now() < until);
  else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  parentPort.postMessage({ id, memoryBytes: 0, result: 'done' });
});
let kernelId;
try {
  kernelId = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
} catch {
  kernelId = 'ready';
}
parentPort.postMessage(kernelId);

import { parentPort, threadId } from 'node:worker_threads';

// A thread for large queries that does what the request says: it answers after a while, breaks, or ends.

parentPort.on('message', ({ to, job, request }) => {
  if (to !== 'begin') return;
  parentPort.postMessage({ from: 'begun', job });
  setTimeout(() => {
    if (request.how === 'exit') process.exit(1);
    const body = new TextEncoder().encode(String(threadId));
    const outcome = { reply: { status: 200, headers: {}, body } };
    const counts = { compileMs: undefined, sqlMs: undefined, byProgram: 0, handedOver: 0, memoryBytes: 0 };
    parentPort.postMessage({ from: 'done', job, outcome, ...counts, broken: request.how === 'break' });
  }, request.ms);
});
parentPort.postMessage('ready');

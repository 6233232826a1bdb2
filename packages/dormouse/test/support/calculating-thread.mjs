import { parentPort } from 'node:worker_threads';
import { DormouseError } from '../../dist/base/index.js';
import { answerCalls } from '../../dist/threads/index.js';

// A thread that answers the calls of thread-calls.test.ts.

answerCalls(
  parentPort,
  {
    add: (one, two) => BigInt(one) + two,
    refuse(code, message) {
      throw new DormouseError(code, { message });
    },
    fail() {
      throw new Error('no room');
    },
    hang: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
    exit: () => process.exit(3),
  },
  (error) => (error instanceof DormouseError ? error.code : 'disk_full'),
);

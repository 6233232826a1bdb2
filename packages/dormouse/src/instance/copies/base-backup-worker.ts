import { parentPort, workerData } from 'node:worker_threads';
import { connectSocket } from '../../session/index.ts';
import type { BackupOrder, BackupReport } from './base-backup-protocol.ts';
import { streamBackup } from './base-backup-stream.ts';
import { TreeWriter } from './tree-writer.ts';

// The thread of one backup: gigabytes may pass through it, and the platform's main thread has queries to answer.

/** How often progress is reported. */
const PROGRESS_MS = 100;

const order = workerData as BackupOrder;
const report = (message: BackupReport): void => parentPort?.postMessage(message);

const { endpoint } = order;
const into = new TreeWriter(order.directory, order.owner);
let toldMs = 0;
try {
  await streamBackup({
    socket: connectSocket(endpoint),
    user: order.user,
    slot: order.slot,
    into,
    onProgress(doneBytes, totalBytes) {
      const nowMs = performance.now();
      if (nowMs - toldMs < PROGRESS_MS) return;
      toldMs = nowMs;
      report({ kind: 'progress', doneBytes, totalBytes });
    },
  });
  report({ kind: 'done', doneBytes: into.bytes });
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  report({ kind: 'failed', code, message });
} finally {
  into.close();
}

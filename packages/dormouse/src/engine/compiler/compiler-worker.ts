/** The worker thread of Prisma's query compiler. JobThread (src/threads/) starts, bounds and replaces it. */
import { parentPort, workerData } from 'node:worker_threads';
import type { JobReply, NumberedJob } from '../../threads/index.ts';
import type { CompilerJob, CompilerModule } from './compiler-protocol.ts';
import { QueryCompilers } from './query-compilers.ts';

const port = parentPort;
if (port !== null) {
  const compilers = await QueryCompilers.open(workerData as CompilerModule);
  port.on('message', (job: NumberedJob<CompilerJob>) => {
    const outcome = compilers.compile(job);
    const reply: JobReply = { id: job.id, memoryBytes: compilers.memoryBytes, ...outcome };
    port.postMessage(reply);
  });
  port.postMessage('ready');
}

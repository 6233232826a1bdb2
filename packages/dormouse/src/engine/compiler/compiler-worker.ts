/** The worker thread of Prisma's query compiler. JobThread (src/threads/) starts, bounds and replaces it. */
import { parentPort, workerData } from 'node:worker_threads';
import { answerJobs } from '../../threads/index.ts';
import type { CompilerJob, CompilerModule } from './compiler-protocol.ts';
import { QueryCompilers } from './query-compilers.ts';

if (parentPort !== null) {
  const compilers = await QueryCompilers.open(workerData as CompilerModule);
  answerJobs<CompilerJob>(parentPort, (job) => {
    const outcome = compilers.compile(job);
    return { memoryBytes: compilers.memoryBytes, ...outcome };
  });
}

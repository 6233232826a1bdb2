/**
 * Owns: worker threads: the path of a built worker file, the start of a thread, typed calls to a thread, and jobs for
 *   one thread with turns, time limits and restarts.
 * Never: knows what a call or a job means.
 * Limits: memory of a thread's heap, time of one job, jobs that wait.
 * Fails with: `JobFailed`; `queue_full`, `query_timeout` and `shutting_down` for jobs that were not run; the thread's
 *   own error, `internal` and `shutting_down` for calls.
 */
export { answerJobs, type Failure, type JobAnswer, JobFailed, JobThread } from './job-thread.ts';
export { spawnThread, startThread } from './start-thread.ts';
export { answerCalls, ThreadCalls } from './thread-calls.ts';
export { threadFile } from './thread-file.ts';

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { Deadline, silentLogger, systemClock } from '../base/index.ts';
import { JobThread } from './job-thread.ts';

interface Job {
  /** True: the job keeps the processor busy. False: it only takes time. */
  readonly spins: boolean;
  readonly ms: number;
}

let thread: JobThread<Job> | undefined;
afterEach(() => thread?.close());

function open(limits?: 'processor time'): JobThread<Job> {
  thread = new JobThread<Job>({
    name: 'spinning',
    file: fileURLToPath(new URL('../../test/support/spinning-thread.mjs', import.meta.url)),
    prepare: async () => ({}),
    clock: systemClock,
    log: silentLogger,
    memoryBytesMax: 1,
    heapMbMax: 64,
    waitingMax: 10,
    messages: { late: 'The job is late.', full: 'Too many jobs wait.' },
    ...(limits === undefined ? {} : { limits }),
  });
  return thread;
}
const submit = (job: Job, limitMs: number): Promise<unknown> =>
  (thread as JobThread<Job>).submit('one', job, Deadline.in(systemClock, 60_000), limitMs);

it('a limit of time ends a job, however little processor time the job has used', async () => {
  open();
  await expect(submit({ spins: false, ms: 20_000 }, 300)).rejects.toMatchObject({ reason: 'deadline' });
});

it.skipIf(!existsSync('/proc/thread-self'))(
  'a limit of processor time ends a job that uses it up, not a job that only waits',
  async () => {
    open('processor time');
    expect(await submit({ spins: false, ms: 1200 }, 300)).toBe('done');
    await expect(submit({ spins: true, ms: 60_000 }, 300)).rejects.toMatchObject({ reason: 'deadline' });
    expect(await submit({ spins: true, ms: 1 }, 300)).toBe('done');
    // A job that does nothing at all is ended too, after many times its limit.
    await expect(submit({ spins: false, ms: 60_000 }, 100)).rejects.toMatchObject({ reason: 'deadline' });
  },
);

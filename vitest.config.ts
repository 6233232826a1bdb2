import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/**
 * What is waited for comes on a machine of any speed; a condition that never comes is told before the test's own time
 * is up.
 */
const expectation = { poll: { timeout: 25_000 }, requireAssertions: true };

const TESTS = 'packages/dormouse/test/';
/**
 * The files that another file beside them would disturb, or that would disturb it. All others have servers of their
 * own, look at no process but theirs, and wait for conditions: they run beside each other.
 */
const ALONE: readonly string[] = [
  // More than 200 sessions at once.
  'system/connections.test.ts',
  // What the machine's servers take together: a page of the programs counts for each by how many processes share it.
  'system/memory.test.ts',
  // How long a thread is busy at a stretch, compared with other work of the same thread.
  'system/engine-large-bodies.test.ts',
  'system/events-streams.test.ts',
  // How long a request takes while another waits for the disk.
  'fault/slow-disk.test.ts',
];
/** They need control groups of version 2 for themselves: `npm run vm`. */
const IN_A_VM = `${TESTS}vm/**`;

const servers = { testTimeout: 180_000, hookTimeout: 240_000, expect: expectation };

// Three projects: unit tests share a process pool; of what starts real servers, some files run beside each other, the
// others one at a time, and none beside those of another project.
export default defineConfig({
  test: {
    // .ci/run takes its counts from the report.
    reporters: ['default', ['json', { outputFile: '.cache/test-report.json' }]],
    globalSetup: ['packages/dormouse/test/build.setup.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts'],
          // One process for many files: no module of src keeps state, and to load them anew for each file took half of
          // the project's CPU time.
          isolate: false,
          testTimeout: 60_000,
          expect: expectation,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...servers,
          name: 'beside',
          include: ['packages/*/test/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: [...configDefaults.exclude, IN_A_VM, ...ALONE.map((name) => TESTS + name)],
          // Each is a process that asks, one that serves, and its servers: about one and a half cores, less what it
          // waits.
          maxWorkers: Math.min(4, Math.max(2, Math.floor(availableParallelism() / 2))),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...servers,
          name: 'alone',
          include: ALONE.map((name) => TESTS + name),
          fileParallelism: false,
        },
      },
    ],
  },
});

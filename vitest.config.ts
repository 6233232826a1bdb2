import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

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
/** The files that take longest by the clock: begun last, one of them would go on alone at the end. */
const LONGEST: readonly string[] = [
  'fault/life.test.ts',
  'system/prisma-sleep.test.ts',
  'system/bad-requests.test.ts',
  'system/bad-surroundings.test.ts',
  'fault/instance-kill.test.ts',
  'fault/instance-chaos.test.ts',
  'system/prisma-sqlstates.test.ts',
  'system/prisma-differential.test.ts',
];
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      LONGEST.some((name) => moduleId.endsWith(TESTS + name));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** They need control groups of version 2 for themselves: `npm run vm`. */
const IN_A_VM = `${TESTS}vm/**`;

const servers = { testTimeout: 180_000, hookTimeout: 240_000, expect: expectation };

// Three projects: unit tests share processes; of the files that start real servers, most run beside each other, the
// others one at a time; no file runs beside one of another project.
export default defineConfig({
  test: {
    // .ci/run takes its counts from the report.
    reporters: ['default', ['json', { outputFile: '.cache/test-report.json' }]],
    sequence: { sequencer: LongestFirst },
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
          // Each is a process that asks, one that serves, and its servers, which wait for half of the time: less than a
          // core.
          maxWorkers: Math.min(4, availableParallelism() + 1),
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

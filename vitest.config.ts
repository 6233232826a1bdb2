import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/**
 * What is waited for comes on a machine of any speed; a condition that never comes is told before the test's own time
 * is up.
 */
const expectation = { poll: { timeout: 25_000 }, requireAssertions: true };

const SYSTEM = 'packages/dormouse/test/system/';
/**
 * What is held to a measure of memory, time or turns, what watches how long something rests, and what fills a machine.
 */
const ALONE: readonly string[] = [
  'activity',
  'branch-reflink',
  'branch-storage',
  'connections',
  'engine-large-bodies',
  'events-streams',
  'freeze',
  'limits',
  'maintenance',
  'memory',
  'rest',
  'soak',
  'tcp-session',
];
/** The others have servers of their own, and look at no process but theirs: they may run beside each other. */
const beside = readdirSync(new URL(SYSTEM, import.meta.url))
  .filter((name) => name.endsWith('.test.ts') && !ALONE.includes(name.slice(0, -'.test.ts'.length)))
  .map((name) => `${SYSTEM}${name}`);

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
          testTimeout: 60_000,
          expect: expectation,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...servers,
          name: 'beside',
          include: beside,
          // Each is a process that asks, one that serves, and its servers: about one and a half cores, less what it
          // waits.
          maxWorkers: Math.min(4, Math.max(2, Math.floor(availableParallelism() / 2))),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...servers,
          name: 'system',
          include: ['packages/*/test/**/*.test.ts', 'examples/**/*.test.ts'],
          // Those in vm/ need control groups of version 2 for themselves: `npm run vm`.
          exclude: [...configDefaults.exclude, 'packages/*/test/vm/**', ...beside],
          fileParallelism: false,
        },
      },
    ],
  },
});

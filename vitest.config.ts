import { configDefaults, defineConfig } from 'vitest/config';

/** What is waited for comes on a machine of any speed; a condition that never comes is told before the test's own time is up. */
const expectation = { poll: { timeout: 25_000 }, requireAssertions: true };

// Two projects: unit tests share a process pool; system tests start real servers and run one file at a time.
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
          name: 'system',
          include: ['packages/*/test/**/*.test.ts', 'examples/**/*.test.ts'],
          // Needs control groups of version 2 for itself: `npm run vm`.
          exclude: [...configDefaults.exclude, 'packages/*/test/vm/**'],
          testTimeout: 180_000,
          expect: expectation,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
    ],
  },
});

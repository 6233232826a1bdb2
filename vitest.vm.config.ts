import { defineConfig } from 'vitest/config';

// What needs a kernel with control groups of version 2: `npm run vm`, see .ci/in-a-vm.
export default defineConfig({
  test: {
    include: ['packages/*/test/vm/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 240_000,
    fileParallelism: false,
  },
});

import { defineConfig } from 'vitest/config';
export default defineConfig({ test: { include: ['packages/*/test/**/*.test.ts','packages/*/src/**/*.test.ts','examples/**/*.test.ts'], testTimeout: 180000, hookTimeout: 240000, fileParallelism: false } });

// Runs TypeScript by Node 20, which cannot: `node --import ./test/support/run-typescript.mjs FILE.ts`.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);

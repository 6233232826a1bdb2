// Runs TypeScript by Node 20, which cannot: `node --import ./bench/typescript.mjs FILE.ts`.
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);

#!/usr/bin/env node
// Committed, because npm links bins before anything is built. All it does is find the build.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = new URL('../dist/main.js', import.meta.url);
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`dormouse: this is Node ${process.versions.node}; Dormouse needs Node 20.19 or newer.`);
  process.exitCode = 2;
} else if (!existsSync(main)) {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  console.error(`dormouse: it is not built yet. Run this first:\n\n  npm run build --prefix ${root}\n`);
  process.exitCode = 2;
} else {
  await import(main.href);
}

import { readFileSync } from 'node:fs';
import { allCommands, nodeProcessContext, run } from './cli/index.ts';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
const code = await run(process.argv.slice(2), allCommands(), nodeProcessContext(manifest.version));
// Not `exitCode`: a connection kept open for the next request would hold the process for seconds.
process.exit(code);

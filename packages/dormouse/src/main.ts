import { readFileSync } from 'node:fs';
import { allCommands, nodeProcessContext, run } from './cli/index.ts';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
const code = await run(process.argv.slice(2), allCommands(), nodeProcessContext(manifest.version));
// Setting `process.exitCode` is not enough: an idle keep-alive connection would keep the process running for seconds.
process.exit(code);

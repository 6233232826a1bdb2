import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CLIENT_VERSIONS, generateClient } from './support/clients.ts';

/**
 * Makes what files share before any of them runs: dist, from which worker threads and the CLI run, and the stock
 * clients, which two files at a time would generate into one folder.
 */
export default async function build(): Promise<void> {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  for (const version of CLIENT_VERSIONS) await generateClient(version);
}

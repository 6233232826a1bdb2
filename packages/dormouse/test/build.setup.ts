import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CLIENT_VERSIONS, generateClient } from './support/clients.ts';
import { PREPARED_VARIABLE } from './support/prepared.ts';
import { scratch } from './support/scratch.ts';

/**
 * Makes what files share before any of them runs: dist, from which worker threads and the CLI run; the stock clients,
 * which two files at a time would generate into one folder; and an empty directory for what the first file that needs
 * it prepares. Gives what removes that directory.
 */
export default async function build(): Promise<() => void> {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  for (const version of CLIENT_VERSIONS) await generateClient(version);
  const prepared = scratch('prepared');
  process.env[PREPARED_VARIABLE] = prepared.path;
  return () => prepared.remove();
}

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Builds dist once before any test: worker threads and the CLI run from there. */
export default function build(): void {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
}

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The path of the worker file `name` that lies beside the module `from` (an `import.meta.url`). Node 20 cannot run
 * TypeScript in a worker thread: for a module of src/ the built file in dist/ is taken.
 */
export function threadFile(name: string, from: string): string {
  const folder = dirname(fileURLToPath(from));
  return join(from.endsWith('.ts') ? folder.replace(/^(.*[\\/])src([\\/])/, '$1dist$2') : folder, `${name}.js`);
}

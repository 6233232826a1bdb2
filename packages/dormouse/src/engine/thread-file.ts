import { fileURLToPath } from 'node:url';

/** The file of a thread of this folder. A thread cannot run TypeScript: from src/ the built file in dist/ is taken. */
export function threadFile(name: string): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith('.ts')
    ? here.replace(/([\\/])src([\\/]engine[\\/])thread-file\.ts$/, `$1dist$2${name}.js`)
    : here.replace(/thread-file\.js$/, `${name}.js`);
}

import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

/**
 * A hash over these words, and over the names and contents of all files at or below these paths. Rejects for a path
 * that does not exist.
 */
export async function fingerprint(
  words: readonly string[],
  paths: readonly string[],
  directory: string,
): Promise<string> {
  const hash = createHash('sha256');
  const add = (part: string | Buffer): void => {
    // Each part with its length, so that no two lists of parts hash the same bytes.
    hash.update(`${Buffer.byteLength(part)}:`).update(part);
  };
  for (const word of words) add(word);
  for (const path of paths) {
    const root = resolve(directory, path);
    for (const file of await filesOf(root)) {
      add(relative(root, file));
      add(await readFile(file));
    }
  }
  return hash.digest('hex');
}

async function filesOf(root: string): Promise<string[]> {
  if ((await stat(root)).isFile()) return [root];
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

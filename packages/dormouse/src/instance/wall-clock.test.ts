import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('..', import.meta.url));
/** What decides when a database runs, who gets a connection and how long anybody waits. */
const FOLDERS = ['instance', 'pool', 'front'];

it('no step of the wall clock moves a deadline: nothing between door and server reads it', () => {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(SRC, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => join(SRC, folder, name)),
  );
  expect(files.length).toBeGreaterThan(60);
  const readers = files.filter((file) => /\b[cC]lock\.now\(\)|Date\.now|new Date\(/.test(readFileSync(file, 'utf8')));
  expect(readers).toEqual([]);
  // The pattern is one that finds.
  expect(readFileSync(join(SRC, 'base', 'clock.ts'), 'utf8')).toMatch(/Date\.now/);
});

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('..', import.meta.url));
/** The stages that decide when a database runs, which session gets a connection, and how long a caller waits. */
const FOLDERS = ['instance', 'pool', 'front'];
/** Dates for people: when a database was last looked over. */
const DATES = ['instance/maintenance/maintenance.ts'];

it('nothing between the doors and the servers waits by the wall clock, so a step of that clock moves no deadline', () => {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(SRC, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => join(SRC, folder, name)),
  );
  expect(files.length).toBeGreaterThan(60);
  const readers = files.filter((file) => /\b[cC]lock\.now\(\)|Date\.now|new Date\(/.test(readFileSync(file, 'utf8')));
  expect(readers.map((file) => relative(SRC, file))).toEqual(DATES);
  // The pattern is one that finds.
  expect(readFileSync(join(SRC, 'base', 'clock.ts'), 'utf8')).toMatch(/Date\.now/);
});

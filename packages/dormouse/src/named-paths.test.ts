import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PACKAGE = join(ROOT, 'packages/dormouse');
const DOCS = ['HACKING', 'ARCHITECTURE', 'ISOLATION', 'OPERATIONS', 'WAKING', 'PROTOCOLS', 'EXTENSIONS', 'BENCHMARKS'];
/** A path of the source, the tests or the docs, between backticks or in a drawing. */
const PATH =
  /(?<![\w/.-])(?:(?:packages|docs|test|bench|examples|base|wire|threads|session|instance|pool|events|engine|edge|control|front|platform|cli)\/[\w./-]*|\w[\w-]*\.test\.ts)/g;

it.each(DOCS)('every path that docs/%s.md names exists', (page) => {
  const text = readFileSync(join(ROOT, `docs/${page}.md`), 'utf8');
  const named = [...text.matchAll(PATH)].map(([path]) => path.replace(/[.]$/, ''));
  if (page === 'HACKING') expect(named.length).toBeGreaterThan(60);
  const places = [ROOT, PACKAGE, join(PACKAGE, 'src'), join(PACKAGE, 'test/system'), join(PACKAGE, 'test/fault')];
  expect(named.filter((path) => !places.some((place) => existsSync(join(place, path))))).toEqual([]);
});

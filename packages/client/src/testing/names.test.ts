import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { checkPrefix, isTemplateOf, makerOf, mayLive, templateName, testName, thisMaker } from './names.ts';

const NOW_MS = Date.UTC(2026, 10, 23);
const HOUR_MS = 3_600_000;

describe('names of test databases', () => {
  it('the name of a test database is a valid name that tells its maker', () => {
    const template = templateName('a'.repeat(24), '0123456789abcdef');
    expect(isTemplateOf('a'.repeat(24), template)).toBe(true);
    const name = testName(template, { ...thisMaker(), pid: 4_194_304 });
    expect(name).toMatch(/^[a-z][a-z0-9-]{0,62}$/);
    expect(makerOf(name)).toEqual({ ...thisMaker(), pid: 4_194_304 });
    expect(testName(template, thisMaker())).not.toBe(testName(template, thisMaker()));
    expect(testName('x'.repeat(63), thisMaker())).toMatch(/^[a-z][a-z0-9-]{0,62}$/);
  });

  it('the name of another database is taken neither for a test database nor for a template', () => {
    for (const name of ['main', 'shop-try', 'blog-0123456789ab', 'shop-t12-3']) expect(makerOf(name)).toBeUndefined();
    expect(isTemplateOf('blog', 'blog-0123456789ab-t123456-1-0000-123456')).toBe(false);
    expect(isTemplateOf('blog', 'blogs-0123456789ab')).toBe(false);
  });

  it('a prefix that no database name may begin with is refused', () => {
    for (const prefix of ['', 'Blog', '1', 'a_b', 'a'.repeat(25)])
      expect(() => checkPrefix(prefix)).toThrow('a-z, 0-9');
  });
});

describe('the maker of a test database', () => {
  it('a maker counts as running while its process runs, for a day at most', () => {
    expect(mayLive(thisMaker(), NOW_MS - HOUR_MS, NOW_MS)).toBe(true);
    expect(mayLive(thisMaker(), NOW_MS - 25 * HOUR_MS, NOW_MS)).toBe(false);
    const { pid } = spawnSync('true');
    expect(mayLive({ ...thisMaker(), pid }, NOW_MS, NOW_MS)).toBe(false);
    // Another process has the pid by now.
    expect(mayLive({ ...thisMaker(), start: 'zzzz' }, NOW_MS, NOW_MS)).toBe(process.platform !== 'linux');
  });

  it('a maker on another machine counts as running for a day', () => {
    const other = { ...thisMaker(), host: '000000', pid: 1 };
    expect(mayLive(other, NOW_MS - HOUR_MS, NOW_MS)).toBe(true);
    expect(mayLive(other, NOW_MS - 25 * HOUR_MS, NOW_MS)).toBe(false);
  });
});

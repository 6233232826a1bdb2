import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8');

it('each place that all databases share names tests, which are there', () => {
  const [, section = ''] = read('../../../docs/ISOLATION.md').split('## What all databases share');
  const rows =
    section
      .split('\n## ')[0]
      ?.match(/^\|.*\|$/gm)
      ?.slice(2) ?? [];
  expect(rows.length).toBeGreaterThan(15);
  for (const row of rows) {
    const [, place, bound, tests = ''] = row.split('|').map((cell) => cell.trim());
    expect(place).not.toBe('');
    expect(bound).not.toBe('');
    const named = [...tests.matchAll(/`([^`]+\.test\.ts)`: (.*?)(?=; `|$)/g)];
    expect(named.length, row).toBeGreaterThan(0);
    for (const [, file, title] of named) {
      expect(titleOf(title ?? '').test(read(`../${file}`)), `${file} has a test "${title}"`).toBe(true);
    }
  }
});

function titleOf(title: string): RegExp {
  return new RegExp(`\\b(it|test)(\\.\\w+)?\\(\\s*(['"\`])${title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\3`);
}

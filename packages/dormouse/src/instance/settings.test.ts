import { expect, it } from 'vitest';
import { pgHbaConf, postgresqlConf, TEMPLATE_SQL } from './settings.ts';

it('names every setting once', () => {
  const names = postgresqlConf(18)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' = ')[0]);
  expect(names.length).toBeGreaterThan(20);
  expect(new Set(names).size).toBe(names.length);
});

it('opens no door but the socket', () => {
  expect(postgresqlConf(18)).toMatch(/^listen_addresses = ''/m);
  for (const line of pgHbaConf().split('\n')) expect(line).toMatch(/^(#|local |$)/);
});

it('has a command a line, as the single-user mode reads them', () => {
  for (const line of TEMPLATE_SQL) expect(line).toMatch(/^[^\n]*;$/);
});

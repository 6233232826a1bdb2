import { expect, it } from 'vitest';
import { pgHbaConf, postgresqlConf, type ServerSettings, TEMPLATE_SQL } from './settings.ts';

const SETTINGS: ServerSettings = { clientsMax: 50, tempLimitBytes: 2 ** 30 };

it('names every setting once', () => {
  const names = postgresqlConf(18, SETTINGS)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' = ')[0]);
  expect(names.length).toBeGreaterThan(20);
  expect(new Set(names).size).toBe(names.length);
});

it('opens no door but the socket', () => {
  expect(postgresqlConf(18, SETTINGS)).toMatch(/^listen_addresses = ''/m);
  for (const line of pgHbaConf().split('\n')) expect(line).toMatch(/^(#|local |$)/);
});

it('has room for all that is promised, and for ourselves', () => {
  expect(postgresqlConf(18, SETTINGS)).toMatch(/^max_connections = 56 /m);
  expect(postgresqlConf(18, { ...SETTINGS, clientsMax: 3 * 40 + 200 })).toMatch(/^max_connections = 326 /m);
});

it('has a command a line, as the single-user mode reads them', () => {
  for (const line of TEMPLATE_SQL) expect(line).toMatch(/^[^\n]*;$/);
});

import { expect, it } from 'vitest';
import { pgHbaConf, postgresqlConf, type ServerSettings, TEMPLATE_SQL } from './settings.ts';

const BUILD = { major: 18, preload: [] };
const SETTINGS: ServerSettings = { clientsMax: 50, tempLimitBytes: 2 ** 30 };

it('postgresql.conf has every setting once', () => {
  const names = postgresqlConf(BUILD, SETTINGS)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' = ')[0]);
  expect(names.length).toBeGreaterThan(20);
  expect(new Set(names).size).toBe(names.length);
});

it('pg_hba.conf admits connections over the socket only', () => {
  expect(postgresqlConf(BUILD, SETTINGS)).toMatch(/^listen_addresses = ''/m);
  for (const line of pgHbaConf().split('\n')) expect(line).toMatch(/^(#|local |$)/);
});

it('a server has room for all promised client connections, and for the platform’s own', () => {
  expect(postgresqlConf(BUILD, SETTINGS)).toMatch(/^max_connections = 56 /m);
  expect(postgresqlConf(BUILD, { ...SETTINGS, clientsMax: 3 * 40 + 200 })).toMatch(/^max_connections = 326 /m);
});

it('the template’s SQL has one command per line, as the single-user mode reads it', () => {
  for (const line of TEMPLATE_SQL) expect(line).toMatch(/^[^\n]*;$/);
});

it('a server loads at its start the libraries that its build has, and none where it has none', () => {
  expect(postgresqlConf(BUILD, SETTINGS)).not.toContain('preload');
  expect(postgresqlConf({ ...BUILD, preload: ['pg_stat_statements'] }, SETTINGS)).toMatch(
    /^shared_preload_libraries = 'pg_stat_statements'$/m,
  );
});

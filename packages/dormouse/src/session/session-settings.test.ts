import { expect, it } from 'vitest';
import { laterSettings, loginSettings } from './session-settings.ts';

const NO_LIMITS = {
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
};
const TEXT_FORMS = {
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  lc_monetary: 'C',
};

it('each kind of session brings exactly its own settings along with the login', () => {
  expect(Object.fromEntries(loginSettings('query'))).toEqual({
    client_encoding: 'UTF8',
    local_preload_libraries: '',
    ...TEXT_FORMS,
  });
  expect(Object.fromEntries(loginSettings('client'))).toEqual({
    local_preload_libraries: '',
    client_connection_check_interval: '2s',
  });
  const own = {
    client_encoding: 'UTF8',
    local_preload_libraries: '',
    role: 'none',
    search_path: 'pg_catalog, pg_temp',
    quote_all_identifiers: 'off',
    default_transaction_read_only: 'off',
    ...NO_LIMITS,
  };
  expect(Object.fromEntries(loginSettings('administration'))).toEqual({ ...own, vacuum_cost_delay: '0' });
  expect(Object.fromEntries(loginSettings('replication'))).toEqual({
    ...own,
    ...TEXT_FORMS,
    wal_sender_timeout: '0',
    TimeZone: 'UTC',
    standard_conforming_strings: 'on',
  });
});

it('a setting that an older server does not know is made by a statement, and only where the server knows it', () => {
  for (const kind of ['administration', 'replication'] as const) {
    expect(laterSettings(kind, 16)).toBeUndefined();
    expect(laterSettings(kind, 17)).toBe("SET transaction_timeout = '0'");
  }
  for (const kind of ['query', 'client'] as const) expect(laterSettings(kind, 18)).toBeUndefined();
});

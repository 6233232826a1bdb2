import { expect, test } from 'vitest';
import { findConnection, parseConnection } from './connection.ts';

test.each([
  ['prisma+postgres://localhost:4400/?api_key=k', 'http://localhost:4400'],
  ['prisma+postgres://127.0.0.1:4400/?api_key=k', 'http://127.0.0.1:4400'],
  ['prisma+postgres://[::1]:4400/?api_key=k', 'http://[::1]:4400'],
  ['prisma://db.example.org/?api_key=k', 'https://db.example.org'],
  ['ws://db.example.org:81/?api_key=k', 'http://db.example.org:81'],
  ['https://db.example.org/?api_key=k', 'https://db.example.org'],
])('%s is served at %s', (url, origin) => {
  expect(parseConnection(url)).toEqual({ origin, apiKey: 'k' });
});

test('a URL of another kind, or without a key, is refused', () => {
  for (const url of ['', 'x', 'postgres://u:p@localhost/db', 'prisma+postgres://localhost/']) {
    expect(parseConnection(url)).toBeUndefined();
  }
  expect(parseConnection('http://localhost:1', 'given')).toEqual({ origin: 'http://localhost:1', apiKey: 'given' });
});

test('the URL is taken from the option, then from the client, and without either the error says what to do', () => {
  const client = { _accelerateEngineConfig: { accelerateUrl: 'prisma+postgres://localhost:1/?api_key=client' } };
  expect(findConnection({}, client).apiKey).toBe('client');
  expect(findConnection({ url: 'prisma+postgres://localhost:2/?api_key=option' }, client).apiKey).toBe('option');
  expect(() => findConnection({ url: 'postgres://localhost/db' }, client)).toThrow(/dormouse db show/);
});

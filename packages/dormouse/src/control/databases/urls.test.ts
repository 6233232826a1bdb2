import { describe, expect, it } from 'vitest';
import { databaseUrls, parsePublicUrl } from './urls.ts';

describe('databaseUrls', () => {
  it.each([
    [
      'http://127.0.0.1:4400',
      'prisma+postgres://127.0.0.1:4400/?api_key=J',
      'postgres://key_1:S@127.0.0.1:5440/postgres',
      'ws://127.0.0.1:4400',
    ],
    [
      'https://db.example.com',
      'prisma+postgres://db.example.com/?api_key=J',
      'postgres://key_1:S@db.example.com:5440/postgres',
      'wss://db.example.com',
    ],
    ['http://[::1]:80', 'prisma+postgres://[::1]/?api_key=J', 'postgres://key_1:S@[::1]:5440/postgres', 'ws://[::1]'],
  ])('the URLs of a database begin with the public URL %s', (publicUrl, prismaUrl, postgresUrl, pulseUrl) => {
    const addresses = { publicUrl: parsePublicUrl(publicUrl), httpPort: 4400, postgresPort: 5440 };
    expect(databaseUrls(addresses, 'key_1', 'J', 'S')).toEqual({ prismaUrl, postgresUrl, pulseUrl, apiKey: 'J' });
  });
});

describe('parsePublicUrl', () => {
  it('a public URL is an origin, with or without a slash at its end', () => {
    expect(parsePublicUrl('https://db.example.com/')).toBe('https://db.example.com');
    expect(parsePublicUrl('http://localhost:4400')).toBe('http://localhost:4400');
  });
  it.each([
    '',
    'localhost:4400',
    'ftp://x',
    'https://x/path',
    'https://x/?a',
    'https://x/#a',
    'https://user:pw@x',
    'postgres://x',
  ])('the text "%s" is refused as a public URL', (text) => {
    expect(() => parsePublicUrl(text)).toThrow(expect.objectContaining({ code: 'usage_invalid' }));
  });
});

import { describe, expect, it } from 'vitest';
import { type DatabaseId, type KeyId, type Principal, REPLY_HEADERS } from '../base/index.ts';
import { cacheKeyOf } from './cache-key.ts';

const principal: Principal = { keyId: 'key_a' as KeyId, databaseId: 'db_a' as DatabaseId, role: 'owner' };

function keyOf(headers: Readonly<Record<string, string>>, of: Partial<Principal> = {}, path = '/query'): string {
  const request = { method: 'POST', path, search: '', header: (name: string) => headers[name] };
  return cacheKeyOf(request, { ...principal, ...of }, 'generation', ['tag'], 'digest');
}

describe('cacheKeyOf', () => {
  it('two requests that differ in a header on which the reply may depend have different cache keys', () => {
    const keys = REPLY_HEADERS.map((name) => keyOf({ [name]: '1' }));
    expect(new Set([keyOf({}), ...keys]).size).toBe(REPLY_HEADERS.length + 1);
  });

  it('requests of two API keys of one role, and requests that differ in their traces only, have the same cache key', () => {
    expect(keyOf({}, { keyId: 'key_b' as KeyId })).toBe(keyOf({}));
    expect(keyOf({ traceparent: '00-1-1-01' })).toBe(keyOf({}));
  });

  it('requests to different databases, under different roles or at different paths have different cache keys', () => {
    const keys = [
      keyOf({}),
      keyOf({}, { databaseId: 'db_b' as DatabaseId }),
      keyOf({}, { role: 'reader' }),
      keyOf({}, {}, '/6.19.0/hash/graphql'),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});

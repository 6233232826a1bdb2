import { describe, expect, it } from 'vitest';
import { parseCacheWish, parseInvalidation, parseTags } from './cache-wish.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('parseCacheWish', () => {
  it.each([
    ['max-age=60', { ttlMs: 60_000, swrMs: 0 }],
    ['stale-while-revalidate=30', { ttlMs: 0, swrMs: 30_000 }],
    ['max-age=60,stale-while-revalidate=30', { ttlMs: 60_000, swrMs: 30_000 }],
    ['public, Max-Age=1.5', { ttlMs: 1500, swrMs: 0 }],
    ['max-age=31536000', { ttlMs: 31_536_000_000, swrMs: 0 }],
  ])('the header "cache-control: %s" asks for caching', (header, wish) => {
    expect(parseCacheWish(header, undefined)).toEqual({ ...wish, tags: [] });
  });

  it.each([undefined, 'no-cache', 'no-store', 'max-age=60, no-cache', 'max-age=0', '', 'private'])(
    'the header "cache-control: %s" does not ask for caching',
    (header) => {
      expect(parseCacheWish(header, 'a')).toBeUndefined();
    },
  );

  it.each([
    'max-age=-1',
    'max-age=NaN',
    'max-age=',
    'max-age=1e3',
    'max-age=31536001',
    'stale-while-revalidate=Infinity',
  ])('the header "cache-control: %s" is refused', (header) => {
    expect(() => parseCacheWish(header, undefined)).toThrow(expect.objectContaining({ code: 'request_invalid' }));
  });

  it('cache tags are sorted, and each tag is taken once', () => {
    expect(parseCacheWish('max-age=1', 'b,a,b')?.tags).toEqual(['a', 'b']);
  });

  it.each(['a b', 'a-b', 'é', 'x'.repeat(65), 'a,,b', 'a,b,c,d,e,f'])(
    'the header "accelerate-cache-tags: %s" is refused',
    (tags) => {
      expect(() => parseCacheWish('max-age=1', tags)).toThrow(expect.objectContaining({ code: 'request_invalid' }));
      expect(() => parseTags(tags.split(','))).toThrow();
    },
  );
});

describe('parseInvalidation', () => {
  it('the body of an invalidation names a list of tags, or all', () => {
    expect(parseInvalidation(bytes('{"tags":["a","b"]}'))).toEqual(['a', 'b']);
    expect(parseInvalidation(bytes('{"tags":"all"}'))).toBe('all');
  });

  it.each([
    '',
    'x',
    'null',
    '[]',
    '{}',
    '{"tags":[]}',
    '{"tags":"some"}',
    '{"tags":[1]}',
    '{"tags":["a","b","c","d","e","f"]}',
  ])('the invalidation body `%s` is refused', (body) => {
    expect(() => parseInvalidation(bytes(body))).toThrow(expect.objectContaining({ code: 'request_invalid' }));
  });
});

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
  ])('reads %s', (header, wish) => {
    expect(parseCacheWish(header, undefined)).toEqual({ ...wish, tags: [] });
  });

  it.each([undefined, 'no-cache', 'no-store', 'max-age=60, no-cache', 'max-age=0', '', 'private'])(
    'takes %s as no wish',
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
  ])('refuses %s', (header) => {
    expect(() => parseCacheWish(header, undefined)).toThrow(expect.objectContaining({ code: 'request_invalid' }));
  });

  it('sorts tags and takes each once', () => {
    expect(parseCacheWish('max-age=1', 'b,a,b')?.tags).toEqual(['a', 'b']);
  });

  it.each(['a b', 'a-b', 'é', 'x'.repeat(65), 'a,,b', 'a,b,c,d,e,f'])('refuses the tags %s', (tags) => {
    expect(() => parseCacheWish('max-age=1', tags)).toThrow(expect.objectContaining({ code: 'request_invalid' }));
    expect(() => parseTags(tags.split(','))).toThrow();
  });
});

describe('parseInvalidation', () => {
  it('reads tags and all', () => {
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
  ])('refuses %s', (body) => {
    expect(() => parseInvalidation(bytes(body))).toThrow(expect.objectContaining({ code: 'request_invalid' }));
  });
});

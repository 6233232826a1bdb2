import { DormouseError } from '../base/index.ts';

/** What a client asks of the cache for one query (`cacheStrategy`). */
export interface CacheWish {
  /** How long a reply is fresh. */
  readonly ttlMs: number;
  /** How long after that a reply is served stale, while one refresh runs in the background. */
  readonly swrMs: number;
  /** Sorted, without repeats. */
  readonly tags: readonly string[];
}

/** A year, the protocol's own bound. */
export const CACHE_TTL_SECONDS_MAX = 31_536_000;
/** Tags per query, the protocol's own bound. */
export const CACHE_TAGS_MAX = 5;

/** Five tags take less than 400 bytes. */
const INVALIDATION_BYTES_MAX = 16 * 1024;

const TAG = /^[A-Za-z0-9_]{1,64}$/;
const NO_TAGS: readonly string[] = [];

/**
 * Reads `cache-control` (`max-age=60,stale-while-revalidate=30`, or `no-cache`) and `accelerate-cache-tags` (`a,b`).
 * Undefined: the reply is not cached. Throws `request_invalid` for invalid times, times over a year and invalid tags.
 */
export function parseCacheWish(cacheControl: string | undefined, tags: string | undefined): CacheWish | undefined {
  if (cacheControl === undefined || cacheControl === 'no-cache') return undefined;
  let ttlMs = 0;
  let swrMs = 0;
  for (const part of cacheControl.split(',')) {
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    if (name === 'no-cache' || name === 'no-store') return undefined;
    if (name === 'max-age') ttlMs = milliseconds('ttl', part.slice(equals + 1));
    else if (name === 'stale-while-revalidate') swrMs = milliseconds('swr', part.slice(equals + 1));
  }
  if (ttlMs + swrMs === 0) return undefined;
  return { ttlMs, swrMs, tags: tags === undefined || tags === '' ? NO_TAGS : parseTags(tags.split(',')) };
}

function milliseconds(name: string, text: string): number {
  const value = text.trim();
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds <= CACHE_TTL_SECONDS_MAX)) {
    throw new DormouseError('request_invalid', {
      message: `cacheStrategy.${name} is ${value.slice(0, 40)}: it must be a number of seconds from 0 to ${CACHE_TTL_SECONDS_MAX} (a year).`,
    });
  }
  return seconds * 1000;
}

/** Checks tags; returns them sorted, without repeats. Throws `request_invalid` with the rule. */
export function parseTags(tags: readonly unknown[]): readonly string[] {
  const checked = new Set<string>();
  for (const tag of tags) {
    const text = typeof tag === 'string' ? tag.trim() : '';
    if (!TAG.test(text)) {
      throw new DormouseError('request_invalid', {
        message: `${JSON.stringify(String(tag).slice(0, 80))} is not a cache tag: use 1 to 64 letters, digits and underscores.`,
      });
    }
    checked.add(text);
  }
  if (checked.size > CACHE_TAGS_MAX) {
    throw new DormouseError('request_invalid', {
      message: `A query or an invalidation takes at most ${CACHE_TAGS_MAX} cache tags.`,
    });
  }
  return [...checked].sort();
}

/** Reads the body of `POST /invalidate`: `{"tags":["a"]}` or `{"tags":"all"}`. Throws `request_invalid`. */
export function parseInvalidation(body: Uint8Array): readonly string[] | 'all' {
  if (body.byteLength > INVALIDATION_BYTES_MAX) {
    throw new DormouseError('request_invalid', { message: 'The body is too long for an invalidation of 1 to 5 tags.' });
  }
  let tags: unknown;
  try {
    tags = (JSON.parse(new TextDecoder().decode(body)) as { tags?: unknown } | null)?.tags;
  } catch (cause) {
    throw new DormouseError('request_invalid', { message: 'The body is not JSON.', cause });
  }
  if (tags === 'all') return 'all';
  if (!Array.isArray(tags) || tags.length === 0) {
    throw new DormouseError('request_invalid', { message: 'Send {"tags":["a"]} with 1 to 5 tags, or {"tags":"all"}.' });
  }
  return parseTags(tags);
}

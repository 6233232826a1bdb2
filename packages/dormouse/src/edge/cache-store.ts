import type { DatabaseId } from '../base/index.ts';

/** One kept reply. */
export interface CacheEntry {
  readonly key: string;
  readonly databaseId: DatabaseId;
  readonly tags: readonly string[];
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** When the origin was asked, in monotonic milliseconds: the content of the reply was true then or later. */
  readonly readAtMs: number;
  /** The same moment as an HTTP date. */
  readonly lastModified: string;
  /** The moment, in monotonic milliseconds, from which the entry is no longer served. */
  readonly endsAtMs: number;
}

export interface CacheStoreLimits {
  readonly bytesMax: number;
  readonly entryBytesMax: number;
}

/** Memory of an entry beside its body and key: objects, map slots, tag sets. Measured near 600 bytes on Node 20. */
const ENTRY_OVERHEAD_BYTES = 640;

/** The entries of one database. */
interface Kept {
  bytes: number;
  /** Keys in order of use, oldest first. */
  readonly keys: Set<string>;
  readonly tags: Map<string, Set<string>>;
}

/**
 * Kept replies, with an index by database and tag. When the store is full, the database with the most bytes loses its
 * least recently used entry, so a database that floods the cache loses its own entries. The store knows neither the
 * time nor what a request asks of the cache.
 */
export class CacheStore {
  readonly #limits: CacheStoreLimits;
  readonly #entries = new Map<string, CacheEntry>();
  readonly #databases = new Map<DatabaseId, Kept>();
  #bytes = 0;

  constructor(limits: CacheStoreLimits) {
    this.#limits = limits;
  }

  get stats(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#entries.size, bytes: this.#bytes };
  }

  get(key: string): CacheEntry | undefined {
    const entry = this.#entries.get(key);
    if (entry) {
      const keys = this.#databases.get(entry.databaseId)?.keys;
      keys?.delete(key);
      keys?.add(key);
    }
    return entry;
  }

  /**
   * Keeps an entry in place of an earlier one with the same key, and drops other entries to make room. Returns false if
   * the entry is too large to keep.
   */
  put(entry: CacheEntry): boolean {
    this.delete(entry.key);
    const bytes = bytesOf(entry);
    if (bytes > this.#limits.entryBytesMax || bytes > this.#limits.bytesMax) return false;
    this.#entries.set(entry.key, entry);
    this.#bytes += bytes;
    let kept = this.#databases.get(entry.databaseId);
    if (!kept) {
      kept = { bytes: 0, keys: new Set(), tags: new Map() };
      this.#databases.set(entry.databaseId, kept);
    }
    kept.bytes += bytes;
    kept.keys.add(entry.key);
    for (const tag of entry.tags) {
      let keys = kept.tags.get(tag);
      if (!keys) {
        keys = new Set();
        kept.tags.set(tag, keys);
      }
      keys.add(entry.key);
    }
    while (this.#bytes > this.#limits.bytesMax) this.#dropOldestOfLargest();
    return true;
  }

  #dropOldestOfLargest(): void {
    let largest: Kept | undefined;
    for (const kept of this.#databases.values()) if (kept.bytes > (largest?.bytes ?? 0)) largest = kept;
    const [oldest] = largest?.keys ?? [];
    if (oldest !== undefined) this.delete(oldest);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    const bytes = bytesOf(entry);
    this.#bytes -= bytes;
    const kept = this.#databases.get(entry.databaseId);
    if (!kept) return;
    kept.bytes -= bytes;
    kept.keys.delete(key);
    for (const tag of entry.tags) {
      const keys = kept.tags.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) kept.tags.delete(tag);
    }
    if (kept.keys.size === 0) this.#databases.delete(entry.databaseId);
  }

  /** Drops the entries of a database that have any of `tags`, or all its entries. Returns how many were dropped. */
  drop(databaseId: DatabaseId, tags: readonly string[] | 'all'): number {
    const kept = this.#databases.get(databaseId);
    if (!kept) return 0;
    const keys = new Set<string>(tags === 'all' ? kept.keys : []);
    if (tags !== 'all') for (const tag of tags) for (const key of kept.tags.get(tag) ?? []) keys.add(key);
    for (const key of keys) this.delete(key);
    return keys.size;
  }
}

function bytesOf(entry: CacheEntry): number {
  return entry.body.byteLength + 2 * entry.key.length + ENTRY_OVERHEAD_BYTES;
}

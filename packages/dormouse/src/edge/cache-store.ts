import type { DatabaseId } from '../base/index.ts';

/** One kept reply. */
export interface CacheEntry {
  readonly key: string;
  readonly databaseId: DatabaseId;
  readonly tags: readonly string[];
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** When the origin was asked, monotonic milliseconds: what the reply says was true then or later. */
  readonly readAtMs: number;
  /** The same moment as an HTTP date. */
  readonly lastModified: string;
  /** Monotonic milliseconds after which nobody gets it. */
  readonly endsAtMs: number;
}

export interface CacheStoreLimits {
  readonly bytesMax: number;
  readonly entryBytesMax: number;
}

/** What an entry costs beside its body and key: objects, map slots, tag sets. Measured near 600 bytes on Node 20. */
const ENTRY_OVERHEAD_BYTES = 640;

/** Kept replies, least recently used out first, with an index by database and tag. Knows no time and no wish. */
export class CacheStore {
  readonly #limits: CacheStoreLimits;
  /** In order of use, oldest first. */
  readonly #entries = new Map<string, CacheEntry>();
  readonly #databases = new Map<DatabaseId, Map<string, Set<string>>>();
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
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry;
  }

  /** Keeps an entry in place of an earlier one of its key, pushing out others as need be; false if it is too large to keep. */
  put(entry: CacheEntry): boolean {
    this.delete(entry.key);
    const bytes = bytesOf(entry);
    if (bytes > this.#limits.entryBytesMax || bytes > this.#limits.bytesMax) return false;
    this.#entries.set(entry.key, entry);
    this.#bytes += bytes;
    let tags = this.#databases.get(entry.databaseId);
    if (!tags) {
      tags = new Map();
      this.#databases.set(entry.databaseId, tags);
    }
    for (const tag of ['', ...entry.tags]) {
      let keys = tags.get(tag);
      if (!keys) {
        keys = new Set();
        tags.set(tag, keys);
      }
      keys.add(entry.key);
    }
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#limits.bytesMax) break;
      this.delete(oldest);
    }
    return true;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= bytesOf(entry);
    const tags = this.#databases.get(entry.databaseId);
    if (!tags) return;
    for (const tag of ['', ...entry.tags]) {
      const keys = tags.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) tags.delete(tag);
    }
    if (tags.size === 0) this.#databases.delete(entry.databaseId);
  }

  /** Drops what a database has under any of `tags`, or all it has; gives how many entries went. */
  drop(databaseId: DatabaseId, tags: readonly string[] | 'all'): number {
    const index = this.#databases.get(databaseId);
    if (!index) return 0;
    // The empty tag, which no client can send, lists everything.
    const keys = new Set<string>();
    for (const tag of tags === 'all' ? [''] : tags) for (const key of index.get(tag) ?? []) keys.add(key);
    for (const key of keys) this.delete(key);
    return keys.size;
  }
}

function bytesOf(entry: CacheEntry): number {
  return entry.body.byteLength + 2 * entry.key.length + ENTRY_OVERHEAD_BYTES;
}

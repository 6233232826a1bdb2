import { Cancellation, type Clock, type DatabaseId, type MinimalReply } from '../base/index.ts';
import { type CacheEntry, CacheStore, type CacheStoreLimits } from './cache-store.ts';
import type { CacheWish } from './cache-wish.ts';
import { isKeepable } from './cacheable.ts';
import { createHttpDate } from './http-date.ts';

/** One question to the cache. */
export interface CacheAsk {
  readonly key: string;
  readonly databaseId: DatabaseId;
  readonly wish: CacheWish;
  /** Fires when the asker hangs up. */
  readonly cancellation: Cancellation;
  /** Whether this may be kept at all; asked at most once, and only where nothing is known of the key yet. */
  readonly mayKeep: () => boolean;
  /** Asks the origin. `cancellation` fires when nobody waits any more. */
  /** `behind` a reply that was given already: nothing of it belongs to the asker's own time. */
  readonly fetch: (cancellation: Cancellation, behind: boolean) => Promise<MinimalReply>;
}

export type CacheStatus = 'ttl' | 'swr' | 'miss' | 'none';

export interface CacheAnswer {
  readonly cacheStatus: CacheStatus;
  /** May be shared with others: copy the headers, never write to them. */
  readonly reply: MinimalReply;
  /** HTTP date of the moment the origin was asked. */
  readonly lastModified: string;
  /** False where this asker's own question reached the origin, so the origin has counted it. */
  readonly shared: boolean;
}

export interface CacheOptions {
  readonly clock: Clock;
  readonly limits: CacheStoreLimits;
  /** Told of refreshes running behind a reply (a Worker keeps itself alive for them). */
  readonly background: (work: Promise<unknown>) => void;
  /** Told of a refresh that failed; the stale entry stays. */
  readonly onRefreshFailed: (databaseId: DatabaseId, error: unknown) => void;
}

/** One question on its way to the origin, for everybody who asks the same meanwhile. */
interface Flight {
  readonly key: string;
  readonly databaseId: DatabaseId;
  readonly tags: readonly string[];
  readonly cancellation: Cancellation;
  readonly readAtMs: number;
  readonly lastModified: string;
  reply: Promise<MinimalReply>;
  waiters: number;
  landed: boolean;
  /** An invalidation passed: what it read is older than that and must not be kept. */
  fenced: boolean;
}

/**
 * Keeps replies by the wish of those who ask: fresh until ttl, then stale until ttl + swr while exactly one refresh
 * runs. Asks of one key that meet on a miss share one flight. Age counts from the moment the origin was asked, never
 * later.
 */
export class Cache {
  readonly #clock: Clock;
  readonly #options: CacheOptions;
  readonly #store: CacheStore;
  readonly #httpDate: () => string;
  /** The flight that the next asker of a key may join. */
  readonly #joinable = new Map<string, Flight>();
  /** Every flight that may still keep what it brings; an invalidation must find it here. */
  readonly #flights = new Set<Flight>();

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#store = new CacheStore(options.limits);
    this.#httpDate = createHttpDate(options.clock);
  }

  get stats(): { readonly entries: number; readonly bytes: number; readonly flights: number } {
    return { ...this.#store.stats, flights: this.#flights.size };
  }

  /** Answers from what is kept, at once, or asks the origin. Rejects with what `fetch` rejects with. */
  answer(ask: CacheAsk): CacheAnswer | Promise<CacheAnswer> {
    const entry = this.#store.get(ask.key);
    if (entry) {
      const now = this.#clock.monotonic();
      const age = now - entry.readAtMs;
      if (now >= entry.endsAtMs) this.#store.delete(ask.key);
      else if (age < ask.wish.ttlMs) return kept(entry, 'ttl', true);
      else if (age < ask.wish.ttlMs + ask.wish.swrMs) {
        return kept(entry, 'swr', !this.#refresh(ask));
      }
    }
    return this.#miss(ask, entry !== undefined);
  }

  /** Drops what a database has under any of `tags`, or everything; what is being read now will not be kept either. */
  invalidate(databaseId: DatabaseId, tags: readonly string[] | 'all'): number {
    for (const flight of this.#flights) {
      if (flight.databaseId !== databaseId) continue;
      if (tags !== 'all' && !flight.tags.some((tag) => tags.includes(tag))) continue;
      flight.fenced = true;
      // Who asks from now on must not join what was read before.
      this.#unlist(flight);
    }
    return this.#store.drop(databaseId, tags);
  }

  async #miss(ask: CacheAsk, knownToKeep: boolean): Promise<CacheAnswer> {
    for (let attempt = 0; ; attempt++) {
      const running = this.#runningFlight(ask);
      if (!running && !knownToKeep && !ask.mayKeep()) {
        const lastModified = this.#httpDate();
        return answered(await ask.fetch(ask.cancellation, false), 'none', lastModified, false);
      }
      const flight = running ?? this.#launch(ask, false);
      const leave = this.#join(flight, ask.cancellation);
      try {
        return answered(await flight.reply, 'miss', flight.lastModified, running !== undefined);
      } catch (error) {
        // The failure may be the other asker's (its time was up): ask once on our own account, together with others
        // like us.
        if (!running || attempt > 0 || ask.cancellation.cancelled) throw error;
        knownToKeep = true;
      } finally {
        leave();
      }
    }
  }

  /** A flight whose reading is young enough for this asker's wish: a slow one may have begun before that. */
  #runningFlight(ask: CacheAsk): Flight | undefined {
    const flight = this.#joinable.get(ask.key);
    if (!flight) return undefined;
    const ageMs = this.#clock.monotonic() - flight.readAtMs;
    return ageMs < ask.wish.ttlMs + ask.wish.swrMs ? flight : undefined;
  }

  /** Reads anew behind a stale reply, unless that is under way; says whether it began. */
  #refresh(ask: CacheAsk): boolean {
    if (this.#joinable.has(ask.key)) return false;
    const flight = this.#launch(ask, true);
    // A waiter that never leaves: no client's hang-up ends a refresh.
    flight.waiters += 1;
    const { databaseId } = ask;
    this.#options.background(flight.reply.catch((error: unknown) => this.#options.onRefreshFailed(databaseId, error)));
    return true;
  }

  /** Registers a waiter; the last one to hang up or leave ends the flight. */
  #join(flight: Flight, cancellation: Cancellation): () => void {
    flight.waiters += 1;
    let joined = true;
    const leave = (): void => {
      if (!joined) return;
      joined = false;
      flight.waiters -= 1;
      if (flight.waiters > 0 || flight.landed) return;
      this.#unlist(flight);
      flight.cancellation.cancel();
    };
    const forget = cancellation.onCancel(leave);
    return () => {
      forget();
      leave();
    };
  }

  #launch(ask: CacheAsk, behind: boolean): Flight {
    const readAtMs = this.#clock.monotonic();
    const lastModified = this.#httpDate();
    const cancellation = new Cancellation();
    const flight: Flight = {
      key: ask.key,
      databaseId: ask.databaseId,
      tags: ask.wish.tags,
      cancellation,
      readAtMs,
      lastModified,
      reply: Promise.resolve().then(() => ask.fetch(cancellation, behind)),
      waiters: 0,
      landed: false,
      fenced: false,
    };
    flight.reply = flight.reply.then(
      (reply) => {
        this.#land(flight);
        if (!flight.fenced && isKeepable(reply)) this.#keep(flight, ask.wish, reply);
        return reply;
      },
      (error: unknown) => {
        this.#land(flight);
        throw error;
      },
    );
    this.#flights.add(flight);
    this.#joinable.set(ask.key, flight);
    return flight;
  }

  #keep(flight: Flight, wish: CacheWish, reply: MinimalReply): void {
    const { key, databaseId, tags, readAtMs, lastModified } = flight;
    // Two flights of one key may land out of order; the younger reading stays.
    const present = this.#store.get(key);
    if (present && present.readAtMs > readAtMs) return;
    this.#store.put({
      key,
      databaseId,
      tags,
      status: reply.status,
      contentType: reply.headers['content-type'] ?? 'application/json',
      body: typeof reply.body === 'string' ? new TextEncoder().encode(reply.body) : reply.body,
      readAtMs,
      lastModified,
      endsAtMs: readAtMs + wish.ttlMs + wish.swrMs,
    });
  }

  #land(flight: Flight): void {
    flight.landed = true;
    this.#flights.delete(flight);
    this.#unlist(flight);
  }

  #unlist(flight: Flight): void {
    if (this.#joinable.get(flight.key) === flight) this.#joinable.delete(flight.key);
  }
}

function kept(entry: CacheEntry, cacheStatus: 'ttl' | 'swr', shared: boolean): CacheAnswer {
  const { status, contentType, body, lastModified } = entry;
  return { cacheStatus, reply: { status, headers: { 'content-type': contentType }, body }, lastModified, shared };
}

function answered(
  reply: MinimalReply,
  cacheStatus: 'miss' | 'none',
  lastModified: string,
  shared: boolean,
): CacheAnswer {
  return { cacheStatus, reply, lastModified, shared };
}

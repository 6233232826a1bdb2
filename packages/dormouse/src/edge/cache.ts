import { Cancellation, type Clock, type DatabaseId, type MinimalReply } from '../base/index.ts';
import { type CacheEntry, CacheStore, type CacheStoreLimits } from './cache-store.ts';
import type { CacheWish } from './cache-wish.ts';
import { isKeepable } from './cacheable.ts';
import { createHttpDate } from './http-date.ts';

/** One request to the cache. */
export interface CacheAsk {
  readonly key: string;
  readonly databaseId: DatabaseId;
  readonly wish: CacheWish;
  /** Fires when the client hangs up. */
  readonly cancellation: Cancellation;
  /** Tells whether the reply may be kept. Called at most once, and only if the cache has no entry for the key. */
  readonly mayKeep: () => boolean;
  /**
   * Asks the origin. `cancellation` fires when no client waits any more. `behind` is true for a refresh that runs after
   * a stale reply was given: its time is no part of that reply's timings.
   */
  readonly fetch: (cancellation: Cancellation, behind: boolean) => Promise<MinimalReply>;
}

export type CacheStatus = 'ttl' | 'swr' | 'miss' | 'none';

export interface CacheAnswer {
  readonly cacheStatus: CacheStatus;
  /** Other requests may share this object: copy the headers, never write to them. */
  readonly reply: MinimalReply;
  /** HTTP date of the moment the origin was asked. */
  readonly lastModified: string;
  /** False if this request itself reached the origin, which then has counted it. */
  readonly shared: boolean;
}

export interface CacheOptions {
  readonly clock: Clock;
  readonly limits: CacheStoreLimits;
  /** Gets each refresh that runs after its reply was given (a Worker keeps itself alive for them). */
  readonly background: (work: Promise<unknown>) => void;
  /** Called when a refresh has failed; the stale entry stays. */
  readonly onRefreshFailed: (databaseId: DatabaseId, error: unknown) => void;
}

/** One call to the origin, shared by all requests with the same key that arrive meanwhile. */
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
  /** An invalidation came after the call began: its reply may be older than that and must not be kept. */
  fenced: boolean;
}

/**
 * Keeps replies for as long as the requests ask: fresh until ttl, then stale until ttl + swr while exactly one refresh
 * runs. Requests with one key that miss at the same time share one call to the origin, a flight. The age of a reply
 * counts from the moment when the origin was asked, never from a later one.
 */
export class Cache {
  readonly #clock: Clock;
  readonly #options: CacheOptions;
  readonly #store: CacheStore;
  readonly #httpDate: () => string;
  /** The flight that the next request with a key may join. */
  readonly #joinable = new Map<string, Flight>();
  /** Every flight whose reply may still be kept; an invalidation must find the flight here. */
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

  /** Answers at once from a kept reply, or asks the origin. Rejects with the error of `fetch`. */
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

  /** Drops the entries of a database with any of `tags`, or all. Replies that are being read are not kept either. */
  invalidate(databaseId: DatabaseId, tags: readonly string[] | 'all'): number {
    for (const flight of this.#flights) {
      if (flight.databaseId !== databaseId) continue;
      if (tags !== 'all' && !flight.tags.some((tag) => tags.includes(tag))) continue;
      flight.fenced = true;
      // Requests from now on must not join a flight that began before.
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
        // The failure may concern the request that began the flight only (its time was up). The requests that joined
        // it ask once more, together.
        if (!running || attempt > 0 || ask.cancellation.cancelled) throw error;
        knownToKeep = true;
      } finally {
        leave();
      }
    }
  }

  /** The flight of the key, unless it began so long ago that its reply is too old for this request. */
  #runningFlight(ask: CacheAsk): Flight | undefined {
    const flight = this.#joinable.get(ask.key);
    if (!flight) return undefined;
    const ageMs = this.#clock.monotonic() - flight.readAtMs;
    return ageMs < ask.wish.ttlMs + ask.wish.swrMs ? flight : undefined;
  }

  /** Starts a refresh behind a stale reply, unless a flight of the key is under way. Returns whether it started one. */
  #refresh(ask: CacheAsk): boolean {
    if (this.#joinable.has(ask.key)) return false;
    const flight = this.#launch(ask, true);
    // This waiter never leaves, so that no client that hangs up ends a refresh.
    flight.waiters += 1;
    const { databaseId } = ask;
    this.#options.background(flight.reply.catch((error: unknown) => this.#options.onRefreshFailed(databaseId, error)));
    return true;
  }

  /** Registers a waiter. The flight is cancelled when its last waiter hangs up or leaves. */
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
    // Two flights of one key may end out of order; the later reading stays.
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

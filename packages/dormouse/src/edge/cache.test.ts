import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Cancellation, type DatabaseId, type MinimalReply } from '../base/index.ts';
import { Cache, type CacheAnswer, type CacheAsk } from './cache.ts';

const ONE = 'db_aaaaaaaaaaaaaaaaaaaa' as DatabaseId;
const TWO = 'db_bbbbbbbbbbbbbbbbbbbb' as DatabaseId;

interface OriginCall {
  readonly number: number;
  readonly key: string;
  readonly startedMs: number;
  /** From the start of the read to the moment when its reply is too old for the request that started it. */
  readonly lifeMs: number;
  readonly cancellation: Cancellation;
  land(outcome: 'good' | 'errors' | 'fails'): void;
}

/** A cache over an origin. The test ends each call to the origin by hand. */
function world(limits = { bytesMax: 1 << 20, entryBytesMax: 1 << 16 }) {
  const clock = new ManualClock();
  const calls: OriginCall[] = [];
  const failedRefreshes: unknown[] = [];
  const cache = new Cache({
    clock,
    limits,
    background: () => {},
    onRefreshFailed: (_, error) => failedRefreshes.push(error),
  });
  const ask = (
    key: string,
    wish: { ttlMs?: number; swrMs?: number; tags?: readonly string[] } = {},
    options: { cancellation?: Cancellation; databaseId?: DatabaseId; mayKeep?: boolean } = {},
  ): Promise<CacheAnswer> => {
    const asked: CacheAsk = {
      key,
      databaseId: options.databaseId ?? ONE,
      wish: { ttlMs: wish.ttlMs ?? 0, swrMs: wish.swrMs ?? 0, tags: wish.tags ?? [] },
      cancellation: options.cancellation ?? new Cancellation(),
      mayKeep: () => options.mayKeep ?? true,
      fetch: (cancellation) =>
        new Promise<MinimalReply>((resolve, reject) => {
          const number = calls.length;
          const reply = (body: string): MinimalReply => ({
            status: 200,
            headers: { 'content-type': 'application/json' },
            body,
          });
          calls.push({
            number,
            key,
            startedMs: clock.monotonic(),
            lifeMs: asked.wish.ttlMs + asked.wish.swrMs,
            cancellation,
            land: (outcome) => {
              if (outcome === 'fails') reject(new Error(`call ${number}`));
              else
                resolve(reply(outcome === 'good' ? `{"data":"${key}#${number}"}` : `{"errors":["${key}#${number}"]}`));
            },
          });
        }),
    };
    return Promise.resolve(cache.answer(asked));
  };
  return { clock, cache, calls, ask, failedRefreshes };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const bodyOf = (answer: CacheAnswer): string =>
  typeof answer.reply.body === 'string' ? answer.reply.body : new TextDecoder().decode(answer.reply.body);

describe('Cache', () => {
  it('an entry is served as fresh until its ttl, as stale with one refresh until ttl + swr, and after that the origin is asked again', async () => {
    const { clock, calls, ask } = world();
    const wish = { ttlMs: 1000, swrMs: 1000 };
    const first = ask('q', wish);
    await settled();
    calls[0]?.land('good');
    expect(await first).toMatchObject({ cacheStatus: 'miss', shared: false });
    clock.advance(999);
    expect((await ask('q', wish)).cacheStatus).toBe('ttl');
    clock.advance(1);
    const stale = await Promise.all([ask('q', wish), ask('q', wish), ask('q', wish)]);
    expect(stale.map((answer) => [answer.cacheStatus, bodyOf(answer)])).toEqual(
      Array(3).fill(['swr', '{"data":"q#0"}']),
    );
    await settled();
    expect(calls).toHaveLength(2);
    calls[1]?.land('good');
    await settled();
    expect(bodyOf(await ask('q', wish))).toBe('{"data":"q#1"}');
    clock.advance(2000);
    const late = ask('q', wish);
    await settled();
    calls[2]?.land('good');
    expect((await late).cacheStatus).toBe('miss');
  });

  it('a refresh that fails leaves the stale entry in place, and a client that hangs up does not end the refresh', async () => {
    const { clock, calls, ask, failedRefreshes } = world();
    const wish = { ttlMs: 10, swrMs: 1000 };
    const first = ask('q', wish);
    await settled();
    calls[0]?.land('good');
    await first;
    clock.advance(10);
    const cancellation = new Cancellation();
    expect((await ask('q', wish, { cancellation })).cacheStatus).toBe('swr');
    cancellation.cancel();
    await settled();
    expect(calls[1]?.cancellation.cancelled).toBe(false);
    calls[1]?.land('fails');
    await settled();
    expect(failedRefreshes).toHaveLength(1);
    expect(await ask('q', wish)).toMatchObject({ cacheStatus: 'swr' });
    await settled();
    calls[2]?.land('errors');
    await settled();
    expect(bodyOf(await ask('q', wish))).toBe('{"data":"q#0"}');
  });

  it('requests that miss together ask the origin once and share its reply', async () => {
    const { calls, ask } = world();
    const asks = Array.from({ length: 10 }, () => ask('q', { ttlMs: 1000 }));
    await settled();
    expect(calls).toHaveLength(1);
    calls[0]?.land('good');
    const answers = await Promise.all(asks);
    expect(answers.filter(({ shared }) => !shared)).toHaveLength(1);
    expect(new Set(answers.map(bodyOf)).size).toBe(1);
  });

  it('a call to the origin goes on when the first of its clients hangs up, and is cancelled when all have', async () => {
    const { calls, ask } = world();
    const leader = new Cancellation();
    const follower = new Cancellation();
    void ask('q', { ttlMs: 1000 }, { cancellation: leader });
    const second = ask('q', { ttlMs: 1000 }, { cancellation: follower });
    await settled();
    leader.cancel();
    expect(calls[0]?.cancellation.cancelled).toBe(false);
    calls[0]?.land('good');
    expect((await second).cacheStatus).toBe('miss');

    const alone = new Cancellation();
    void ask('r', { ttlMs: 1000 }, { cancellation: alone }).catch(() => {});
    await settled();
    alone.cancel();
    expect(calls[1]?.cancellation.cancelled).toBe(true);
    // The next request does not join the call that is being cancelled.
    const next = ask('r', { ttlMs: 1000 });
    await settled();
    expect(calls).toHaveLength(3);
    calls[2]?.land('good');
    expect(bodyOf(await next)).toBe('{"data":"r#2"}');
  });

  it('requests that waited for a call of another request do not get its failure: they ask the origin once more, together', async () => {
    const { calls, ask } = world();
    const leader = ask('q', { ttlMs: 1000 });
    const followers = [ask('q', { ttlMs: 1000 }), ask('q', { ttlMs: 1000 })];
    await settled();
    calls[0]?.land('fails');
    await expect(leader).rejects.toThrow('call 0');
    await settled();
    expect(calls).toHaveLength(2);
    calls[1]?.land('good');
    expect((await Promise.all(followers)).map(bodyOf)).toEqual(Array(2).fill('{"data":"q#1"}'));
  });

  it('a reply that was read before an invalidation is not kept, and later requests do not join its call', async () => {
    const { cache, calls, ask } = world();
    const before = ask('q', { ttlMs: 1000, tags: ['a'] });
    const other = ask('p', { ttlMs: 1000, tags: ['b'] });
    await settled();
    cache.invalidate(ONE, ['a']);
    const after = ask('q', { ttlMs: 1000, tags: ['a'] });
    await settled();
    expect(calls).toHaveLength(3);
    calls[0]?.land('good');
    calls[1]?.land('good');
    await Promise.all([before, other]);
    expect((await ask('p', { ttlMs: 1000, tags: ['b'] })).cacheStatus).toBe('ttl');
    calls[2]?.land('good');
    expect(bodyOf(await after)).toBe('{"data":"q#2"}');
    expect(bodyOf(await ask('q', { ttlMs: 1000, tags: ['a'] }))).toBe('{"data":"q#2"}');
  });

  it('the cache keeps the later of two readings, also if the later one arrives first', async () => {
    const { clock, calls, ask } = world();
    const slow = ask('q', { ttlMs: 1000 });
    await settled();
    clock.advance(10);
    // The ttl of this request is too short to join a call that began ten milliseconds ago.
    const quick = ask('q', { ttlMs: 10, swrMs: 0 });
    await settled();
    expect(calls).toHaveLength(2);
    calls[1]?.land('good');
    await quick;
    calls[0]?.land('good');
    await slow;
    expect(bodyOf(await ask('q', { ttlMs: 10 }))).toBe('{"data":"q#1"}');
  });

  it('an invalidation drops the entries of one database only', async () => {
    const { cache, calls, ask } = world();
    const asks = [ask('1', { ttlMs: 9 }, { databaseId: ONE }), ask('2', { ttlMs: 9 }, { databaseId: TWO })];
    await settled();
    for (const call of calls) call.land('good');
    await Promise.all(asks);
    expect(cache.invalidate(ONE, 'all')).toBe(1);
    expect((await ask('2', { ttlMs: 9 }, { databaseId: TWO })).cacheStatus).toBe('ttl');
    expect(cache.stats.entries).toBe(1);
  });

  it('the cache keeps neither errors nor replies to requests that may not be cached', async () => {
    const { cache, calls, ask } = world();
    const asks = [ask('e', { ttlMs: 9 }), ask('w', { ttlMs: 9 }, { mayKeep: false })];
    await settled();
    calls[0]?.land('good');
    calls[1]?.land('errors');
    expect((await Promise.all(asks)).map(({ cacheStatus }) => cacheStatus).sort()).toEqual(['miss', 'none']);
    expect(cache.stats.entries).toBe(0);
  });
});

type Step =
  | { readonly do: 'ask'; readonly key: number; readonly ttl: number; readonly swr: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'land'; readonly which: number; readonly outcome: 'good' | 'errors' | 'fails' }
  | { readonly do: 'invalidate'; readonly tag: number }
  | { readonly do: 'hang up'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('ask' as const), key: fc.nat(3), ttl: fc.nat(4), swr: fc.nat(4) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('land' as const),
      which: fc.nat(5),
      outcome: fc.constantFrom('good' as const, 'good' as const, 'errors' as const, 'fails' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('invalidate' as const), tag: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hang up' as const), which: fc.nat(5) }) },
);

/** What a cache may answer, derived from the history alone: no map, no calls in flight, no order of use. */
interface Read {
  readonly key: string;
  readonly startedMs: number;
  readonly startedAt: number;
  readonly endsMs: number;
  landedAt: number;
  good: boolean;
}

describe('Cache against its history', () => {
  // Keys 0 and 1 carry the tag t0, keys 2 and 3 the tag t1; the third kind of invalidation means all tags.
  const tagOf = (key: string): string => (Number(key) < 2 ? 't0' : 't1');

  it('the cache answers hit, stale or miss exactly as the history of reads and invalidations says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const { clock, cache, calls, ask } = world();
        const reads: Read[] = [];
        const invalidations: { readonly at: number; readonly tag: string }[] = [];
        const waiting: { readonly at: number; readonly cancellation: Cancellation; done: boolean }[] = [];
        const violations: string[] = [];
        let at = 0;
        const landed = new Set<number>();
        const passed = (key: string, since: number): boolean =>
          invalidations.some((one) => one.at > since && (one.tag === 'all' || one.tag === tagOf(key)));
        const noteCalls = (): void => {
          for (const call of calls.slice(reads.length)) {
            // While the latest call is in flight and this request may join it, no other call is started.
            const youngest = reads.findLastIndex((read) => read.key === call.key);
            const rival = reads.find(
              (read, number) =>
                number === youngest &&
                !landed.has(number) &&
                !passed(read.key, read.startedAt) &&
                !(calls[number]?.cancellation.cancelled ?? false) &&
                call.startedMs - read.startedMs < call.lifeMs,
            );
            expect(rival).toBeUndefined();
            reads.push({
              key: call.key,
              startedMs: call.startedMs,
              startedAt: at,
              endsMs: call.startedMs + call.lifeMs,
              landedAt: Number.POSITIVE_INFINITY,
              good: false,
            });
          }
        };
        const kept = (key: string): { read: Read; number: number } | undefined => {
          let best: { read: Read; number: number } | undefined;
          reads.forEach((read, number) => {
            if (read.key !== key || !read.good || read.landedAt > at || passed(key, read.startedAt)) return;
            if (!best || read.startedMs >= best.read.startedMs) best = { read, number };
          });
          return best;
        };
        for (const one of steps) {
          at += 1;
          if (one.do === 'advance') clock.advance(one.ms);
          else if (one.do === 'invalidate') {
            const tag = one.tag === 2 ? 'all' : `t${one.tag}`;
            cache.invalidate(ONE, tag === 'all' ? 'all' : [tag]);
            invalidations.push({ at, tag });
          } else if (one.do === 'hang up') {
            waiting.filter(({ done }) => !done)[one.which]?.cancellation.cancel();
          } else if (one.do === 'land') {
            const call = calls.filter(({ number }) => !landed.has(number))[one.which];
            if (call) {
              landed.add(call.number);
              const read = reads[call.number];
              if (read) Object.assign(read, { landedAt: at, good: one.outcome === 'good' });
              call.land(one.outcome);
            }
          } else if (one.ttl + one.swr > 0) {
            const key = String(one.key);
            const found = kept(key);
            const age = found ? clock.monotonic() - found.read.startedMs : 0;
            const usable = found !== undefined && clock.monotonic() < found.read.endsMs;
            const expected = usable && age < one.ttl ? 'ttl' : usable && age < one.ttl + one.swr ? 'swr' : 'miss';
            const cancellation = new Cancellation();
            const mine = { at, cancellation, done: false };
            waiting.push(mine);
            const askedMs = clock.monotonic();
            const pending = ask(key, { ttlMs: one.ttl, swrMs: one.swr, tags: [tagOf(key)] }, { cancellation });
            let seen: CacheAnswer | undefined;
            pending.then(
              (answer) => {
                mine.done = true;
                seen = answer;
                // No reply is older than its request allows, or than an invalidation before the request.
                const read = reads[Number(/#(\d+)/.exec(bodyOf(answer))?.[1])];
                const ageMs = askedMs - (read?.startedMs ?? Number.NaN);
                const outdated = invalidations.some(
                  (i) => i.at > (read?.startedAt ?? 0) && i.at < mine.at && (i.tag === 'all' || i.tag === tagOf(key)),
                );
                if (read?.key !== key) violations.push(`${key} got ${bodyOf(answer)}`);
                if (!(ageMs < one.ttl + one.swr)) violations.push(`${key} got what is ${ageMs} old`);
                if (answer.cacheStatus === 'ttl' && !(ageMs < one.ttl))
                  violations.push(`${key} fresh, but ${ageMs} old`);
                if (outdated) violations.push(`${key} got what an invalidation had dropped`);
              },
              () => {
                mine.done = true;
              },
            );
            await settled();
            if (expected === 'miss') expect(seen).toBeUndefined();
            else {
              expect(seen?.cacheStatus).toBe(expected);
              expect(seen && bodyOf(seen)).toBe(`{"data":"${key}#${found?.number}"}`);
            }
          }
          await settled();
          noteCalls();
        }
        // Every request is answered once the origin has answered all calls, retries included.
        for (let round = 0; round < 4; round++) {
          for (const call of calls) call.land('good');
          await settled();
        }
        expect(waiting.filter(({ done, cancellation }) => !done && !cancellation.cancelled)).toEqual([]);
        expect(cache.stats.flights).toBe(0);
        expect(violations).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});

import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { Conditions } from './conditions.ts';
import { type Drain, drain } from './drain.ts';
import { Watermarks } from './watermarks.ts';

/** Far enough into a page that the target is the position itself. */
const TARGET = 8192n * 3n + 4000n;

let clock: ManualClock;
let marks: Watermarks;
let conditions: Conditions;
let stream: { live: boolean; idle: boolean; pings: number; idleStored: number };
let stopped: boolean;

beforeEach(() => {
  clock = new ManualClock();
  marks = new Watermarks();
  conditions = new Conditions(clock);
  stream = { live: true, idle: true, pings: 0, idleStored: 0 };
  stopped = false;
});

function begin(ms: number, options: Partial<Pick<Drain, 'signal' | 'targetLsn'>> = {}): Promise<boolean> {
  return drain({
    ...{ targetLsn: TARGET, beganMs: clock.monotonic(), ms, signal: undefined, marks, conditions, clock },
    stream: () => ({
      ...{ live: stream.live, idle: stream.idle },
      acknowledge: () => stream.pings++,
      storeIdle: async () => void stream.idleStored++,
    }),
    stopped: () => stopped,
    ...options,
  });
}

/** Lets time go by in small steps, so that each wait of the drain is seen. */
async function pass(ms: number, each: () => void = () => {}): Promise<void> {
  for (let left = ms; left > 0; left -= 10) {
    await new Promise((resolve) => setImmediate(resolve));
    each();
    clock.advance(10);
  }
  await new Promise((resolve) => setImmediate(resolve));
}

it('a drain ends as soon as the server says that it is at the target and everything is in the log', async () => {
  const drained = begin(1000);
  await pass(100);
  expect(stream.pings).toBeGreaterThan(2);
  stream.idle = false;
  marks.serverAt(TARGET);
  conditions.changed();
  await pass(100);
  expect(stream.idleStored).toBe(0);
  stream.idle = true;
  conditions.changed();
  expect(await drained).toBe(true);
  expect(stream.idleStored).toBe(1);
});

it('a drain that does not reach its target in its time gives false', async () => {
  const drained = begin(200);
  marks.serverAt(TARGET - 1n);
  await pass(300);
  expect(await drained).toBe(false);
  expect(stream.idleStored).toBe(0);
});

it('a target right behind the header of a page is reached with the page before it', async () => {
  const page = 8192n * 5n;
  marks.serverAt(page);
  expect(await begin(1000, { targetLsn: page + 24n })).toBe(true);
});

it('a drain without a bound goes on as long as capture advances, and ends after 30 s of silence', async () => {
  let ended = false;
  const drained = begin(Number.POSITIVE_INFINITY).finally(() => {
    ended = true;
  });
  await pass(40_000, () => marks.steps++);
  expect(ended).toBe(false);
  await pass(31_000);
  expect(await drained).toBe(false);
});

it('a drain ends when seven streams in a row have stored nothing, when its signal fires, and when capture stops', async () => {
  const barren = begin(Number.POSITIVE_INFINITY);
  marks.barrenStreams += 7;
  await pass(300);
  expect(await barren).toBe(false);

  const controller = new AbortController();
  const aborted = begin(Number.POSITIVE_INFINITY, { signal: controller.signal });
  controller.abort();
  await pass(300);
  expect(await aborted).toBe(false);

  const stopping = begin(Number.POSITIVE_INFINITY);
  stopped = true;
  await pass(300);
  expect(await stopping).toBe(false);
});

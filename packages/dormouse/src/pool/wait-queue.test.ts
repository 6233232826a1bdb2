import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Cancellation, Deadline, type DormouseError } from '../base/index.ts';
import type { Lease } from './pool.ts';
import { WaitQueue } from './wait-queue.ts';

const LEASE = {} as Lease;

/** A model of the queue, in arrays. */
class Model {
  readonly max: number;
  /** The keys in the order of their turns, each with the numbers of its callers. */
  lanes: [string, number[]][] = [];
  constructor(max: number) {
    this.max = max;
  }
  get size(): number {
    return this.lanes.reduce((sum, [, lane]) => sum + lane.length, 0);
  }
  of(key: string): number[] {
    return this.lanes.find(([name]) => name === key)?.[1] ?? [];
  }
  remove(id: number): void {
    for (const [, lane] of this.lanes) if (lane.includes(id)) lane.splice(lane.indexOf(id), 1);
    this.lanes = this.lanes.filter(([, lane]) => lane.length > 0);
  }
  /** Adds a caller; gives the caller that is refused: another one, the new one itself, or none. */
  wait(key: string, id: number): number | undefined {
    let refused: number | undefined;
    if (this.size >= this.max) {
      const most = Math.max(0, ...this.lanes.map(([, lane]) => lane.length));
      const longest = this.lanes.find(([, lane]) => lane.length === most)?.[1];
      if (longest === undefined || most <= this.of(key).length + 1) return id;
      refused = longest.at(-1) as number;
      this.remove(refused);
    }
    const lane = this.lanes.find(([name]) => name === key);
    if (lane === undefined) this.lanes.push([key, [id]]);
    else lane[1].push(id);
    return refused;
  }
  take(): number | undefined {
    const first = this.lanes.shift();
    if (first === undefined) return undefined;
    const id = first[1].shift();
    if (first[1].length > 0) this.lanes.push(first);
    return id;
  }
}

type Step =
  | { readonly kind: 'wait'; readonly key: string }
  | { readonly kind: 'take' }
  | { readonly kind: 'hangUp' | 'expire'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), key: fc.constantFrom('a', 'a', 'b', 'c') }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('hangUp' as const, 'expire' as const), which: fc.nat() }),
  },
);

/** The callers of a queue, each with a number, and how each of them ended. */
function callers(queue: WaitQueue, clock: ManualClock) {
  const ends = new Map<number, string>();
  const cancellations: Cancellation[] = [];
  const entered = (key: string, withinMs = Number.POSITIVE_INFINITY): number => {
    const id = cancellations.length;
    const cancellation = new Cancellation();
    cancellations.push(cancellation);
    const deadline = new Deadline(clock, clock.monotonic() + withinMs);
    queue.wait({ deadline, cancellation, key }).then(
      () => ends.set(id, 'served'),
      (error: DormouseError) => ends.set(id, error.code),
    );
    return id;
  };
  return { ends, cancellations, entered };
}

/** Lets the promises that were settled run their callbacks. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('WaitQueue', () => {
  it('the waiting queue behaves as its model does, in whatever order callers come, leave and are served', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 6 }), fc.array(step, { maxLength: 60 }), async (max, steps) => {
        const clock = new ManualClock();
        const queue = new WaitQueue(clock, max);
        const model = new Model(max);
        const { ends, cancellations, entered } = callers(queue, clock);
        const expected = new Map<number, string>();
        for (const each of steps) {
          if (each.kind === 'wait') {
            const id = entered(each.key, 1_000 + cancellations.length);
            const refused = model.wait(each.key, id);
            if (refused !== undefined) expected.set(refused, 'queue_full');
          } else if (each.kind === 'take') {
            queue.take()?.resolve(LEASE);
            const id = model.take();
            if (id !== undefined) expected.set(id, 'served');
          } else {
            const waiting = model.lanes.flatMap(([, lane]) => lane).sort((a, b) => a - b);
            // The caller that came first is also the first whose deadline passes.
            const id = each.kind === 'expire' ? waiting[0] : waiting[each.which % Math.max(1, waiting.length)];
            if (id === undefined) continue;
            if (each.kind === 'hangUp') cancellations[id]?.cancel();
            else clock.advance(1_000 + id - clock.monotonic());
            for (const late of each.kind === 'hangUp' ? [id] : waiting.filter((other) => other <= id)) {
              model.remove(late);
              expected.set(late, each.kind === 'hangUp' ? 'interrupted' : 'connection_timeout');
            }
            if (each.kind === 'expire') break;
          }
          await settled();
          expect(queue.size).toBe(model.size);
          expect(ends).toEqual(expected);
          // One timer serves all callers that wait; it may outlive them.
          expect(clock.timers).toBeLessThanOrEqual(1);
        }
        await settled();
        expect(queue.size).toBe(model.size);
        expect(ends).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  it('a key is served within one turn of all keys, however many callers of another key wait', async () => {
    const clock = new ManualClock();
    const queue = new WaitQueue(clock, 1_000);
    const { ends, entered } = callers(queue, clock);
    for (let i = 0; i < 990; i++) entered('flood');
    const one = entered('quiet');
    const two = entered('quiet');
    queue.take()?.resolve(LEASE);
    queue.take()?.resolve(LEASE);
    await settled();
    expect(ends.get(one)).toBe('served');
    queue.take()?.resolve(LEASE);
    queue.take()?.resolve(LEASE);
    await settled();
    expect(ends.get(two)).toBe('served');
    expect(queue.size).toBe(988);
  });

  it('a key finds room in a queue that another key has filled, up to an equal share', async () => {
    const clock = new ManualClock();
    const queue = new WaitQueue(clock, 10);
    const { ends, entered } = callers(queue, clock);
    const flood = Array.from({ length: 10 }, () => entered('flood'));
    const quiet = Array.from({ length: 7 }, () => entered('quiet'));
    const more = entered('flood');
    await settled();
    expect(queue.size).toBe(10);
    // The newest callers of the flood gave way; five callers of each key remain.
    expect(flood.map((id) => ends.get(id))).toEqual([...Array(5).fill(undefined), ...Array(5).fill('queue_full')]);
    expect(quiet.map((id) => ends.get(id))).toEqual([...Array(5).fill(undefined), 'queue_full', 'queue_full']);
    expect(ends.get(more)).toBe('queue_full');
  });

  it('a key that is alone may use the whole queue', async () => {
    const clock = new ManualClock();
    const queue = new WaitQueue(clock, 10);
    const { ends, entered } = callers(queue, clock);
    const ids = Array.from({ length: 11 }, () => entered('only'));
    await settled();
    expect(queue.size).toBe(10);
    expect(ids.map((id) => ends.get(id)).filter((end) => end !== undefined)).toEqual(['queue_full']);
  });
});

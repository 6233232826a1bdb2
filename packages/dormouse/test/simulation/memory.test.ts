import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DatabaseId, Deadline, silentLogger } from '../../src/base/index.ts';
import { Controller } from '../../src/instance/life/controller.ts';
import { ASSUMED_BYTES, MemoryKeeper } from '../../src/instance/memory/memory-keeper.ts';
import { FakeServer } from '../support/fake-server.ts';
import { SettlingClock, settled } from '../support/manual-clock.ts';

// Several databases under one memory keeper, used at random while the machine's memory comes and goes. `fc.assert(…, {
// seed, path })` replays a failing sequence.

const SERVER_BYTES = 8 * 1024 * 1024;
const COUNT = 8;

type Step =
  | { readonly do: 'use' | 'crash'; readonly at: number }
  | { readonly do: 'always-on'; readonly at: number; readonly on: boolean }
  | { readonly do: 'available'; readonly bytes: number }
  | { readonly do: 'advance'; readonly ms: number };

const at = fc.integer({ min: 0, max: COUNT - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('use' as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('always-on' as const), at, on: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('available' as const), bytes: fc.constantFrom(0, 2 ** 30) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 30_000 }) }) },
);

async function simulate(steps: readonly Step[], maxBytes: number): Promise<void> {
  const clock = new SettlingClock();
  const machine = { totalBytes: 2 ** 31, available: 2 ** 30, availableBytes: () => machine.available };
  const keeper = new MemoryKeeper({ maxBytes, machine, clock, logger: silentLogger });
  const problems: string[] = [];
  const servers = Array.from({ length: COUNT }, () => new FakeServer(clock));
  const rest = { suspendAfterMs: 100, stopAfterMs: Number.POSITIVE_INFINITY, alwaysOn: false };
  const controllers = servers.map((server, index): Controller => {
    const controller: Controller = new Controller({
      databaseId: `db_${String(index).padStart(20, '0')}` as DatabaseId,
      server,
      rest,
      clock,
      logger: silentLogger,
      makeRoom: () => keeper.makeRoom(controller),
    });
    controller.onChange((state, previous) => {
      keeper.changed(controller, state);
      if (state !== 'stopping') return;
      if (previous !== 'suspended') problems.push(`a ${previous} database was taken`);
      if (controller.rest.alwaysOn) problems.push('one that is always on was taken');
    });
    return controller;
  });
  for (const each of steps) {
    switch (each.do) {
      case 'use':
        void controllers[each.at]?.hold(Deadline.in(clock, 60_000)).then((hold) => hold.release());
        break;
      case 'crash':
        servers[each.at]?.crash();
        break;
      case 'always-on':
        controllers[each.at]?.setRest({ ...rest, alwaysOn: each.on });
        break;
      case 'available':
        machine.available = each.bytes;
        break;
      case 'advance':
        await clock.advance(each.ms);
        break;
    }
    await settled();
  }
  machine.available = 2 ** 30;
  await clock.advance(60_000);
  const up = controllers.filter(({ state }) => state !== 'stopped');
  const { bytes, servers: counted, measured } = keeper.use;
  expect(problems).toEqual([]);
  // In the end every database that is up is measured, the sum is right, and only databases that may not be stopped keep
  // the sum over the mark.
  expect([counted, measured, bytes]).toEqual([up.length, up.length, up.length * SERVER_BYTES]);
  if (bytes > maxBytes) expect(up.filter(({ rest: { alwaysOn } }) => !alwaysOn)).toEqual([]);
  // With no memory to spare, every suspended database is stopped, and no other.
  machine.available = 0;
  await clock.advance(60_000);
  expect(controllers.map(({ state }) => state)).toEqual(
    controllers.map(({ rest: { alwaysOn } }) => (alwaysOn ? 'running' : 'stopped')),
  );
  expect(servers.flatMap(({ violations }) => violations)).toEqual([]);
}

describe('the memory keeper, under random use', () => {
  it('the memory keeper keeps the sum below the mark, stops only suspended databases, and refuses no caller', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }),
        fc.integer({ min: 0, max: COUNT }).map((count) => count * SERVER_BYTES),
        simulate,
      ),
      { numRuns: 500 },
    );
  });

  it('the memory keeper stops the least recently used databases, as many as the low-water mark asks for', async () => {
    const clock = new SettlingClock();
    const machine = { totalBytes: undefined, availableBytes: () => undefined };
    const keeper = new MemoryKeeper({
      maxBytes: 4 * SERVER_BYTES + ASSUMED_BYTES,
      machine,
      clock,
      logger: silentLogger,
    });
    const states: string[] = [];
    const open = (index: number): Controller => {
      const controller: Controller = new Controller({
        databaseId: `db_${String(index).padStart(20, '0')}` as DatabaseId,
        server: new FakeServer(clock),
        rest: { suspendAfterMs: 100, stopAfterMs: Number.POSITIVE_INFINITY, alwaysOn: false },
        clock,
        logger: silentLogger,
        makeRoom: () => keeper.makeRoom(controller),
      });
      controller.onChange((state) => {
        keeper.changed(controller, state);
        if (state === 'stopped') states.push(`${index} stopped`);
        if (state === 'running') states.push(`${index} up`);
      });
      return controller;
    };
    const use = async (controller: Controller): Promise<void> => {
      void controller.hold(Deadline.in(clock, 60_000)).then((hold) => hold.release());
      await clock.advance(1000);
    };
    const [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(open) as [
      Controller,
      Controller,
      Controller,
      Controller,
      Controller,
      Controller,
    ];
    for (const one of [a, b, c, d, e]) await use(one);
    // The first is used again, so now the second is the least recently used.
    await use(a);
    states.length = 0;
    await use(f);
    // Room is made before the start. Going to 10 % below the mark stops one database; the assumed size of the new
    // server stops another.
    expect(states).toEqual(['1 stopped', '2 stopped', '5 up']);
    expect(keeper.use.bytes).toBe(4 * SERVER_BYTES);
  });
});

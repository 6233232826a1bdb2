import { describe, expect, it } from 'vitest';
import { FakeServer } from '../../../test/support/fake-server.ts';
import { SettlingClock } from '../../../test/support/manual-clock.ts';
import { type DatabaseId, Deadline, DormouseError, silentLogger } from '../../base/index.ts';
import type { InstanceState } from '../contract/instance.ts';
import { Controller } from './controller.ts';
import type { IdleTasks } from './idle-tasks.ts';
import type { RestSettings } from './idle-timer.ts';

const REST: RestSettings = { suspendAfterMs: 1000, stopAfterMs: 10_000, alwaysOn: false };

interface World {
  readonly clock: SettlingClock;
  readonly server: FakeServer;
  readonly controller: Controller;
  readonly states: InstanceState[];
  in(ms: number): Deadline;
}

function world(rest: Partial<RestSettings> = {}, idleTasks?: IdleTasks): World {
  const clock = new SettlingClock();
  const server = new FakeServer(clock);
  const controller = new Controller({
    databaseId: 'db_00000000000000000000' as DatabaseId,
    server,
    rest: { ...REST, ...rest },
    ...(idleTasks === undefined ? {} : { idleTasks }),
    clock,
    logger: silentLogger,
  });
  const states: InstanceState[] = [];
  controller.onChange((state) => states.push(state));
  return { clock, server, controller, states, in: (ms) => Deadline.in(clock, ms) };
}

/** Whether and how a promise has settled, without waiting for it. */
function watch<T>(promise: Promise<T>): { value?: T; code?: string } {
  const seen: { value?: T; code?: string } = {};
  promise.then(
    (value) => {
      seen.value = value;
    },
    (error: unknown) => {
      seen.code = error instanceof DormouseError ? error.code : String(error);
    },
  );
  return seen;
}

async function running(w: World): Promise<void> {
  const hold = watch(w.controller.hold(w.in(1000)));
  await w.clock.advance(100);
  hold.value?.release();
  expect(w.controller.state).toBe('running');
}

describe('holds on a database', () => {
  it('holds on a database share one start of the server', async () => {
    const w = world();
    const holds = Array.from({ length: 200 }, () => watch(w.controller.hold(w.in(1000))));
    await w.clock.advance(20);
    expect(holds.every(({ value }) => value !== undefined)).toBe(true);
    expect(w.server.starts).toBe(1);
    expect(w.controller.holds).toBe(200);
  });

  it('a hold is given at once while the server runs, and not before', async () => {
    const w = world();
    expect(w.controller.tryHold()).toBeUndefined();
    await running(w);
    const hold = w.controller.tryHold();
    expect(hold).toBeDefined();
    hold?.release();
    hold?.release();
    expect(w.controller.holds).toBe(0);
  });

  it('each hold that is waited for has a separate deadline', async () => {
    const w = world();
    w.server.plan.startMs = 50;
    const short = watch(w.controller.hold(w.in(10)));
    const long = watch(w.controller.hold(w.in(100)));
    await w.clock.advance(49);
    expect(short.code).toBe('wake_timeout');
    await w.clock.advance(1);
    expect(long.value).toBeDefined();
    expect(w.controller.holds).toBe(1);
  });

  it('an open hold keeps the server from being frozen, however long the hold is open', async () => {
    const w = world();
    const hold = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(60_000);
    expect(w.controller.state).toBe('running');
    hold.value?.release();
    await w.clock.advance(999);
    expect(w.controller.state).toBe('running');
    await w.clock.advance(2);
    expect(w.controller.state).toBe('suspended');
  });

  it('a hold that is asked for while the server freezes waits and wakes the server', async () => {
    const w = world();
    await running(w);
    w.server.plan.otherMs = 5;
    await w.clock.advance(1002);
    expect(w.controller.state).toBe('suspending');
    const hold = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(10);
    expect(hold.value).toBeDefined();
    expect(w.states.slice(-3)).toEqual(['suspended', 'waking', 'running']);
  });

  it('a hold that is asked for while the server stops waits and starts the server', async () => {
    const w = world();
    await running(w);
    const stop = watch(w.controller.stop());
    expect(w.controller.state).toBe('stopping');
    const hold = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(50);
    expect('value' in stop).toBe(true);
    expect(hold.value).toBeDefined();
    expect(w.server.starts).toBe(2);
  });
});

describe('the rest of a database', () => {
  it('the rest of a database leads from running to suspended to stopped', async () => {
    const w = world();
    await running(w);
    await w.clock.advance(20_000);
    expect(w.states).toEqual(['starting', 'running', 'suspending', 'suspended', 'stopping', 'stopped']);
  });

  it('the rest of a database begins a while after the last activity', async () => {
    const w = world();
    await running(w);
    for (let round = 0; round < 20; round++) {
      await w.clock.advance(900);
      w.controller.tryHold()?.release();
      expect(w.controller.state).toBe('running');
    }
  });

  it('the rest of a database stays at suspended while a session is open, and goes on to stopped after the last session has ended', async () => {
    const w = world();
    await running(w);
    const session = w.controller.openSession();
    await w.clock.advance(100_000);
    expect(w.controller.state).toBe('suspended');
    session.release();
    await w.clock.advance(10);
    expect(w.controller.state).toBe('stopped');
  });

  it('a caller can force the rest of a database', async () => {
    const w = world();
    await running(w);
    const suspended = watch(w.controller.suspend());
    await w.clock.advance(1);
    expect('value' in suspended && w.controller.state === 'suspended').toBe(true);
    const awake = watch(w.controller.wake());
    await w.clock.advance(1);
    expect('value' in awake && w.controller.state === 'running').toBe(true);
    const stopped = watch(w.controller.stop());
    await w.clock.advance(1);
    expect('value' in stopped && w.controller.state === 'stopped').toBe(true);
  });

  it('a forced rest of a database waits for open holds for a bounded time, and no hold is given meanwhile', async () => {
    const w = world();
    const held = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(20);
    const suspend = watch(w.controller.suspend());
    expect(w.controller.tryHold()).toBeUndefined();
    const late = watch(w.controller.hold(w.in(60_000)));
    await w.clock.advance(9000);
    expect(suspend).toEqual({});
    held.value?.release();
    await w.clock.advance(5);
    expect('value' in suspend).toBe(true);
    expect(late.value).toBeDefined();
    const refused = watch(w.controller.suspend());
    await w.clock.advance(10_000);
    expect(refused.code).toBe('database_busy');
    expect(w.controller.tryHold()).toBeDefined();
  });

  it('a forced stop ends the open holds, and the release of an ended hold does nothing', async () => {
    const w = world();
    const held = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(20);
    void w.controller.stop();
    await w.clock.advance(5);
    expect(w.controller.state).toBe('stopped');
    await running(w);
    const fresh = w.controller.tryHold();
    held.value?.release();
    expect(w.controller.holds).toBe(1);
    fresh?.release();
  });

  it('a freeze that fails leaves the server running', async () => {
    const w = world();
    await running(w);
    w.server.plan.suspendFails = true;
    await w.clock.advance(5000);
    expect(w.controller.state).toBe('running');
    expect(w.controller.tryHold()).toBeDefined();
  });
});

describe('a change of the settings of rest', () => {
  it('a change of the settings of rest takes effect at once, in a running and in a suspended database', async () => {
    const w = world({ suspendAfterMs: Number.POSITIVE_INFINITY, stopAfterMs: Number.POSITIVE_INFINITY });
    await running(w);
    await w.clock.advance(100_000);
    expect(w.controller.state).toBe('running');
    w.controller.setRest({ ...REST, stopAfterMs: Number.POSITIVE_INFINITY });
    // It has been idle for long enough already.
    await w.clock.advance(5);
    expect(w.controller.state).toBe('suspended');
    await w.clock.advance(100_000);
    w.controller.setRest({ ...REST, stopAfterMs: 200_000 });
    await w.clock.advance(50_000);
    expect(w.controller.state).toBe('suspended');
    w.controller.setRest(REST);
    await w.clock.advance(5);
    expect(w.controller.state).toBe('stopped');
  });
});

describe('a database that is always on', () => {
  const on = { alwaysOn: true };

  it('a database that is always on neither suspends nor stops, and wakes or starts when the setting is made', async () => {
    const w = world();
    w.controller.setRest({ ...REST, ...on });
    await w.clock.advance(1_000_000);
    expect([w.states, w.server.starts]).toEqual([['starting', 'running'], 1]);
    w.controller.setRest(REST);
    await w.clock.advance(2000);
    expect(w.controller.state).toBe('suspended');
    w.controller.setRest({ ...REST, ...on });
    await w.clock.advance(1_000_000);
    expect(w.controller.state).toBe('running');
  });

  it('a database that is always on starts after the search for an earlier server, not before', async () => {
    const w = world(on);
    w.server.plan.otherMs = 50;
    void w.controller.adopt();
    await w.clock.advance(49);
    expect(w.server.starts).toBe(0);
    await w.clock.advance(100);
    expect(w.controller.state).toBe('running');
  });

  it('a database that is always on starts again after a crash without a query, ever later after repeated crashes', async () => {
    const w = world();
    w.controller.setRest({ ...REST, ...on });
    await w.clock.advance(100_000);
    w.server.crash();
    await w.clock.advance(200);
    expect(w.controller.state).toBe('running');
    w.controller.onChange((state) => {
      if (state === 'running') queueMicrotask(() => w.server.crash());
    });
    const before = w.server.starts;
    w.server.crash();
    await w.clock.advance(10_000);
    expect(w.server.starts - before).toBeGreaterThan(3);
    expect(w.server.starts - before).toBeLessThan(10);
  });

  it('a database that is always on is started again after a failed start without a query', async () => {
    const w = world(on);
    w.server.plan.startFails = true;
    w.controller.setRest({ ...REST, ...on });
    await w.clock.advance(1000);
    expect(w.controller.state).toBe('failed');
    w.server.plan.startFails = false;
    await w.clock.advance(6000);
    expect(w.controller.state).toBe('running');
  });

  it.each(['suspend', 'stop'] as const)(
    'a database that is always on rests after `%s` until a caller needs the database',
    async (verb) => {
      const w = world();
      w.controller.setRest({ ...REST, ...on });
      await w.clock.advance(100);
      const put = watch(w.controller[verb]());
      await w.clock.advance(1_000_000);
      expect('value' in put).toBe(true);
      expect(w.controller.state).toBe(verb === 'suspend' ? 'suspended' : 'stopped');
      await running(w);
      await w.clock.advance(1_000_000);
      expect(w.controller.state).toBe('running');
    },
  );

  it('after work on the files of a database that is always on, the database starts again, unless a caller had made the database rest before', async () => {
    const w = world();
    w.controller.setRest({ ...REST, ...on });
    await w.clock.advance(100);
    const copy = () =>
      w.controller.whileStopped(false, async () => {
        expect(w.server.actual).toBe('down');
        await new Promise<void>((resolve) => w.clock.after(500, resolve));
        expect(w.server.actual).toBe('down');
        return 'copied';
      });
    const copied = watch(copy());
    await w.clock.advance(400);
    expect([copied.value, w.controller.state]).toEqual([undefined, 'stopped']);
    await w.clock.advance(500);
    expect([copied.value, w.controller.state]).toEqual(['copied', 'running']);
    void w.controller.stop();
    await w.clock.advance(100);
    // Nor does another change bring it back.
    w.controller.setRest({ ...REST, ...on, stopAfterMs: 1 });
    void copy();
    await w.clock.advance(100_000);
    expect(w.controller.state).toBe('stopped');
  });

  it('a database that is always on stops when the platform ends', async () => {
    const w = world();
    w.controller.setRest({ ...REST, ...on });
    await w.clock.advance(100);
    void w.controller.close('shutting_down');
    await w.clock.advance(100_000);
    expect(w.controller.state).toBe('stopped');
  });
});

describe('scarce memory', () => {
  it('scarce memory stops a suspended database, with or without sessions, and no other database', async () => {
    const w = world();
    await running(w);
    w.controller.openSession();
    const early = watch(w.controller.yieldMemory());
    await w.clock.advance(2000);
    expect([early.value, w.controller.state]).toEqual([false, 'suspended']);
    const yielded = watch(w.controller.yieldMemory());
    await w.clock.advance(10);
    expect([yielded.value, w.controller.state]).toEqual([true, 'stopped']);
  });

  it('callers that need a database while scarce memory stops the database wait for the next start', async () => {
    const w = world();
    await running(w);
    await w.clock.advance(2000);
    void w.controller.yieldMemory();
    const hold = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(50);
    expect(hold.value).toBeDefined();
    expect(w.server.starts).toBe(2);
  });
});

describe('idle tasks', () => {
  /** IdleTasks that take `ms` once, and `endMs` more when they are given up. */
  function idleTasks(clock: () => SettlingClock, ms: number, endMs = 0) {
    const seen = { begun: 0, ended: 0, givenUp: 0, due: true };
    const wait = (forMs: number) => new Promise<void>((resolve) => clock().after(forMs, resolve));
    const one: IdleTasks = {
      due: () => seen.due,
      async run(signal) {
        seen.begun++;
        seen.due = false;
        await new Promise<void>((resolve) => {
          clock().after(ms, resolve);
          signal.addEventListener('abort', () => resolve());
        });
        if (signal.aborted) {
          seen.givenUp++;
          await wait(endMs);
        }
        seen.ended++;
      },
    };
    return { one, seen };
  }

  it('idle tasks are done once before the freeze', async () => {
    const { one, seen } = idleTasks(() => w.clock, 300);
    const w = world({}, one);
    await running(w);
    await w.clock.advance(1200);
    expect([seen.begun, seen.ended, w.controller.state]).toEqual([1, 0, 'running']);
    await w.clock.advance(300);
    expect([seen.begun, seen.ended, w.controller.state]).toEqual([1, 1, 'suspended']);
  });

  it('idle tasks are given up for a query, which does not wait for the end of the tasks', async () => {
    const { one, seen } = idleTasks(() => w.clock, 300, 50);
    const w = world({}, one);
    await running(w);
    await w.clock.advance(1200);
    const hold = w.controller.tryHold();
    expect(hold).toBeDefined();
    hold?.release();
    await w.clock.advance(49);
    expect([seen.givenUp, seen.ended]).toEqual([1, 0]);
    await w.clock.advance(1100);
    expect([seen.begun, seen.ended, w.controller.state]).toEqual([1, 1, 'suspended']);
  });

  it.each(['suspend', 'stop'] as const)('idle tasks are given up for `%s`', async (verb) => {
    const { one, seen } = idleTasks(() => w.clock, 300, 50);
    const w = world({}, one);
    await running(w);
    await w.clock.advance(1200);
    const done = watch(w.controller[verb]());
    await w.clock.advance(60);
    expect([seen.givenUp, 'value' in done]).toEqual([1, true]);
  });
});

describe('a server that cannot be frozen', () => {
  it('the freeze of a server that cannot be frozen is tried again only after a pause', async () => {
    const w = world({ suspendAfterMs: 0 });
    w.server.plan.otherMs = 0;
    w.server.plan.suspendFails = true;
    await running(w);
    await w.clock.advance(10_000);
    expect(w.states.filter((state) => state === 'suspending').length).toBeLessThan(15);
    w.server.plan.suspendFails = false;
    await w.clock.advance(2000);
    expect(['suspended', 'stopped']).toContain(w.controller.state);
  });
});

describe('a server that does not start', () => {
  it('a server that does not start fails the waiters, and is started again for the next caller after the pause of the back-off', async () => {
    const w = world();
    w.server.plan.startFails = true;
    w.server.plan.startMs = 1;
    const codes: (string | undefined)[] = [];
    for (let storm = 0; storm < 100; storm++) {
      const one = watch(w.controller.hold(w.in(60_000)));
      await w.clock.advance(20);
      codes.push(one.code);
    }
    await w.clock.advance(10_000);
    // 100 queries within 2 s: starts at 0, 100, 300, 700, 1500 ms.
    expect(w.server.starts).toBeLessThan(8);
    expect(w.controller.state).toBe('failed');
    expect(w.controller.failure?.code).toBe('start_failed');
    w.server.plan.startFails = false;
    await running(w);
    expect(w.controller.failure).toBeUndefined();
  });

  it('a caller that waited through the back-off in vain is told why the server does not start', async () => {
    const w = world();
    w.server.plan.startFails = true;
    const first = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(20);
    expect(first.code).toBe('start_failed');
    const second = watch(w.controller.hold(w.in(10)));
    await w.clock.advance(10);
    expect(second.code).toBe('start_failed');
  });
});

describe('a crash of the server', () => {
  it('a crash of the server ends the generation, is told to listeners, and is followed by a start for the next hold', async () => {
    const w = world();
    const told: string[] = [];
    w.controller.attach({
      started: () => told.push('started'),
      stopping: async () => void told.push('stopping'),
      stopped: () => told.push('stopped'),
    });
    await running(w);
    const { generation } = w.controller;
    w.server.crash();
    expect(w.controller.state).toBe('stopped');
    expect(w.controller.generation).toBeGreaterThan(generation);
    expect(told).toEqual(['started', 'stopped']);
    await running(w);
    expect(told).toEqual(['started', 'stopped', 'started']);
  });

  it.each(['suspending', 'suspended', 'waking'] as const)(
    'a crash of the server while the database is %s keeps no caller waiting',
    async (state) => {
      const w = world();
      await running(w);
      void w.controller.suspend().catch(() => {});
      let hold = watch(w.controller.hold(w.in(10_000)));
      if (state === 'suspended') {
        hold = {};
        w.controller.onChange((now) => {
          if (now === 'suspended') queueMicrotask(() => w.server.crash());
        });
      } else if (state === 'waking') {
        w.controller.onChange((now) => {
          if (now === 'waking') queueMicrotask(() => w.server.crash());
        });
      } else {
        w.server.crash();
      }
      const later = watch(w.controller.hold(w.in(10_000)));
      await w.clock.advance(100);
      expect(later.value).toBeDefined();
      if (state !== 'suspended') expect(hold.value).toBeDefined();
      expect(w.server.actual).toBe('up');
    },
  );
});

describe('attachments', () => {
  it('attachments are told before a stop, and delay the stop for a bounded time only', async () => {
    const w = world();
    const told: string[] = [];
    w.controller.attach({ started() {}, stopping: () => new Promise(() => {}), stopped: () => told.push('stopped') });
    await running(w);
    const stop = watch(w.controller.stop());
    await w.clock.advance(4000);
    expect(w.server.actual).toBe('up');
    expect(told).toEqual([]);
    await w.clock.advance(1100);
    expect('value' in stop).toBe(true);
    expect(told).toEqual(['stopped']);
  });

  /** An attachment that has something to finish before a rest: for `ms`, or until it is hurried. */
  function settler(w: World, ms: number): { readonly turns: ('whole' | 'hurried')[] } {
    const turns: ('whole' | 'hurried')[] = [];
    w.controller.attach({
      started() {},
      stopping: async () => {},
      stopped() {},
      async settling(signal) {
        const hurried = new Promise((resolve) => signal.addEventListener('abort', resolve));
        await Promise.race([new Promise<void>((resolve) => w.clock.after(ms, resolve)), hurried]);
        turns.push(signal.aborted ? 'hurried' : 'whole');
      },
    });
    return { turns };
  }

  it('attachments finish what is under way before a rest, while the server still serves', async () => {
    const w = world();
    const { turns } = settler(w, 120_000);
    await running(w);
    await w.clock.advance(60_000);
    expect(w.controller.state).toBe('running');
    // A query does not wait, and what it wrote is waited for as well.
    w.controller.tryHold()?.release();
    await w.clock.advance(1);
    expect(turns).toEqual(['hurried']);
    await w.clock.advance(120_900);
    expect(w.controller.state).toBe('running');
    await w.clock.advance(200);
    expect(w.controller.state).toBe('suspended');
    expect(turns).toEqual(['hurried', 'whole']);
    // Nobody used it: nothing is left to finish. A stop looks, since the freeze may have come in between.
    await w.clock.advance(10_001);
    expect(w.controller.state).toBe('stopping');
  });

  it('attachments finish what is under way before a forced rest too, unless the server is needed', async () => {
    const w = world();
    const { turns } = settler(w, 30_000);
    await running(w);
    const suspend = watch(w.controller.suspend());
    await w.clock.advance(29_000);
    expect(w.controller.state).toBe('running');
    await w.clock.advance(1100);
    expect('value' in suspend).toBe(true);
    expect(turns).toEqual(['whole']);
    await running(w);
    const again = watch(w.controller.suspend());
    await w.clock.advance(100);
    const hold = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(100);
    expect('value' in again).toBe(true);
    expect(hold.value).toBeDefined();
    expect(turns).toEqual(['whole', 'hurried']);
  });

  it.each<['stop' | 'shutting_down' | 'database_deleted', number]>([
    ['stop', 60_000],
    ['shutting_down', 10_000],
    ['database_deleted', 0],
  ])('attachments are hurried when a stop has waited for long enough: %s', async (how, ms) => {
    const w = world();
    settler(w, 300_000);
    await running(w);
    const done = watch(how === 'stop' ? w.controller.stop() : w.controller.close(how));
    if (ms > 0) await w.clock.advance(ms - 1);
    expect('value' in done).toBe(false);
    await w.clock.advance(100);
    expect('value' in done).toBe(true);
  });

  it('attachments are told of a stop while the server is not frozen', async () => {
    const w = world();
    const actual: string[] = [];
    w.controller.attach({ started() {}, stopping: async () => void actual.push(w.server.actual), stopped() {} });
    await running(w);
    await w.clock.advance(20_000);
    expect(w.controller.state).toBe('stopped');
    expect(actual).toEqual(['up']);
  });

  it('attachments are not told of a thaw, and are told at once of a server that is up already', async () => {
    const w = world();
    await running(w);
    let started = 0;
    w.controller.attach({ started: () => void started++, stopping: async () => {}, stopped() {} });
    expect(started).toBe(1);
    void w.controller.suspend();
    await w.clock.advance(2);
    await running(w);
    expect(started).toBe(1);
  });
});

describe('an adopted server', () => {
  it('an adopted server counts as running, is announced to attachments, and rests when idle', async () => {
    const w = world();
    w.server.adoptable = true;
    const adopted = watch(w.controller.adopt());
    await w.clock.advance(1);
    expect('value' in adopted && w.controller.state === 'running').toBe(true);
    await w.clock.advance(2000);
    expect(w.controller.state).toBe('suspended');
  });
});

describe('a server that recovers for long', () => {
  it('a server that recovers for long and was started by an earlier platform counts as starting, and is waited for', async () => {
    const w = world();
    w.server.adoptable = 'starting';
    w.server.plan.startMs = 600_000;
    const adopted = watch(w.controller.adopt());
    await w.clock.advance(1);
    expect([adopted.value, w.controller.state]).toEqual([true, 'starting']);
    const early = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(599_000);
    expect([early.code, w.controller.state]).toEqual(['wake_timeout', 'starting']);
    await w.clock.advance(1000);
    expect(w.controller.state).toBe('running');
  });

  it.each([
    ['a stop', 'stopped', (controller: Controller) => controller.stop()],
    ['the end of the platform', 'stopped', (controller: Controller) => controller.close('shutting_down')],
  ] as const)('%s breaks off a long recovery of the server, but only after a wait', async (_, state, stop) => {
    const w = world();
    w.server.plan.startMs = 600_000;
    void watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(1);
    const stopped = watch(stop(w.controller));
    await w.clock.advance(29_000);
    expect(w.controller.state).toBe('starting');
    await w.clock.advance(3000);
    expect('value' in stopped && w.controller.state).toBe(state);
  });
});

describe('a hold that is asked for during the adoption', () => {
  it.each([true, false])(
    'a hold that is asked for during the adoption waits for the end of the adoption (server found: %s)',
    async (adoptable) => {
      const w = world();
      w.server.adoptable = adoptable;
      w.server.plan.otherMs = 50;
      void w.controller.adopt();
      const hold = watch(w.controller.hold(w.in(1000)));
      await w.clock.advance(100);
      expect(hold.value).toBeDefined();
      expect(w.server.starts).toBe(adoptable ? 0 : 1);
      expect(w.server.violations).toEqual([]);
    },
  );
});

describe('the close of a database', () => {
  it('the close of a database stops the server, and refuses waiters and later callers', async () => {
    const w = world();
    const waiting = watch(w.controller.hold(w.in(1000)));
    const close = watch(w.controller.close('shutting_down'));
    const later = watch(w.controller.hold(w.in(1000)));
    await w.clock.advance(100);
    expect([waiting.code, later.code]).toEqual(['shutting_down', 'shutting_down']);
    expect('value' in close && w.server.actual === 'down').toBe(true);
    expect(w.controller.tryHold()).toBeUndefined();
  });
});

describe('work on the files of a stopped server', () => {
  /** Work that ends when the test says so, or when it is told to. */
  function work(): {
    readonly run: (signal: AbortSignal) => Promise<string>;
    end(): void;
    readonly signal: () => AbortSignal;
  } {
    let finish: (() => void) | undefined;
    let given: AbortSignal | undefined;
    return {
      run: (signal) =>
        new Promise((resolve, reject) => {
          given = signal;
          finish = () => resolve('copied');
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
      end: () => finish?.(),
      signal: () => given as AbortSignal,
    };
  }

  it('work on the files of a server begins after the stop, and makes callers that need the server wait', async () => {
    const w = world();
    await running(w);
    const files = work();
    const done = watch(w.controller.whileStopped(false, files.run));
    await w.clock.advance(100);
    expect([w.controller.state, w.server.actual]).toEqual(['stopped', 'down']);
    const hold = watch(w.controller.hold(w.in(10_000)));
    await w.clock.advance(5000);
    expect([hold, files.signal().aborted, w.server.starts]).toEqual([{}, false, 1]);
    files.end();
    await w.clock.advance(100);
    expect(done.value).toBe('copied');
    expect(hold.value).toBeDefined();
    expect(w.server.starts).toBe(2);
  });

  it('work on the files of a stopped server is asked to end for a caller that needs the server, where the work yields', async () => {
    const w = world();
    const files = work();
    const done = watch(w.controller.whileStopped(true, files.run));
    await w.clock.advance(100);
    expect(w.server.starts).toBe(0);
    const hold = watch(w.controller.hold(w.in(10_000)));
    await w.clock.advance(100);
    expect(done.code).toBe('database_busy');
    expect(hold.value).toBeDefined();
  });

  it('work on the files keeps the server stopped until the last of several pieces of work has ended', async () => {
    const w = world();
    const [first, second] = [work(), work()];
    const done = [first, second].map((files) => watch(w.controller.whileStopped(false, files.run)));
    await w.clock.advance(10);
    const hold = watch(w.controller.hold(w.in(10_000)));
    first.end();
    await w.clock.advance(100);
    expect([done[0]?.value, hold.value, w.server.starts]).toEqual(['copied', undefined, 0]);
    second.end();
    await w.clock.advance(100);
    expect(hold.value).toBeDefined();
  });

  it.each(['database_deleted', 'shutting_down'] as const)(
    'work on the files of a stopped server is asked to end at a close of the database: %s',
    async (reason) => {
      const w = world();
      const done = watch(w.controller.whileStopped(false, work().run));
      await w.clock.advance(10);
      await w.controller.close(reason);
      await w.clock.advance(10);
      expect(done.code).toBe(reason);
      const late = watch(w.controller.whileStopped(false, work().run));
      await w.clock.advance(10);
      expect(late.code).toBe(reason);
    },
  );
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DatabaseId, Deadline, DormouseError, silentLogger } from '../../src/base/index.ts';
import type { Hold, InstanceState } from '../../src/instance/index.ts';
import { Controller } from '../../src/instance/life/controller.ts';
import type { RestSettings } from '../../src/instance/life/idle-timer.ts';
import { INSTANCE_EVENTS, INSTANCE_STATES, TRANSITIONS } from '../../src/instance/life/transitions.ts';
import { FakeServer } from '../support/fake-server.ts';
import { SettlingClock, settled } from '../support/manual-clock.ts';

// Random sequences of everything that can happen to a controller, over a fake server and a clock that the test moves. A
// failing sequence is printed with its seed; `fc.assert(…, { seed, path })` replays it.

type Step =
  | { readonly do: 'hold'; readonly deadlineMs: number }
  | {
      readonly do:
        | 'try-hold'
        | 'release'
        | 'open-session'
        | 'close-session'
        | 'suspend'
        | 'stop'
        | 'wake'
        | 'crash'
        | 'yield-memory';
    }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'file-work'; readonly ms: number; readonly yields: boolean }
  | { readonly do: 'set-rest'; readonly rest: RestSettings }
  | {
      readonly do: 'plan';
      readonly startMs: number;
      readonly otherMs: number;
      readonly startFails: boolean;
      readonly suspendFails: boolean;
      readonly wakeFails: boolean;
      /** How long the idle tasks take, and how long it takes to cancel them. Undefined if no tasks are due. */
      readonly idleTasksMs: number | undefined;
      readonly giveUpMs: number;
      /** How long an attachment has work to finish before the database is suspended or stopped. */
      readonly settleMs: number;
    };

const simple = (
  ...names: readonly (
    | 'try-hold'
    | 'release'
    | 'open-session'
    | 'close-session'
    | 'suspend'
    | 'stop'
    | 'wake'
    | 'crash'
    | 'yield-memory'
  )[]
) => fc.constantFrom(...names).map((name) => ({ do: name }) as Step);

const rarely = fc.integer({ min: 0, max: 9 }).map((n) => n === 0);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('hold' as const), deadlineMs: fc.integer({ min: 0, max: 400 }) }),
  },
  { weight: 8, arbitrary: simple('try-hold', 'release', 'release', 'suspend', 'wake') },
  { weight: 4, arbitrary: simple('open-session', 'close-session', 'stop', 'crash', 'yield-memory') },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 40 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 40, max: 3000 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('plan' as const),
      startMs: fc.integer({ min: 0, max: 60 }),
      otherMs: fc.integer({ min: 0, max: 30 }),
      startFails: rarely,
      suspendFails: rarely,
      wakeFails: rarely,
      idleTasksMs: fc.option(fc.integer({ min: 0, max: 200 }), { nil: undefined }),
      giveUpMs: fc.integer({ min: 0, max: 20 }),
      settleMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }), fc.constant(5 * 60_000)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('file-work' as const),
      ms: fc.integer({ min: 0, max: 300 }),
      yields: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('set-rest' as const),
      rest: fc.record({
        suspendAfterMs: fc.constantFrom(0, 10, 100, Number.POSITIVE_INFINITY),
        stopAfterMs: fc.constantFrom(0, 50, 1000, Number.POSITIVE_INFINITY),
        alwaysOn: fc.boolean(),
      }),
    }),
  },
);

const REST: RestSettings = { suspendAfterMs: 100, stopAfterMs: 1000, alwaysOn: false };
/** Longer than every time limit in the controller: after it no caller may still wait. */
const FOREVER_MS = 20 * 60_000;

function edges(from: InstanceState): Set<InstanceState | 'bug'> {
  return new Set(INSTANCE_EVENTS.map((event) => TRANSITIONS[from][event]));
}

interface Outcome {
  readonly visited: ReadonlySet<string>;
}

async function simulate(steps: readonly Step[]): Promise<Outcome> {
  const clock = new SettlingClock();
  const server = new FakeServer(clock);
  const visited = new Set<string>();
  const problems: string[] = [];
  const told: string[] = [];
  const idleTasks = { ms: undefined as number | undefined, giveUpMs: 0, busy: false };
  const settle = { ms: 0, busy: false };
  const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  /** Forced suspends and stops that are neither reached nor refused yet. */
  const forced = { suspend: 0, stop: 0 };
  const controller = new Controller({
    databaseId: 'db_00000000000000000000' as DatabaseId,
    server,
    rest: REST,
    idleTasks: {
      due: () => idleTasks.ms !== undefined,
      async run(signal) {
        if (controller.state !== 'running' || controller.holds > 0)
          problems.push(`idle tasks while ${controller.state}`);
        idleTasks.busy = true;
        const { ms = 0, giveUpMs } = idleTasks;
        idleTasks.ms = undefined;
        await Promise.race([wait(ms), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
        if (signal.aborted) await wait(giveUpMs);
        idleTasks.busy = false;
      },
    },
    clock,
    logger: silentLogger,
  });
  controller.attach({
    started: () => void told.push('started'),
    async settling(signal) {
      if (server.actual !== 'up') problems.push(`settling on a server that is ${server.actual}`);
      settle.busy = true;
      await Promise.race([wait(settle.ms), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      if (!signal.aborted) settle.ms = 0;
      settle.busy = false;
    },
    stopping: async () => {
      if (told.at(-1) !== 'started') problems.push('last words of a server that was not announced');
    },
    stopped: () => void told.push('stopped'),
  });
  const open = new Map<Hold, number>();
  const sessions: Hold[] = [];
  let pending = 0;
  let generation = controller.generation;
  controller.onChange((state, previous) => {
    visited.add(`${previous}→${state}`);
    if (!edges(previous).has(state)) problems.push(`${previous} → ${state} is not in the table`);
    if (state === 'suspending' && [...open.values()].includes(controller.generation))
      problems.push('frozen with a hold open');
    if (state === 'suspending' && idleTasks.busy) problems.push('frozen in the middle of idle tasks');
    if (state === 'suspending' && settle.busy) problems.push('frozen before what was under way had settled');
    if (controller.rest.alwaysOn && state === 'suspending' && forced.suspend === 0)
      problems.push('froze what is always on');
    if (controller.rest.alwaysOn && state === 'stopping' && previous !== 'waking' && forced.stop === 0)
      problems.push('stopped what is always on');
    if (controller.generation < generation) problems.push('generation went back');
    generation = controller.generation;
  });
  const granted = (hold: Hold): void => {
    if (controller.state !== 'running') problems.push(`hold given while ${controller.state}`);
    // A crash that has just happened is reported within the same turn of the event loop.
    if (server.actual !== 'up') problems.push(`hold on a server that is ${server.actual}`);
    open.set(hold, controller.generation);
  };
  const track = (promise: Promise<unknown>, codes: readonly string[], reached?: () => boolean): void => {
    pending++;
    promise
      .then(() => {
        if (reached?.() === false) problems.push(`told that it is reached while ${controller.state}`);
      })
      .catch((error: unknown) => {
        if (!(error instanceof DormouseError) || !codes.includes(error.code))
          problems.push(`failed with ${String(error)}`);
      })
      .finally(() => pending--);
  };
  const force = (kind: 'suspend' | 'stop', ask: () => Promise<unknown>, codes: readonly string[]): void => {
    forced[kind]++;
    const asked = ask();
    const over = (): void => {
      forced[kind]--;
    };
    asked.then(over, over);
    track(asked, codes);
  };
  const take = (step: Step): void | Promise<void> => {
    switch (step.do) {
      case 'hold': {
        const deadline = Deadline.in(clock, step.deadlineMs);
        const asked = controller.hold(deadline);
        asked.then(
          (hold) => {
            if (clock.monotonic() > deadline.atMs) problems.push('hold given after its deadline');
            granted(hold);
          },
          () => {
            if (clock.monotonic() > deadline.atMs) problems.push('waiter kept past its deadline');
          },
        );
        track(asked, ['wake_timeout', 'start_failed']);
        return;
      }
      case 'try-hold': {
        const hold = controller.tryHold();
        if (hold !== undefined) granted(hold);
        return;
      }
      case 'release': {
        const [hold] = open.keys();
        if (hold === undefined) return;
        open.delete(hold);
        hold.release();
        hold.release();
        return;
      }
      case 'open-session':
        sessions.push(controller.openSession());
        return;
      case 'close-session':
        sessions.pop()?.release();
        return;
      case 'suspend':
        // A listener may already see the next change.
        return force('suspend', () => controller.suspend(), ['database_busy', 'internal']);
      case 'stop':
        return force('stop', () => controller.stop(), []);
      case 'yield-memory':
        if (!controller.rest.alwaysOn) force('stop', () => controller.yieldMemory(), []);
        else
          track(
            controller.yieldMemory().then((given) => given && problems.push('took from what is always on')),
            [],
          );
        return;
      case 'file-work': {
        const work = async (signal: AbortSignal): Promise<void> => {
          if (server.actual !== 'down') problems.push(`files worked on while the server is ${server.actual}`);
          await Promise.race([wait(step.ms), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
          if (server.actual !== 'down') problems.push(`a server that is ${server.actual} met work on its files`);
        };
        return force('stop', () => controller.whileStopped(step.yields, work), []);
      }
      case 'set-rest':
        return controller.setRest(step.rest);
      case 'wake':
        return track(controller.wake(), ['start_failed', 'wake_timeout']);
      case 'crash':
        server.crash();
        return;
      case 'advance':
        return clock.advance(step.ms);
      case 'plan':
        Object.assign(server.plan, step);
        Object.assign(idleTasks, { ms: step.idleTasksMs, giveUpMs: step.giveUpMs });
        settle.ms = step.settleMs;
        return;
    }
  };
  for (const each of steps) {
    await take(each);
    await settled();
  }
  // All faults are lifted and all holds released: in the end the database rests and no caller waits.
  Object.assign(server.plan, { startMs: 1, otherMs: 1, startFails: false, suspendFails: false, wakeFails: false });
  await clock.advance(1000);
  for (const hold of [...open.keys()]) {
    open.delete(hold);
    hold.release();
  }
  for (const session of sessions) session.release();
  // Suspends and stops that were forced before are reached, and count as forced. Settling takes 5 minutes at most.
  settle.ms = 0;
  await clock.advance(6 * 60_000);
  // A database that is always on comes up by itself, whatever happened before, and stays up.
  controller.setRest(REST);
  controller.setRest({ ...REST, alwaysOn: true });
  await clock.advance(FOREVER_MS);
  expect([...problems, controller.state]).toEqual(['running']);
  controller.setRest(REST);
  await clock.advance(FOREVER_MS);
  expect([...problems, ...server.violations]).toEqual([]);
  expect(pending).toBe(0);
  expect(controller.holds).toBe(0);
  expect(['stopped', 'failed']).toContain(controller.state);
  expect(server.actual).toBe('down');
  // The database can still be used.
  const last = controller.hold(Deadline.in(clock, 60_000));
  await clock.advance(10_000);
  (await last).release();
  expect(controller.state === 'running' || controller.state === 'suspended' || controller.state === 'stopped').toBe(
    true,
  );
  // Announcements of readiness and of rest must alternate.
  expect(told.every((word, index) => word === (index % 2 === 0 ? 'started' : 'stopped'))).toBe(true);
  return { visited };
}

describe('the controller, under random sequences of events', () => {
  it('the controller makes only transitions of its table, lets no caller hang, and gives no hold on a server that is not up', async () => {
    const visited = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 80, size: 'max' }), async (steps) => {
        for (const edge of (await simulate(steps)).visited) visited.add(edge);
      }),
      { numRuns: 4000 },
    );
    // The random walk must have taken every edge of the table, or it proves nothing. The exceptions are edges that the
    // fake server never causes (an adoption; a stop that fails).
    const expected: string[] = [];
    for (const from of INSTANCE_STATES) {
      for (const event of INSTANCE_EVENTS) {
        const to = TRANSITIONS[from][event];
        if (to === 'bug' || to === from || event === 'adopted') continue;
        if (from === 'stopping' && event === 'failed') continue;
        expected.push(`${from}→${to}`);
      }
    }
    expect(expected.filter((edge) => !visited.has(edge))).toEqual([]);
  });
});

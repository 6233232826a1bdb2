import { describe, expect, it } from 'vitest';
import type { InstanceState } from '../contract/instance.ts';
import { nextStep, type Situation, type Step } from './next-step.ts';
import { INSTANCE_STATES } from './transitions.ts';

/** A database without any use, which has not been idle for long. */
const QUIET: Situation = {
  forcedStop: false,
  forcedSuspend: false,
  waiters: false,
  holds: false,
  sessions: false,
  idleLongEnough: false,
  idleTasksDue: false,
  idleTasksRunning: false,
  settled: true,
  settling: false,
  keptOn: false,
  fileWork: false,
};

const FACTS = Object.keys(QUIET) as (keyof Situation)[];

/** Every situation there is: each combination of the facts. */
function* situations(): Generator<Situation> {
  for (let bits = 0; bits < 2 ** FACTS.length; bits++) {
    const facts = FACTS.map((fact, index) => [fact, (bits & (1 << index)) !== 0]);
    yield Object.fromEntries(facts) as unknown as Situation;
  }
}

/** Every situation in which the step of `state` is `step`. */
function situationsOf(state: InstanceState, step: Step): Situation[] {
  return [...situations()].filter((situation) => nextStep(state, situation) === step);
}

type Row = readonly [state: InstanceState, facts: Partial<Situation>, step: Step];

const TABLE: readonly Row[] = [
  ['running', {}, 'time-idleness'],
  ['running', { waiters: true }, 'serve'],
  ['running', { holds: true, idleLongEnough: true }, 'wait'],
  ['running', { sessions: true, idleLongEnough: true }, 'suspend'],
  ['running', { idleLongEnough: true }, 'suspend'],
  ['running', { idleLongEnough: true, idleTasksDue: true, settled: false }, 'begin-idle-tasks'],
  ['running', { idleLongEnough: true, idleTasksRunning: true }, 'wait'],
  ['running', { idleLongEnough: true, settled: false }, 'settle'],
  ['running', { idleLongEnough: true, settled: false, settling: true }, 'wait'],
  ['running', { forcedStop: true, holds: true }, 'stop'],
  ['running', { forcedSuspend: true }, 'suspend'],
  ['running', { forcedSuspend: true, holds: true }, 'wait'],
  ['running', { forcedSuspend: true, idleTasksRunning: true }, 'end-idle-tasks'],
  ['running', { forcedSuspend: true, settled: false }, 'settle'],
  ['running', { forcedSuspend: true, settled: false, settling: true }, 'wait'],
  ['running', { forcedSuspend: true, settled: false, settling: true, waiters: true }, 'end-settling'],
  ['running', { forcedSuspend: true, settled: false, waiters: true }, 'suspend'],
  ['suspended', {}, 'time-idleness'],
  ['suspended', { idleLongEnough: true }, 'stop'],
  ['suspended', { idleLongEnough: true, sessions: true }, 'wait'],
  ['suspended', { waiters: true, idleLongEnough: true }, 'run'],
  ['suspended', { keptOn: true }, 'run'],
  ['suspended', { forcedStop: true, waiters: true }, 'stop'],
  ['stopped', {}, 'wait'],
  ['stopped', { waiters: true }, 'run'],
  ['stopped', { waiters: true, fileWork: true }, 'end-file-work'],
  ['stopped', { keptOn: true }, 'restart'],
  ['stopped', { keptOn: true, fileWork: true }, 'wait'],
  ['failed', {}, 'wait'],
  ['failed', { waiters: true }, 'retry'],
  ['failed', { keptOn: true }, 'retry'],
  ['failed', { forcedStop: true, waiters: true }, 'stop'],
];

describe('the decision of what a database does next', () => {
  it.each(TABLE)('the next step of a %s database in the situation %j is: %s', (state, facts, step) => {
    expect(nextStep(state, { ...QUIET, ...facts })).toBe(step);
  });

  it('the next step in every transient state is to wait, whatever the situation', () => {
    for (const state of ['starting', 'suspending', 'waking', 'stopping'] as const) {
      for (const situation of situations()) expect(nextStep(state, situation)).toBe('wait');
    }
  });

  it('the next step suspends a running database only while no hold is open and no idle task or settling runs', () => {
    const found = situationsOf('running', 'suspend');
    expect(found.length).toBeGreaterThan(0);
    for (const situation of found) {
      expect(situation).toMatchObject({ holds: false, idleTasksRunning: false, settling: false });
      expect(situation.forcedSuspend || situation.idleLongEnough).toBe(true);
      // Only waiters may cut the settling short.
      expect(situation.settled || situation.waiters).toBe(true);
    }
  });

  it('the next step stops a running or failed database only when a caller forces the stop', () => {
    for (const state of ['running', 'failed'] as const) {
      for (const situation of situations()) {
        expect(nextStep(state, situation) === 'stop').toBe(situation.forcedStop);
      }
    }
  });

  it('the next step stops a suspended database that no caller forces only without waiters and sessions, and never a database kept on', () => {
    const found = situationsOf('suspended', 'stop').filter(({ forcedStop }) => !forcedStop);
    expect(found.length).toBeGreaterThan(0);
    for (const situation of found) {
      expect(situation).toMatchObject({ waiters: false, sessions: false, keptOn: false, idleLongEnough: true });
    }
  });

  it('the next step never starts a database while work on the files of the database is under way', () => {
    for (const situation of situations()) {
      if (situation.fileWork) expect(['run', 'restart']).not.toContain(nextStep('stopped', situation));
    }
  });

  it('the next step never leaves waiters without a way on in a state that lasts', () => {
    const waits = INSTANCE_STATES.flatMap((state) =>
      situationsOf(state, 'wait').map((situation) => ({ state, situation })),
    );
    for (const { state, situation } of waits) {
      if (!situation.waiters || !['running', 'suspended', 'stopped', 'failed'].includes(state)) continue;
      // A forced suspend waits for the open holds, for a bounded time.
      expect({ state, ...situation }).toMatchObject({ state: 'running', forcedSuspend: true, holds: true });
    }
  });
});

import { describe, expect, it } from 'vitest';
import type { DatabaseSummary } from './api.ts';
import {
  actionsIn,
  applyChange,
  describeLimits,
  describeMemory,
  describePlatform,
  describeRest,
  masked,
  summarize,
  toneOf,
} from './databases.ts';

const one = (id: string, createdAtMs: number, state = 'stopped'): DatabaseSummary => ({
  id: id as DatabaseSummary['id'],
  name: id,
  state,
  pgMajor: 18,
  throwAway: false,
  createdAtMs,
  keys: 1,
  operationsToday: 0,
  rest: { suspendAfterMs: 5000, stopAfterMs: 300_000, alwaysOn: false, listenKeepsAwake: false, own: [] },
  limits: {
    memoryLimitBytes: 'none',
    cpuLimit: 'none',
    cpuWeight: 100,
    processLimit: 'none',
    tempLimitBytes: 'none',
    own: [],
  },
  parent: null,
  memoryBytes: 0,
});

describe('the list', () => {
  it('the list follows the changes that the platform sends', () => {
    let list = applyChange([], { kind: 'databases', databases: [one('b', 2), one('a', 1)] });
    expect(list.map(({ id }) => id)).toEqual(['a', 'b']);
    list = applyChange(list, { kind: 'state', id: 'b', state: 'running' });
    list = applyChange(list, { kind: 'created', database: one('c', 0) });
    list = applyChange(list, { kind: 'created', database: one('c', 0, 'starting') });
    expect(list.map(({ id, state }) => `${id} ${state}`)).toEqual(['c starting', 'a stopped', 'b running']);
    list = applyChange(list, { kind: 'deleted', id: 'a' });
    list = applyChange(list, { kind: 'state', id: 'a', state: 'running' });
    expect(list.map(({ id }) => id)).toEqual(['c', 'b']);
  });

  it('new counts are taken over without the states of the same reply, which may be older', () => {
    const list = [one('a', 1, 'running')];
    const late = [{ ...one('a', 1, 'stopped'), keys: 3, operationsToday: 9 }, one('z', 2)];
    expect(applyChange(list, { kind: 'counts', databases: late })).toEqual([
      { ...one('a', 1, 'running'), keys: 3, operationsToday: 9 },
    ]);
  });

  it('a changed database is replaced, and a deleted one does not come back', () => {
    const rest = {
      suspendAfterMs: 'never',
      stopAfterMs: 'never',
      alwaysOn: true,
      listenKeepsAwake: false,
      own: ['alwaysOn'],
    } as const;
    const changed = { ...one('a', 1, 'running'), rest };
    expect(applyChange([one('a', 1), one('b', 2)], { kind: 'changed', database: changed })).toEqual([
      changed,
      one('b', 2),
    ]);
    expect(applyChange([one('b', 2)], { kind: 'changed', database: changed })).toEqual([one('b', 2)]);
  });

  it('the limits of a database are described', () => {
    const { limits } = one('a', 1);
    expect(describeLimits(limits)).toBe('');
    expect(describeLimits({ ...limits, memoryLimitBytes: 2 ** 29, cpuLimit: 1.5, cpuWeight: 50 })).toBe(
      'at most 512 MiB, 1.5 CPUs, CPU weight 50',
    );
    expect(describeLimits({ ...limits, tempLimitBytes: 2 ** 30 })).toBe(
      'at most 1024 MiB of temporary files per session',
    );
  });

  it('the times of rest of a database are described', () => {
    const { rest } = one('a', 1);
    expect(describeRest(rest)).toBe('suspends after 5 s, stops 5 min later');
    expect(describeRest({ ...rest, suspendAfterMs: 1500, stopAfterMs: 'never' })).toBe(
      'suspends after 1500 ms, never stops',
    );
    expect(describeRest({ ...rest, suspendAfterMs: 'never' })).toBe('never suspends by itself');
    expect(describeRest({ ...rest, alwaysOn: true })).toBe('always on');
  });

  it('the memory of a database is described where it is known', () => {
    expect([null, 0, 8_150_000, 123_456_789].map(describeMemory)).toEqual(['', '', '7.8 MiB', '118 MiB']);
    const big = { ...one('a', 1, 'running'), memoryBytes: 16 * 2 ** 20 };
    expect(summarize([big, { ...one('b', 2), memoryBytes: null }])).toBe('2 databases: 1 running, 1 stopped; 16 MiB');
  });

  it('the list is summed up in one line', () => {
    expect(summarize([])).toBe('');
    expect(summarize([one('a', 1)])).toBe('1 database: 1 stopped');
    expect(summarize([one('a', 1), one('b', 2, 'running'), one('c', 3)])).toBe('3 databases: 2 stopped, 1 running');
  });
});

describe('a state', () => {
  it('each state has its appearance and its possible actions', () => {
    expect(actionsIn('running')).toEqual({ wake: false, suspend: true, stop: true });
    expect(actionsIn('suspended')).toEqual({ wake: true, suspend: false, stop: true });
    expect(actionsIn('stopped')).toEqual({ wake: true, suspend: false, stop: false });
    for (const state of ['waking', 'starting', 'stopping', 'suspending', 'creating', 'deleting', 'unheard-of']) {
      expect(actionsIn(state)).toEqual({ wake: false, suspend: false, stop: false });
      expect(toneOf(state)).toBe('moving');
    }
  });
});

it('the secret of an address is hidden, and nothing else of it', () => {
  expect(masked('prisma+postgres://h:1/?api_key=a.b.c')).toBe('prisma+postgres://h:1/?api_key=••••••');
  expect(masked('postgres://key_1:s3cret@h:5440/postgres')).toBe('postgres://key_1:••••••@h:5440/postgres');
  expect(masked('ws://h:4400')).toBe('ws://h:4400');
});

describe('the platform', () => {
  it('the database that runs out of transaction ids is named', () => {
    const oldest = { id: one('a', 1).id, frozenXidAge: 1, runningOut: false };
    const status = { version: '1.0.0', region: 'here', oldest };
    expect(describePlatform(status, [])).toBe('Dormouse 1.0.0, region here');
    expect(describePlatform({ ...status, oldest: null }, [])).toBe('Dormouse 1.0.0, region here');
    const list = [{ ...one('a', 1), name: 'shop' }];
    expect(describePlatform({ ...status, oldest: { ...oldest, runningOut: true } }, list)).toBe(
      'Dormouse 1.0.0, region here. Transaction ids of shop are running out: see dormouse db show shop',
    );
  });
});

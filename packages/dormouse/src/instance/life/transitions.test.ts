import { describe, expect, it } from 'vitest';
import type { InstanceState } from '../contract/instance.ts';
import { INSTANCE_EVENTS, INSTANCE_STATES, TRANSITIONS } from './transitions.ts';

const TRANSIENT: readonly InstanceState[] = ['starting', 'suspending', 'waking', 'stopping'];

describe('the table of transitions', () => {
  it('the table of transitions answers every event in every state', () => {
    expect(Object.keys(TRANSITIONS).sort()).toEqual([...INSTANCE_STATES].sort());
    for (const state of INSTANCE_STATES) {
      expect(Object.keys(TRANSITIONS[state]).sort()).toEqual([...INSTANCE_EVENTS].sort());
    }
  });

  it('the table of transitions takes every order and every exit in every state', () => {
    for (const state of INSTANCE_STATES) {
      for (const event of ['run', 'suspend', 'stop', 'exited'] as const) {
        expect(TRANSITIONS[state][event], `${event} in ${state}`).not.toBe('bug');
      }
    }
  });

  it('the table of transitions expects a report exactly in the transient states, and each report ends the state', () => {
    for (const state of INSTANCE_STATES) {
      const transient = TRANSIENT.includes(state);
      for (const event of ['done', 'failed'] as const) {
        const next = TRANSITIONS[state][event];
        expect(next !== 'bug', `${event} in ${state}`).toBe(transient);
        if (transient) expect(next).not.toBe(state);
      }
    }
  });

  it('the table of transitions leads from every state to running and to stopped, by orders and reports of success alone', () => {
    for (const [goal, order] of [
      ['running', 'run'],
      ['stopped', 'stop'],
    ] as const) {
      for (const from of INSTANCE_STATES) {
        let state: InstanceState = from;
        for (let step = 0; state !== goal && step < INSTANCE_STATES.length; step++) {
          const next: InstanceState | 'bug' = TRANSITIONS[state][TRANSIENT.includes(state) ? 'done' : order];
          if (next === 'bug') throw new Error(`bug in ${state}`);
          state = next;
        }
        expect(state, `${goal} from ${from}`).toBe(goal);
      }
    }
  });
});

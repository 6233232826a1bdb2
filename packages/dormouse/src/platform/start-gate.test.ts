import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Deadline } from '../base/index.ts';
import { StartGate } from './start-gate.ts';

describe('StartGate', () => {
  it('a caller that comes before the start is over waits for its end', async () => {
    const clock = new ManualClock();
    const gate = new StartGate<string>();
    const waiting = [gate.wait(Deadline.in(clock, 1000)), gate.wait(Deadline.in(clock, 2000))];
    expect(() => gate.now()).toThrow('is starting');
    gate.open('fleet');
    expect(await Promise.all(waiting)).toEqual(['fleet', 'fleet']);
    expect(await gate.wait(Deadline.in(clock, 0))).toBe('fleet');
  });

  it('no caller waits past its deadline', async () => {
    const clock = new ManualClock();
    const gate = new StartGate<string>();
    const waiting = gate.wait(Deadline.in(clock, 1000));
    clock.advance(1000);
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
  });

  it('all callers fail when the start fails', async () => {
    const clock = new ManualClock();
    const gate = new StartGate<string>();
    const waiting = gate.wait(Deadline.in(clock, 1000));
    gate.fail();
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(gate.wait(Deadline.in(clock, 1000))).rejects.toMatchObject({ code: 'shutting_down' });
  });
});

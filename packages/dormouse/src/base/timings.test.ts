import { describe, expect, it } from 'vitest';
import { Timings } from './timings.ts';

describe('Timings', () => {
  it('the server-timing header lists the stages that a request passed, in their order, with microseconds', () => {
    const timings = new Timings();
    timings.add('total', 1234.5678);
    timings.add('sql', 0.9996);
    timings.add('sql', 0.0001);
    timings.add('auth', 0);
    timings.add('queue', 61.02);
    expect(timings.header()).toBe('auth;dur=0.000, queue;dur=61.020, sql;dur=1.000, total;dur=1234.568');
    expect(timings.get('auth')).toBe(0);
    expect(timings.get('wake')).toBeUndefined();
  });

  it('a negative duration, measured while the clock went back, counts as zero', () => {
    const timings = new Timings();
    timings.add('sql', -0.5);
    expect(timings.header()).toBe('sql;dur=0.000');
  });
});

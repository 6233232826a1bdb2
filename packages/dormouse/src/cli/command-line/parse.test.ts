import { describe, expect, it } from 'vitest';
import { count, duration, restTime, text, toggle } from './flag.ts';
import { parseFlags } from './parse.ts';

const table = {
  data: text('g', 'DIR', 'where', { environment: 'DATA_HERE' }),
  pgPort: count('g', 5440, 'port'),
  stopAfter: restTime('g', 1000, 'stop'),
  patience: duration('g', 2000, 'wait'),
  yes: toggle('g', 'sure', 'y'),
};
const parse = (words: readonly string[], environment: Record<string, string> = {}) =>
  parseFlags(words, table, environment, 'demo');
const message = (words: readonly string[], environment?: Record<string, string>): string => {
  try {
    parse(words, environment);
  } catch (error) {
    expect(error).toMatchObject({ code: 'usage_invalid' });
    return (error as Error).message;
  }
  throw new Error('it was taken');
};

describe('flags', () => {
  it('flags that are absent have their defaults', () => {
    const { values, given, positionals } = parse([]);
    expect(values).toEqual({ data: undefined, pgPort: 5440, stopAfter: 1000, patience: 2000, yes: false });
    expect([...given]).toEqual([]);
    expect(positionals).toEqual([]);
  });

  it('a value follows its flag after a space or an equals sign, and arguments stand anywhere', () => {
    const { values, given, positionals } = parse(['a', '--pg-port', '7', '-y', 'b', '--stop-after=never', '--', '--c']);
    expect(values).toEqual({
      data: undefined,
      pgPort: 7,
      stopAfter: Number.POSITIVE_INFINITY,
      patience: 2000,
      yes: true,
    });
    expect([...given]).toEqual(['pgPort', 'yes', 'stopAfter']);
    expect(positionals).toEqual(['a', 'b', '--c']);
  });

  it('of a flag that is given twice the last value counts', () => {
    expect(parse(['--pg-port', '1', '--pg-port', '2']).values.pgPort).toBe(2);
  });

  it('an absent flag takes its value from the environment, where an empty variable counts as absent', () => {
    expect(parse([], { DATA_HERE: '/d' }).values.data).toBe('/d');
    expect(parse([], { DATA_HERE: '' }).values.data).toBeUndefined();
    expect(parse(['--data', '/e'], { DATA_HERE: '/d' }).values.data).toBe('/e');
  });

  it('a value may begin with a dash when an equals sign joins it to its flag', () => {
    expect(parse(['--data=-odd']).values.data).toBe('-odd');
  });

  it('an error names the flag and says what to do', () => {
    expect(message(['--pgport', '1'])).toContain('Did you mean --pg-port?');
    expect(message(['--colour'])).toBe('--colour is not a flag of `dormouse demo`. `dormouse help demo` lists them.');
    expect(message(['-x'])).toContain('-x is not a flag');
    expect(message(['--pg-port'])).toBe('--pg-port needs a value: --pg-port N.');
    expect(message(['--pg-port', '--yes'])).toBe('--pg-port needs a value: --pg-port N.');
    expect(message(['--pg-port', '-1'])).toBe('--pg-port needs a value: --pg-port N.');
    expect(message(['--pg-port=-1'])).toContain('--pg-port: "-1" is not a whole number');
    expect(message(['--data='])).toContain('--data: the value is empty');
    expect(message(['--patience', '0ms'])).toContain('--patience: "0ms" is too short');
    expect(message(['--patience', 'never'])).toContain('--patience: "never" is not a duration');
    expect(parse(['--stop-after', '0ms']).values.stopAfter).toBe(0);
    expect(message(['--yes=no'])).toBe('--yes takes no value.');
    expect(message(['--constructor'])).toContain('not a flag');
    expect(message(['--__proto__=1'])).toContain('not a flag');
  });
});

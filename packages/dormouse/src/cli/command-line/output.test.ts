import { expect, it } from 'vitest';
import { recordedContext } from '../../../test/support/recorded-context.ts';
import { textLogger } from './log.ts';
import { bold, formatAge, formatPairs, formatTable } from './output.ts';

it('the columns of a table are aligned, and no line ends with a space', () => {
  expect(
    formatTable([
      ['NAME', 'STATE', 'NOTE'],
      ['main', 'suspended', ''],
      ['a', 'up', 'x'],
    ]),
  ).toBe('NAME   STATE       NOTE\nmain   suspended\na      up          x\n');
  expect(
    formatPairs([
      ['A', '1'],
      ['Bcd', '2'],
    ]),
  ).toBe('  A     1\n  Bcd   2\n');
});

it('control characters in data do not reach the terminal', () => {
  expect(formatTable([['\u001b[31mred\n\u009b2J']])).toBe('?[31mred??2J\n');
});

it('an age is shown in one unit', () => {
  expect([-5, 0, 59_999, 60_000, 3_600_000, 86_400_000 * 3].map(formatAge)).toEqual([
    '0 s',
    '0 s',
    '59 s',
    '1 min',
    '1 h',
    '3 d',
  ]);
});

it('text is bold on a terminal only, and never when NO_COLOR is set', () => {
  const pipe = recordedContext().stdout;
  const terminal = recordedContext({ tty: true }).stdout;
  expect(bold(pipe, {}, 'x')).toBe('x');
  expect(bold(terminal, {}, 'x')).toBe('\u001b[1mx\u001b[22m');
  expect(bold(terminal, { NO_COLOR: '1' }, 'x')).toBe('x');
  expect(bold(terminal, { TERM: 'dumb' }, 'x')).toBe('x');
});

it('messages of the level of the logger or above are logged, each on one line', () => {
  const context = recordedContext();
  const log = textLogger(context.stderr, 'warn', () => 0);
  log.log('info', 'not shown');
  log.log('warn', 'slow', { ms: 12, why: 'a "big"\nquery', nothing: undefined });
  log.log('error', 'failed', { error: new Error('no') });
  const lines = context.err().split('\n');
  expect(lines[0]).toBe('1970-01-01T00:00:00.000Z warn  slow ms=12 why="a \\"big\\"\\nquery"');
  expect(lines[1]).toMatch(/^1970-01-01T00:00:00.000Z error failed error="Error: no\\n/);
  expect(lines).toHaveLength(3);
});

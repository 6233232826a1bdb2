import { describe, expect, it } from 'vitest';
import { traceComment, withoutTrace } from './trace-parent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('traceComment', () => {
  it('a trace that is sampled gives a comment, whatever the other flags of the trace are', () => {
    for (const flags of ['01', '03', '05', 'ff']) {
      const header = `00-${TRACE}-${SPAN}-${flags}`;
      expect(traceComment(header)).toBe(` /* traceparent='${header}' */`);
    }
  });

  it('a trace that is not sampled gives no comment', () => {
    for (const flags of ['00', '02', 'fe']) expect(traceComment(`00-${TRACE}-${SPAN}-${flags}`)).toBe('');
    // The header that Prisma's instrumentation sends without a trace.
    expect(traceComment('00-10-10-00')).toBe('');
  });

  it('a header that is not a valid header of version 00 gives no comment', () => {
    const valid = `00-${TRACE}-${SPAN}-01`;
    for (const header of [
      undefined,
      '',
      'nonsense',
      `ff-${TRACE}-${SPAN}-01`,
      `01-${TRACE}-${SPAN}-01`,
      `cc-${TRACE}-${SPAN}-01-what-the-future-holds`,
      `${valid}-more`,
      `${valid}-`,
      ` ${valid}`,
      `00-${TRACE.toUpperCase()}-${SPAN}-01`,
      `00-${'0'.repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `00-${TRACE.slice(1)}-${SPAN}-01`,
      `00-${TRACE}-${SPAN}-1`,
      `00-${TRACE}-${SPAN}`,
      `00-${TRACE}-${SPAN}-0x`,
      `00-${TRACE}-${SPAN}-01' */ DROP TABLE users; /*`,
      // Two headers of the same name, as Node joins them.
      `${valid}, ${valid}`,
    ]) {
      expect(traceComment(header), String(header)).toBe('');
    }
  });
});

describe('withoutTrace', () => {
  it('the comment of a trace is removed at the end of a statement, and nothing that looks like the comment is removed elsewhere', () => {
    const comment = traceComment(`00-${TRACE}-${SPAN}-01`);
    expect(withoutTrace(`SELECT 1${comment}`)).toBe('SELECT 1');
    expect(withoutTrace(`SELECT '${comment}'`)).toBe(`SELECT '${comment}'`);
    expect(withoutTrace(`SELECT 1${comment} LIMIT 1`)).toBe(`SELECT 1${comment} LIMIT 1`);
  });
});

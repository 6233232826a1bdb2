import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limitsOf, parseDurationMs, parseSizeBytes } from './client-limits.ts';

const ours = { queryMs: 60_000, transactionMs: 90_000, replyBytesMax: 1000 };
const request = (headers: Record<string, string>) => ({
  header: (name: string) => headers[name],
  body: new Uint8Array(),
});

describe('the headers by which a client lowers limits', () => {
  it.each([
    ['PT10S', 10_000],
    ['PT0.5S', 500],
    ['PT1M30S', 90_000],
    ['P1DT1H', 90_000_000],
    ['P1W', 604_800_000],
    ['250', 250],
  ])('the header value "%s" is read as a duration', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each(['', 'P', 'PT', '10S', 'P1Y', '-5', 'PT-1S', 'P1DT', `PT${'1'.repeat(100)}S`])(
    'the header value "%s" is not read as a duration',
    (text) => {
      expect(parseDurationMs(text)).toSatisfy((ms) => ms === undefined || text === 'P1DT');
    },
  );

  it.each([
    ['5', 5],
    ['5MB', 5_000_000],
    ['1.5 KiB', 1536],
  ])('the header value "%s" is read as a size', (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes);
  });

  it('the headers of a client lower the limits of the platform and never raise the limits', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (query, transaction, reply) => {
        const headers = {
          'x-query-timeout': String(query),
          'x-max-transaction-timeout': String(transaction),
          'x-max-response-size': String(reply),
        };
        expect(limitsOf(request(headers), ours)).toEqual({
          queryMs: Math.min(query, ours.queryMs),
          transactionMs: Math.min(transaction, ours.transactionMs),
          replyBytesMax: Math.min(reply, ours.replyBytesMax),
        });
      }),
    );
    expect(limitsOf(request({}), ours)).toBe(ours);
    expect(() => limitsOf(request({ 'x-query-timeout': 'soon' }), ours)).toThrow(/x-query-timeout/);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatDuration,
  parseBytes,
  parseCount,
  parseDuration,
  parseHttpUrl,
  parseLimit,
  parsePort,
  parseRegion,
} from './values.ts';

const refused = expect.objectContaining({ code: 'usage_invalid' });

describe('limits of a database', () => {
  it.each([
    ['memoryLimitBytes', '64MiB', 64 * 2 ** 20],
    ['memoryLimitBytes', 'none', Number.POSITIVE_INFINITY],
    ['cpuLimit', '0.5', 0.5],
    ['cpuWeight', '10000', 10_000],
    ['processLimit', '16', 16],
    ['tempLimitBytes', '1GiB', 2 ** 30],
  ] as const)('the value of the limit %s is read from the text %s', (name, text, value) => {
    expect(parseLimit(name, text)).toBe(value);
  });

  it.each([
    ['memoryLimitBytes', '1MiB', 'from 64MiB'],
    ['memoryLimitBytes', 'lots', 'is not a size'],
    ['cpuLimit', '0', 'from 0.05'],
    ['cpuLimit', '-1', 'from 0.05'],
    ['cpuLimit', '1e9', 'from 0.05'],
    ['cpuWeight', 'none', 'from 1 to 10000'],
    ['processLimit', '17.5', 'a whole number from 16'],
    ['tempLimitBytes', '5B', 'from 1KiB'],
  ] as const)('for the limit %s, the value %s is refused', (name, text, words) => {
    expect(() => parseLimit(name, text)).toThrow(words);
  });
});

describe('durations', () => {
  it.each([
    ['0ms', 0],
    ['500ms', 500],
    ['5s', 5000],
    ['1.5s', 1500],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['24d', 2_073_600_000],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '5', 's', '-5s', '5 s', '5S', '1e3s', '25d', 'never', 'Infinity', '5s5s'])(
    'the duration %j is refused',
    (text) => {
      expect(() => parseDuration(text)).toThrow(refused);
    },
  );

  it('the duration "never" is accepted only where it is allowed', () => {
    expect(parseDuration('never', true)).toBe(Number.POSITIVE_INFINITY);
    expect(formatDuration(Number.POSITIVE_INFINITY)).toBe('never');
  });

  it('a duration that was formatted is parsed to the same value', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});

describe('sizes', () => {
  it.each([
    ['1B', 1],
    ['16MiB', 16_777_216],
    ['16 mib', 16_777_216],
    ['5MB', 5_000_000],
    ['0.5KiB', 512],
    ['1GiB', 1_073_741_824],
  ])('%s is %d bytes', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each(['', '0', '5', '0B', '-1', 'MiB', '1TiB', '1M', '9999999999999999', '0x10', '0.1'])(
    'the size %j is refused',
    (text) => {
      expect(() => parseBytes(text)).toThrow(refused);
    },
  );

  it('a size that was formatted is parsed to the same value', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (n) => {
        expect(parseBytes(formatBytes(n))).toBe(n);
      }),
    );
  });
});

describe('ports, counts, addresses, regions', () => {
  it('valid ports, counts, addresses and regions are accepted', () => {
    expect(parsePort('0')).toBe(0);
    expect(parsePort('65535')).toBe(65_535);
    expect(parseCount('20')).toBe(20);
    expect(parseCount('20', 1, 20)).toBe(20);
    expect(parseHttpUrl('https://db.example.com/')).toBe('https://db.example.com');
    expect(parseHttpUrl('http://127.0.0.1:4400')).toBe('http://127.0.0.1:4400');
    expect(parseRegion('eu1')).toBe('eu1');
  });

  it('a count above the maximum is refused, and the error names the maximum', () => {
    expect(() => parseCount('21', 1, 20)).toThrow('"21" is too many: at most 20.');
  });
  it.each(['', '65536', '-1', '1.5', '080000', 'http'])('the port %j is refused', (text) => {
    expect(() => parsePort(text)).toThrow(refused);
  });
  it.each(['', '0', '1.5', '-2', '1e99', 'many'])('the count %j is refused', (text) => {
    expect(() => parseCount(text)).toThrow(refused);
  });
  it.each(['', 'db.example.com', 'ftp://a', 'http://', 'http://u:p@a', 'http://a/?b', 'http://a/#b', 'localhost:44'])(
    'the address %j is refused',
    (text) => {
      expect(() => parseHttpUrl(text)).toThrow(refused);
    },
  );
  it('a region with a dash is refused, because cf-ray could not carry it', () => {
    expect(() => parseRegion('eu-west')).toThrow(refused);
  });
});

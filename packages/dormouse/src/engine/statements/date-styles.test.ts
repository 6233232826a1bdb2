import { describe, expect, it } from 'vitest';
import { checkedTime, checkedTimetz, isoDate, isoTimestamp, isoTimestamptz } from './date-styles.ts';

const DMY = { order: 'DMY', timeZone: 'UTC' } as const;
const MDY = { order: 'MDY', timeZone: 'UTC' } as const;
const BERLIN = { order: 'MDY', timeZone: 'Europe/Berlin' } as const;

describe('a date in any DateStyle', () => {
  it.each([
    ['02/03/2024', DMY, '2024-03-02'],
    ['02/03/2024', MDY, '2024-02-03'],
    ['02-03-2024', DMY, '2024-03-02'],
    ['02-03-0044 BC', MDY, '0044-02-03 BC'],
    ['02.03.12024', MDY, '12024-03-02'],
    ['13/02/2024', undefined, '2024-02-13'],
    ['02/13/2024', undefined, '2024-02-13'],
    ['infinity', undefined, 'infinity'],
    ['0044-02-03 BC', DMY, '0044-02-03 BC'],
  ] as const)('the date %s is converted to ISO', (text, format, iso) => {
    expect(isoDate(text, format)).toBe(iso);
  });

  it.each([
    ['Tue Jan 02 03:04:05.678 2024', undefined, '2024-01-02 03:04:05.678'],
    ['Tue 02 Jan 03:04:05 2024 BC', undefined, '2024-01-02 03:04:05 BC'],
    ['02.01.2024 03:04:05', undefined, '2024-01-02 03:04:05'],
    ['01/02/2024 03:04:05.1 BC', MDY, '2024-01-02 03:04:05.1 BC'],
  ] as const)('the timestamp %s is converted to ISO', (text, format, iso) => {
    expect(isoTimestamp(text, format)).toBe(iso);
  });

  it.each([
    ['Tue Jan 02 03:04:05.678 2024 UTC', DMY, '2024-01-02 03:04:05.678+00'],
    ['01/02/2024 03:04:05 +0545 BC', MDY, '2024-01-02 03:04:05+05:45 BC'],
    ['01/02/2024 03:04:05-03', MDY, '2024-01-02 03:04:05-03'],
    ['02.01.2024 03:04:05 -03', MDY, '2024-01-02 03:04:05-03'],
    ['Tue Jan 02 03:04:05 2024 +05:30:15', BERLIN, '2024-01-02 03:04:05+05:30:15'],
  ] as const)('the timestamptz %s is converted to ISO', (text, format, iso) => {
    expect(isoTimestamptz(text, format)).toBe(iso);
  });

  it('a date with two readings or an unknown form is refused, not guessed', () => {
    for (const refused of [
      () => isoDate('02/03/2024'),
      () => isoDate('2024/02/03'),
      () => isoDate('31/31/2024'),
      () => isoDate(''),
      () => isoDate('02/03/2024 03:04:05', DMY),
      () => isoTimestamp('02.03.2024'),
      () => isoTimestamp('Tue Foo 02 03:04:05 2024'),
      () => isoTimestamp('02.03.2024 03:04:05 UTC', DMY),
      () => isoTimestamptz('02.03.2024 03:04:05 CET', BERLIN),
      () => isoTimestamptz('02.03.2024 03:04:05 UTC'),
      () => isoTimestamptz('02.03.2024 03:04:05 UTC', { order: 'MDY', timeZone: 'UTC+3' }),
      () => isoTimestamptz('2024-01-02 03:04:05'),
      () => checkedTime('03:04'),
      () => checkedTimetz('03:04:05'),
    ]) {
      expect(refused).toThrow(expect.objectContaining({ name: 'DriverAdapterError' }));
    }
  });
});

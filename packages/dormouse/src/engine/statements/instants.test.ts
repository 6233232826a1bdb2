import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dateToPostgres,
  timestampFromPostgres,
  timestampToPostgres,
  timestamptzFromPostgres,
  timetzFromPostgres,
} from './instants.ts';

/** Instants that both JavaScript and Postgres have: those of Postgres begin in 4714 BC. */
const instant = fc.date({
  min: new Date('-004700-01-01T00:00:00Z'),
  max: new Date('+200000-01-01T00:00:00Z'),
  noInvalidDate: true,
});

describe('an instant', () => {
  it('an instant is the same after being sent to Postgres and read back', () => {
    fc.assert(
      fc.property(instant, (date) => {
        const written = timestampToPostgres(date);
        // The text is that of a timestamptz in a session whose TimeZone is UTC.
        expect(Date.parse(timestamptzFromPostgres(written))).toBe(date.getTime());
        const plain = written.replace('+00', '');
        expect(Date.parse(timestampFromPostgres(plain))).toBe(date.getTime());
      }),
    );
  });

  it.each([
    ['2024-01-02 03:04:05.678+00', '2024-01-02T03:04:05.678+00:00'],
    ['2024-01-02 03:04:05.123456+05:30', '2024-01-01T21:34:05.123456+00:00'],
    ['2024-01-01 00:00:00-08', '2024-01-01T08:00:00+00:00'],
    ['1900-01-01 05:53:28+05:53:28', '1900-01-01T00:00:00+00:00'],
    ['0044-03-15 00:00:00+00 BC', '-000043-03-15T00:00:00+00:00'],
    ['infinity', 'infinity'],
    ['-infinity', '-infinity'],
  ])('an instant is read from the timestamptz %s', (text, iso) => {
    expect(timestamptzFromPostgres(text)).toBe(iso);
  });

  it.each([
    ['2024-01-02 03:04:05', '2024-01-02T03:04:05+00:00'],
    ['12024-01-02 03:04:05.1', '+012024-01-02T03:04:05.1+00:00'],
    ['0001-01-01 00:00:00 BC', '0000-01-01T00:00:00+00:00'],
  ])('an instant is read from the timestamp %s', (text, iso) => {
    expect(timestampFromPostgres(text)).toBe(iso);
  });

  it('a timetz is read without its zone, and a date is written with its era', () => {
    expect(timetzFromPostgres('12:34:56.5-05:30')).toBe('12:34:56.5');
    expect(dateToPostgres(new Date('-000043-03-15T00:00:00Z'))).toBe('0044-03-15 BC');
    expect(dateToPostgres(new Date('0032-01-01T00:00:00Z'))).toBe('0032-01-01');
  });
});

import { describe, expect, it } from 'vitest';
import { moneyFromPostgres } from './money.ts';

describe('a text of the type money', () => {
  it.each([
    ['$1,234.50', '1234.50'],
    ['-$5.00', '-5.00'],
    ['($1,234,567.89)', '-1234567.89'],
    ['1.234,56 €', '1234.56'],
    ['-1 234 567,89 €', '-1234567.89'],
    ['CHF-1’234.50', '-1234.50'],
    ['₹12,34,567.00', '1234567.00'],
    ['￥1235', '1235'],
    ['￥1,234,567', '1234567'],
    ['د.ب.1,234.567', '1234.567'],
    ['$92,233,720,368,547,758.07', '92233720368547758.07'],
    ['0,05 kr', '0.05'],
  ])('%s is read as %s', (text, number) => {
    expect(moneyFromPostgres(text)).toBe(number);
  });

  it.each(['￥1,234', '1.234', '', '€'])('%s is refused, because it has two readings or none', (text) => {
    expect(() => moneyFromPostgres(text)).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ kind: 'InconsistentColumnData' }) }),
    );
  });
});

import { expect, test } from 'vitest';
import { PostgresError } from '../../wire/index.ts';
import { StuckTransaction } from './stuck-transaction.ts';

const failing = (code: string, message = 'cannot'): PostgresError => new PostgresError({ code, message });

test('a transaction whose stream fails again and again is passed over, sooner if the error is of its size', () => {
  const stuck = new StuckTransaction();
  const times = (code: string, lsn: bigint, message?: string): number => {
    for (let i = 1; ; i++) if (stuck.ended(failing(code, message), lsn)) return i;
  };
  expect(times('XX000', 1n)).toBe(5);
  expect(times('54000', 2n, 'string buffer exceeds maximum allowed length (1073741823 bytes)')).toBe(2);
  expect(times('XX000', 3n, 'invalid memory alloc request size 1200000003')).toBe(2);
});

test('an error that is not of the transaction is never counted, and the count begins anew once the stream has advanced', () => {
  const stuck = new StuckTransaction();
  for (let i = 0; i < 20; i++) {
    for (const code of ['53200', '53100', '55006', '57P01', '58030', '08006']) {
      expect(stuck.ended(failing(code), 1n)).toBe(false);
    }
    expect(stuck.ended(new Error('the socket was closed'), 1n)).toBe(false);
    expect(stuck.ended(failing('XX000'), BigInt(i))).toBe(false);
  }
});

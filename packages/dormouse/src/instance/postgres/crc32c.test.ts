import { expect, it } from 'vitest';
import { addCrc32c, CRC32C_INIT, endCrc32c } from './crc32c.ts';

const crc = (bytes: Uint8Array): number => endCrc32c(addCrc32c(CRC32C_INIT, bytes));

it('the CRC-32C has the check value of its polynomial and the values of RFC 3720', () => {
  expect(crc(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
});

it('the CRC-32C of pieces is that of the whole', () => {
  const whole = Buffer.from('a running sum');
  const running = addCrc32c(addCrc32c(CRC32C_INIT, whole.subarray(0, 5)), whole.subarray(5));
  expect(endCrc32c(running)).toBe(crc(whole));
});

import type { Loose } from './clients.ts';

/**
 * One printable form of a client's answer: decimals, bytes, dates and bigints become text, whatever class they have.
 */
export function plain(value: Loose): Loose {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object') {
    if (typeof value.toFixed === 'function' && typeof value.toNumber === 'function') return value.toFixed();
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
  }
  return value;
}

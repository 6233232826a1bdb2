/** Castagnoli's polynomial with its bits reversed: the checksum of Postgres's own files. */
const POLYNOMIAL = 0x82f63b78;

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value >>> 0;
});

/** The start of a running CRC-32C; see {@link addCrc32c}. */
export const CRC32C_INIT = 0xffffffff;

/** A running CRC-32C with these bytes added. */
export function addCrc32c(running: number, bytes: Uint8Array): number {
  let value = running;
  for (const byte of bytes) value = (TABLE[(value ^ byte) & 0xff] as number) ^ (value >>> 8);
  return value >>> 0;
}

/** The final value of a running CRC-32C. */
export function endCrc32c(running: number): number {
  return (running ^ 0xffffffff) >>> 0;
}

import { hash } from 'node:crypto';

/** SHA-256 as hexadecimal text, for the edge's cache keys. Synchronous: Web Crypto would cost a promise. */
export function nodeHash(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}

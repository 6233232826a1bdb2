/**
 * Bytes that are not the Postgres protocol, or that are over a bound. A decoder throws no other error for the bytes
 * that it reads.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/**
 * Bytes that are not the Postgres protocol, or that are over a bound. The only error a codec throws for what it was
 * given to read.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/**
 * Owns: the Postgres protocol, version 3: frames, startup, messages in both directions, errors with all fields,
 *   SCRAM-SHA-256, the messages of replication.
 * Never: opens sockets, reads the clock, keeps state beyond one message stream. Randomness is an argument.
 * Limits: startup message 10 000 bytes; cancel key 256 bytes; SCRAM message 2048 characters; a frame up to the bound of
 *   its reader.
 * Fails with: `ProtocolError` (bytes that are not the protocol), `ScramError` (login refused), `PostgresError` (the
 *   server's own error).
 */
export * from './bytes/index.ts';
export * from './messages/index.ts';
export * from './replication/index.ts';
export * from './scram/index.ts';

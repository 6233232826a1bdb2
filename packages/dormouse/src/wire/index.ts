/**
 * Owns: the Postgres protocol, version 3: frames, startup, messages both ways, errors with all fields, SCRAM-SHA-256.
 * Never: opens sockets, reads the clock, keeps state beyond one message stream. Randomness is an argument.
 * Limits: startup message 10 000 bytes; cancel key 256 bytes; SCRAM message 2048 characters; a frame by its reader's bound.
 * Fails with: `ProtocolError` (bytes that are not the protocol), `ScramError` (login refused), `PostgresError` (the server's own).
 */
export * from './backend-decode.ts';
export * from './backend-encode.ts';
export * from './byte-reader.ts';
export * from './byte-writer.ts';
export * from './frame-reader.ts';
export * from './frame-scanner.ts';
export * from './frontend-decode.ts';
export * from './frontend-encode.ts';
export * from './message-types.ts';
export * from './postgres-error.ts';
export * from './protocol-error.ts';
export * from './replication.ts';
export * from './scram.ts';
export * from './scram-client.ts';
export * from './scram-server.ts';
export * from './startup.ts';
export * from './test-decoding.ts';

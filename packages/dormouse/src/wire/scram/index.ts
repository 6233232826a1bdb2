/**
 * Owns: SCRAM-SHA-256 of both sides; an object holds the state of one login.
 * Never: stores a password.
 */
export {
  deriveVerifier,
  equalBytes,
  SCRAM_ITERATIONS,
  SCRAM_NONCE_BYTES,
  SCRAM_SHA_256,
  ScramError,
  type ScramVerifier,
} from './scram.ts';
export { ScramClient } from './scram-client.ts';
export { ScramServer } from './scram-server.ts';

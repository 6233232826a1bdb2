/**
 * Owns: SCRAM-SHA-256 of both sides, as a state of one login.
 * Never: stores a password.
 */

export {
  attributesOf,
  base64Of,
  deriveVerifier,
  equalBytes,
  hmac,
  SCRAM_ITERATIONS,
  SCRAM_ITERATIONS_MAX,
  SCRAM_MESSAGE_CHARS_MAX,
  SCRAM_NONCE_BYTES,
  SCRAM_SHA_256,
  ScramError,
  type ScramVerifier,
  saltedPassword,
  sha256,
  xor,
} from './scram.ts';
export { ScramClient } from './scram-client.ts';
export { ScramServer } from './scram-server.ts';

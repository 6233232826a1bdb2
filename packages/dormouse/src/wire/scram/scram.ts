import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto';

/** The mechanism's name. Channel binding (-PLUS) needs TLS and is not offered. */
export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
/** The number of rounds that Postgres uses; a client accepts no fewer. RFC 7677 asks for at least 4096. */
export const SCRAM_ITERATIONS = 4096;
/** A client refuses a server that asks for more rounds than this. */
export const SCRAM_ITERATIONS_MAX = 1_000_000;
/** The longest SCRAM message that is read; real ones are below 200 bytes. */
export const SCRAM_MESSAGE_CHARS_MAX = 2048;
export const SCRAM_NONCE_BYTES = 18;

/** The login is refused: the proof is wrong, or the other side does not know the password. */
export class ScramError extends Error {
  override readonly name = 'ScramError';
}

/** What a server keeps of a password (RFC 5802, section 3): enough to check a proof, not enough to log in. */
export interface ScramVerifier {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

export function hmac(key: Uint8Array, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

export function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest();
}

/** `Hi(password, salt, i)`. It takes about 1 ms for 4096 rounds, so callers keep the result. */
export function saltedPassword(password: string, salt: Uint8Array, iterations: number): Buffer {
  // For ASCII, SASLprep changes nothing. For the rest, NFKC is its main step, and servers fall back to it.
  return pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256');
}

/** Derives the verifier of a password. Costs the rounds of PBKDF2. */
export function deriveVerifier(
  password: string,
  salt: Uint8Array,
  iterations: number = SCRAM_ITERATIONS,
): ScramVerifier {
  const salted = saltedPassword(password, salt, iterations);
  return {
    salt: Buffer.from(salt),
    iterations,
    storedKey: sha256(hmac(salted, 'Client Key')),
    serverKey: hmac(salted, 'Server Key'),
  };
}

/** Compares in a time that does not depend on where the bytes differ. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

export function xor(left: Uint8Array, right: Uint8Array): Buffer {
  const out = Buffer.alloc(left.length);
  for (let i = 0; i < left.length; i++) out[i] = (left[i] as number) ^ (right[i] as number);
  return out;
}

const ATTRIBUTE = /^([A-Za-z])=(.*)$/s;

/** Splits `a=x,b=y` in order; undefined if the message has another form or is too long. */
export function attributesOf(message: string): [string, string][] | undefined {
  if (message.length > SCRAM_MESSAGE_CHARS_MAX) return undefined;
  const out: [string, string][] = [];
  for (const part of message.split(',')) {
    const match = ATTRIBUTE.exec(part);
    if (match === null) return undefined;
    out.push([match[1] as string, match[2] as string]);
  }
  return out;
}

/** Decodes canonical base64 only, so that the compared bytes are the bytes that were sent. */
export function base64Of(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

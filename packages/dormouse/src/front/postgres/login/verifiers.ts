import { createHmac } from 'node:crypto';
import { type Catalog, parseKeyId, type RandomBytes } from '../../../base/index.ts';
import { deriveVerifier, SCRAM_ITERATIONS, type ScramVerifier } from '../../../wire/index.ts';

/**
 * Verifiers that are kept, of 150 bytes each. A login without a kept verifier costs 4096 rounds of PBKDF2 on the main
 * thread.
 */
const VERIFIERS_MAX = 10_000;
const SALT_BYTES = 16;

/**
 * The SCRAM verifiers of keys. An unknown user gets a challenge like any other user, always the same one, which no
 * password answers: so a client cannot find out which keys exist.
 */
export class Verifiers {
  readonly #catalog: Catalog;
  /** Makes salts that are stable while this process lives, and that reveal nothing. */
  readonly #seed: Uint8Array;
  /** The least recently used verifier comes first. */
  readonly #known = new Map<string, { readonly secret: string; readonly verifier: ScramVerifier }>();

  constructor(catalog: Catalog, random: RandomBytes) {
    this.#catalog = catalog;
    this.#seed = random(32);
  }

  /** Gives the verifier of a user name, known or not. */
  of(user: string): ScramVerifier {
    const keyId = parseKeyId(user);
    const secret = keyId === undefined ? undefined : this.#catalog.secret(keyId);
    if (secret === undefined) {
      return {
        salt: this.#derive('salt', user).subarray(0, SALT_BYTES),
        iterations: SCRAM_ITERATIONS,
        storedKey: this.#derive('stored', user),
        serverKey: this.#derive('server', user),
      };
    }
    const known = this.#known.get(user);
    if (known?.secret === secret) {
      this.#known.delete(user);
      this.#known.set(user, known);
      return known.verifier;
    }
    const verifier = deriveVerifier(secret, this.#derive('salt', user).subarray(0, SALT_BYTES));
    this.#known.set(user, { secret, verifier });
    if (this.#known.size > VERIFIERS_MAX) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    }
    return verifier;
  }

  #derive(what: string, user: string): Buffer {
    return createHmac('sha256', this.#seed).update(`${what}\0${user}`).digest();
  }
}

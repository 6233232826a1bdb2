import {
  attributesOf,
  base64Of,
  equalBytes,
  hmac,
  SCRAM_ITERATIONS,
  SCRAM_ITERATIONS_MAX,
  ScramError,
  saltedPassword,
  sha256,
  xor,
} from './scram.ts';

/**
 * The client's side of SCRAM-SHA-256 without channel binding: call `first`, `proof` and `finish` in this order, each
 * once.
 */
export class ScramClient {
  readonly #password: string;
  readonly #nonce: string;
  #state: 'new' | 'first' | 'proof' | 'done' = 'new';
  #serverSignature: Buffer | undefined;

  /** `nonce` is fresh randomness of at least 18 bytes. */
  constructor(password: string, nonce: Uint8Array) {
    this.#password = password;
    this.#nonce = Buffer.from(nonce).toString('base64');
  }

  /** Gives the client-first-message. Postgres ignores the user name in it, since the startup message has the name. */
  first(): string {
    if (this.#state !== 'new') throw new ScramError('out of order');
    this.#state = 'first';
    return `n,,${this.#firstBare()}`;
  }

  /** Gives the client-final-message for the server-first-message. */
  proof(serverFirst: string): string {
    if (this.#state !== 'first') throw new ScramError('out of order');
    const [r, s, i, ...rest] = attributesOf(serverFirst) ?? [];
    if (r?.[0] !== 'r' || s?.[0] !== 's' || i?.[0] !== 'i' || rest.some(([name]) => name === 'm')) {
      throw new ScramError('the server sent no SCRAM challenge');
    }
    if (!r[1].startsWith(this.#nonce) || r[1].length === this.#nonce.length) {
      throw new ScramError('the server did not extend the nonce');
    }
    const salt = base64Of(s[1]);
    const iterations = /^[0-9]{1,9}$/.test(i[1]) ? Number(i[1]) : 0;
    if (salt === undefined || iterations < SCRAM_ITERATIONS || iterations > SCRAM_ITERATIONS_MAX) {
      throw new ScramError('the server sent an unusable challenge');
    }
    const withoutProof = `c=biws,r=${r[1]}`;
    const authMessage = `${this.#firstBare()},${serverFirst},${withoutProof}`;
    const salted = saltedPassword(this.#password, salt, iterations);
    const clientKey = hmac(salted, 'Client Key');
    const proof = xor(clientKey, hmac(sha256(clientKey), authMessage));
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage);
    this.#state = 'proof';
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /** Checks that the server knows the password too. */
  finish(serverFinal: string): void {
    if (this.#state !== 'proof' || this.#serverSignature === undefined) throw new ScramError('out of order');
    this.#state = 'done';
    const [v] = attributesOf(serverFinal) ?? [];
    const signature = v?.[0] === 'v' ? base64Of(v[1]) : undefined;
    if (signature === undefined || !equalBytes(signature, this.#serverSignature)) {
      throw new ScramError('the server does not know the password');
    }
  }

  #firstBare(): string {
    return `n=,r=${this.#nonce}`;
  }
}

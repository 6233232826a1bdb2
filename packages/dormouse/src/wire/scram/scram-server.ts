import { attributesOf, base64Of, equalBytes, hmac, ScramError, type ScramVerifier, sha256, xor } from './scram.ts';

/** Printable ASCII without comma (RFC 5802, section 7), bounded. */
const CLIENT_NONCE = /^[\x21-\x2b\x2d-\x7e]{8,256}$/;

/** The server's side of SCRAM-SHA-256 without channel binding: call `challenge`, then `verify`, each once. */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #nonce: string;
  #state: 'new' | 'challenged' | 'done' = 'new';
  #clientFirstBare = '';
  #serverFirst = '';
  #gs2Header = '';
  #fullNonce = '';

  /** `nonce` is fresh randomness of at least 18 bytes. */
  constructor(verifier: ScramVerifier, nonce: Uint8Array) {
    this.#verifier = verifier;
    this.#nonce = Buffer.from(nonce).toString('base64');
  }

  /** Gives the server-first-message for a client-first-message. Throws {@link ScramError}. */
  challenge(clientFirst: string): string {
    if (this.#state !== 'new') throw new ScramError('out of order');
    // The gs2 header is `n,,` or `y,,` (the client supports channel binding and believes that the server does not);
    // `p=` needs TLS.
    const header = /^([ny]),(a=[^,]*)?,/.exec(clientFirst)?.[0];
    if (header === undefined) throw new ScramError('channel binding is not offered');
    const bare = clientFirst.slice(header.length);
    const [n, r] = attributesOf(bare) ?? [];
    if (n?.[0] !== 'n' || r?.[0] !== 'r' || !CLIENT_NONCE.test(r[1])) throw new ScramError('malformed SCRAM message');
    this.#state = 'challenged';
    this.#gs2Header = header;
    this.#clientFirstBare = bare;
    this.#fullNonce = r[1] + this.#nonce;
    const { salt, iterations } = this.#verifier;
    this.#serverFirst = `r=${this.#fullNonce},s=${salt.toString('base64')},i=${iterations}`;
    return this.#serverFirst;
  }

  /**
   * Checks the client's proof and gives the server-final-message. Throws {@link ScramError}, with the same message for
   * every wrong proof.
   */
  verify(clientFinal: string): string {
    if (this.#state !== 'challenged') throw new ScramError('out of order');
    this.#state = 'done';
    const attributes = attributesOf(clientFinal) ?? [];
    const [c, r] = attributes;
    const p = attributes.at(-1);
    const proof = p?.[0] === 'p' ? base64Of(p[1]) : undefined;
    if (c?.[0] !== 'c' || r?.[0] !== 'r' || proof === undefined || proof.length !== 32) {
      throw new ScramError('malformed SCRAM message');
    }
    if (c[1] !== Buffer.from(this.#gs2Header).toString('base64'))
      throw new ScramError('channel binding does not match');
    if (!equalBytes(Buffer.from(r[1]), Buffer.from(this.#fullNonce))) throw new ScramError('nonce does not match');
    const withoutProof = clientFinal.slice(0, clientFinal.lastIndexOf(',p='));
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`;
    const clientKey = xor(proof, hmac(this.#verifier.storedKey, authMessage));
    if (!equalBytes(sha256(clientKey), this.#verifier.storedKey)) throw new ScramError('the password is wrong');
    return `v=${hmac(this.#verifier.serverKey, authMessage).toString('base64')}`;
  }
}

import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign,
  timingSafeEqual,
} from 'node:crypto';
import type { DatabaseId, KeyId, Role } from '../../base/index.ts';

/** DER of a PKCS#8 Ed25519 private key up to its 32 bytes (RFC 8410, section 7). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The secrets derived from the master key. Derivation is deterministic, so a key's URLs can be printed again. */
export class Secrets {
  /** The public half of the key pair that signs API keys, in the form that the edge takes. */
  readonly edgeKey: { readonly kid: string; readonly x: string };
  readonly adminToken: string;
  readonly #masterKey: Uint8Array;
  readonly #signingKey: KeyObject;
  readonly #sessionKey: Buffer;

  constructor(masterKey: Uint8Array) {
    this.#masterKey = masterKey;
    const derive = (purpose: string): Buffer =>
      Buffer.from(hkdfSync('sha256', masterKey, '', `dormouse/${purpose}`, 32));
    const der = Buffer.concat([PKCS8_ED25519, derive('jwt/1')]);
    this.#signingKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const { x } = createPublicKey(this.#signingKey).export({ format: 'jwk' }) as { x: string };
    this.edgeKey = { kid: createHash('sha256').update(x).digest('hex').slice(0, 16), x };
    this.adminToken = derive('admin/1').toString('base64url');
    this.#sessionKey = derive('session/1');
  }

  /** The API key as text: a JWT (RFC 7519), signed with Ed25519. One key always has the same text. */
  apiKey(key: {
    readonly id: KeyId;
    readonly databaseId: DatabaseId;
    readonly role: Role;
    readonly createdAtMs: number;
  }): string {
    const header = encode({ alg: 'EdDSA', kid: this.edgeKey.kid, typ: 'JWT' });
    const claims = encode({ sub: key.id, db: key.databaseId, role: key.role, iat: Math.floor(key.createdAtMs / 1000) });
    const signature = sign(null, Buffer.from(`${header}.${claims}`), this.#signingKey);
    return `${header}.${claims}.${signature.toString('base64url')}`;
  }

  /** The password of a key at the TCP door. */
  tcpSecret(id: KeyId): string {
    return createHmac('sha256', this.#masterKey).update(id).digest('base64url');
  }

  isAdminToken(token: string): boolean {
    return sameText(token, this.adminToken);
  }

  /**
   * A dashboard session that ends at `expiresAtMs`. The platform does not store sessions, and a session does not reveal
   * the admin token.
   */
  session(expiresAtMs: number): string {
    return `${expiresAtMs}.${this.#sessionMac(expiresAtMs)}`;
  }

  isSession(text: string, nowMs: number): boolean {
    const match = /^(\d{1,16})\.([A-Za-z0-9_-]{1,64})$/.exec(text);
    if (!match?.[1] || !match[2]) return false;
    const expiresAtMs = Number(match[1]);
    return nowMs < expiresAtMs && sameText(match[2], this.#sessionMac(expiresAtMs));
  }

  #sessionMac(expiresAtMs: number): string {
    return createHmac('sha256', this.#sessionKey).update(String(expiresAtMs)).digest('base64url');
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Compares two texts in a time that reveals neither where they differ nor how long they are. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

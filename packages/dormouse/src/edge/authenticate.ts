import { compactVerify, importJWK } from 'jose';
import {
  type Catalog,
  type Clock,
  type DatabaseId,
  DormouseError,
  type KeyId,
  type Principal,
  parseDatabaseId,
  parseKeyId,
  ROLES,
  type Role,
} from '../base/index.ts';

/** A public Ed25519 key that signs API keys: `x` of its JWK, and the id that tokens name in their header. */
export interface EdgeKey {
  readonly kid: string;
  readonly x: string;
}

export interface AuthenticatorOptions {
  readonly keys: readonly EdgeKey[];
  readonly catalog: Pick<Catalog, 'database' | 'key'>;
  readonly clock: Clock;
  /** Verified tokens kept; verification costs 230 µs, a look-up less than one. */
  readonly tokensMax: number;
}

/**
 * Authenticates the sender of a request by its authorization header. Returns the principal at once for a token that was
 * verified before, else a promise of the principal. Throws or rejects with `key_*`.
 */
export type Authenticator = (authorization: string | undefined) => Principal | Promise<Principal>;

/** Longest token that is verified, in characters. Tokens of this platform have about 300. */
const TOKEN_CHARS_MAX = 4096;

interface Verified {
  readonly principal: Principal;
  /** Milliseconds since 1970, or Infinity. */
  readonly expiresAtMs: number;
  readonly notBeforeMs: number;
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { catalog, clock, tokensMax } = options;
  const verifiers = new Map(
    options.keys.map(({ kid, x }) => [kid, importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA')] as const),
  );
  // In order of arrival: the oldest token is dropped first. A dropped token is verified again at its next use.
  const verified = new Map<string, Verified>();

  /** Checks, on every use of a token, all that may change after its signature was verified. */
  function admit(token: Verified): Principal {
    const now = clock.now();
    if (now >= token.expiresAtMs) throw new DormouseError('key_expired');
    if (now < token.notBeforeMs) throw new DormouseError('key_invalid', { message: 'The API key is not valid yet.' });
    const { principal } = token;
    const key = catalog.key(principal.keyId);
    if (!key || key.databaseId !== principal.databaseId || key.role !== principal.role)
      throw new DormouseError('key_invalid');
    if (key.revoked) throw new DormouseError('key_revoked');
    if (!catalog.database(principal.databaseId)) throw new DormouseError('database_deleted');
    return principal;
  }

  async function verify(token: string): Promise<Principal> {
    const claims = await readClaims(token, verifiers);
    if (verified.size >= tokensMax) {
      const oldest = verified.keys().next();
      if (!oldest.done) verified.delete(oldest.value);
    }
    verified.set(token, claims);
    return admit(claims);
  }

  // The last header and its verified token: an application sends the same header with every query, and a comparison
  // costs less than a look-up.
  let lastHeader = '';
  let last: Verified | undefined;

  return (authorization) => {
    if (last !== undefined && authorization === lastHeader) return admit(last);
    const token = bearer(authorization);
    const known = verified.get(token);
    if (known === undefined) return verify(token);
    lastHeader = authorization as string;
    last = known;
    return admit(known);
  };
}

function bearer(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '') throw new DormouseError('key_missing');
  if (authorization.slice(0, 7).toLowerCase() !== 'bearer ') throw new DormouseError('key_missing');
  const token = authorization.slice(7).trim();
  if (token === '') throw new DormouseError('key_missing');
  if (token.length > TOKEN_CHARS_MAX) throw new DormouseError('key_invalid');
  return token;
}

type Verifier = ReturnType<typeof importJWK>;

async function readClaims(token: string, verifiers: ReadonlyMap<string, Verifier>): Promise<Verified> {
  let payload: unknown;
  try {
    const { payload: bytes } = await compactVerify(
      token,
      (header) => {
        const verifier = header.kid === undefined ? undefined : verifiers.get(header.kid);
        if (!verifier) throw new DormouseError('key_invalid');
        return verifier;
      },
      { algorithms: ['EdDSA'] },
    );
    payload = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new DormouseError('key_invalid', { cause });
  }
  if (typeof payload !== 'object' || payload === null) throw new DormouseError('key_invalid');
  const { sub, db, role, exp, nbf } = payload as Record<string, unknown>;
  const keyId: KeyId | undefined = typeof sub === 'string' ? parseKeyId(sub) : undefined;
  const databaseId: DatabaseId | undefined = typeof db === 'string' ? parseDatabaseId(db) : undefined;
  if (!keyId || !databaseId || !ROLES.includes(role as Role)) throw new DormouseError('key_invalid');
  return {
    principal: { keyId, databaseId, role: role as Role },
    expiresAtMs: seconds(exp, Number.POSITIVE_INFINITY),
    notBeforeMs: seconds(nbf, 0),
  };
}

function seconds(claim: unknown, absent: number): number {
  if (claim === undefined) return absent;
  if (typeof claim !== 'number' || !Number.isFinite(claim)) throw new DormouseError('key_invalid');
  return claim * 1000;
}

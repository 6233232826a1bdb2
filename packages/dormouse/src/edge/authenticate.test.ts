import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { DatabaseId, DatabaseRecord, KeyId, KeyRecord } from '../base/index.ts';
import { type Authenticator, createAuthenticator } from './authenticate.ts';

const KEY = 'key_aaaaaaaaaaaaaaaaaaaa' as KeyId;
const DATABASE = 'db_aaaaaaaaaaaaaaaaaaaa' as DatabaseId;
const ours = generateKeyPairSync('ed25519');
const theirs = generateKeyPairSync('ed25519');

function token(claims: object, options: { key?: KeyObject; header?: object } = {}): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${encode({ alg: 'EdDSA', kid: 'k1', ...options.header })}.${encode(claims)}`;
  return `Bearer ${text}.${sign(null, Buffer.from(text), options.key ?? ours.privateKey).toString('base64url')}`;
}

const CLAIMS = { sub: KEY, db: DATABASE, role: 'writer' };

describe('createAuthenticator', () => {
  let clock: ManualClock;
  let key: KeyRecord | undefined;
  let database: DatabaseRecord | undefined;
  let authenticate: Authenticator;

  const codeOf = async (authorization: string | undefined): Promise<string> => {
    try {
      await authenticate(authorization);
      return 'admitted';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  beforeEach(() => {
    clock = new ManualClock();
    key = { id: KEY, databaseId: DATABASE, role: 'writer', revoked: false };
    database = { id: DATABASE, kind: 'managed', name: 'main', pgMajor: 18, createdAtMs: 0 };
    authenticate = createAuthenticator({
      keys: [{ kid: 'k1', x: ours.publicKey.export({ format: 'jwk' }).x ?? '' }],
      catalog: {
        key: (id) => (id === KEY ? key : undefined),
        database: (id) => (id === DATABASE ? database : undefined),
      },
      clock,
      tokensMax: 2,
    });
  });

  it('the authenticator returns the principal of a valid token, and at once for a token that it has verified before', async () => {
    const good = token(CLAIMS);
    const first = authenticate(good);
    expect(first).toBeInstanceOf(Promise);
    expect(await first).toEqual({ keyId: KEY, databaseId: DATABASE, role: 'writer' });
    expect(authenticate(good)).toEqual({ keyId: KEY, databaseId: DATABASE, role: 'writer' });
    expect(authenticate(good.replace('Bearer', 'bearer'))).toBe(authenticate(good));
  });

  it('the authenticator refuses a token that is missing, malformed, altered or signed with another key', async () => {
    const good = token(CLAIMS);
    expect(await codeOf(undefined)).toBe('key_missing');
    expect(await codeOf('')).toBe('key_missing');
    expect(await codeOf('Basic abc')).toBe('key_missing');
    expect(await codeOf('Bearer ')).toBe('key_missing');
    expect(await codeOf('Bearer x')).toBe('key_invalid');
    expect(await codeOf(`Bearer ${'x'.repeat(100_000)}`)).toBe('key_invalid');
    expect(await codeOf(`${good}x`)).toBe('key_invalid');
    expect(await codeOf(good.replace(/\.[^.]+\./, (claims) => `${claims.slice(0, -2)}x.`))).toBe('key_invalid');
    expect(await codeOf(token(CLAIMS, { key: theirs.privateKey }))).toBe('key_invalid');
    expect(await codeOf(token(CLAIMS, { header: { kid: 'k2' } }))).toBe('key_invalid');
    expect(await codeOf(token(CLAIMS, { header: { kid: undefined } }))).toBe('key_invalid');
    expect(await codeOf(token(CLAIMS, { header: { alg: 'none' } }))).toBe('key_invalid');
    expect(await codeOf(token(CLAIMS, { header: { alg: 'HS256' } }))).toBe('key_invalid');
    expect(await codeOf(token(CLAIMS, { header: { crit: ['x'], x: 1 } }))).toBe('key_invalid');
    expect(await codeOf(token({ ...CLAIMS, role: 'superuser' }))).toBe('key_invalid');
    expect(await codeOf(token({ ...CLAIMS, sub: 'key_x' }))).toBe('key_invalid');
    expect(await codeOf(token([]))).toBe('key_invalid');
    expect(await codeOf(good)).toBe('admitted');
  });

  it('the authenticator checks the expiry, the revocation and the database of a token on every use, not only on the first', async () => {
    const seconds = clock.now() / 1000;
    const ending = token({ ...CLAIMS, exp: seconds + 10 });
    expect(await codeOf(ending)).toBe('admitted');
    clock.advance(9_999);
    expect(await codeOf(ending)).toBe('admitted');
    clock.advance(1);
    expect(await codeOf(ending)).toBe('key_expired');
    expect(await codeOf(token({ ...CLAIMS, nbf: seconds + 60 }))).toBe('key_invalid');
    expect(await codeOf(token({ ...CLAIMS, exp: 'never' }))).toBe('key_invalid');

    const good = token(CLAIMS);
    expect(await codeOf(good)).toBe('admitted');
    key = { id: KEY, databaseId: DATABASE, role: 'writer', revoked: true };
    expect(await codeOf(good)).toBe('key_revoked');
    key = { id: KEY, databaseId: DATABASE, role: 'reader', revoked: false };
    expect(await codeOf(good)).toBe('key_invalid');
    key = { id: KEY, databaseId: 'db_bbbbbbbbbbbbbbbbbbbb' as DatabaseId, role: 'writer', revoked: false };
    expect(await codeOf(good)).toBe('key_invalid');
    key = undefined;
    expect(await codeOf(good)).toBe('key_invalid');
    key = { id: KEY, databaseId: DATABASE, role: 'writer', revoked: false };
    database = undefined;
    expect(await codeOf(good)).toBe('database_deleted');
  });

  it('the authenticator keeps a bounded number of verified tokens, and verifies a forgotten token again', async () => {
    const tokens = [1, 2, 3].map((iat) => token({ ...CLAIMS, iat }));
    for (const one of tokens) await authenticate(one);
    expect(tokens.map((one) => authenticate(one) instanceof Promise)).toEqual([true, false, false]);
  });
});

import { importJWK, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import type { DatabaseId, KeyId } from '../../base/index.ts';
import { Secrets } from './key-secrets.ts';

const KEY = {
  id: 'key_aaaaaaaaaaaaaaaaaaaa' as KeyId,
  databaseId: 'db_aaaaaaaaaaaaaaaaaaaa' as DatabaseId,
  role: 'reader' as const,
  createdAtMs: 1_700_000_000_123,
};

describe('Secrets', () => {
  const secrets = new Secrets(new Uint8Array(32).fill(1));
  const same = new Secrets(new Uint8Array(32).fill(1));
  const other = new Secrets(new Uint8Array(32).fill(2));

  it('API keys are signed so that the public key checks them, and one key always has the same text', async () => {
    const token = secrets.apiKey(KEY);
    const { kid, x } = secrets.edgeKey;
    const { payload, protectedHeader } = await jwtVerify(
      token,
      await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA'),
    );
    expect(protectedHeader).toEqual({ alg: 'EdDSA', kid, typ: 'JWT' });
    expect(payload).toEqual({ sub: KEY.id, db: KEY.databaseId, role: 'reader', iat: 1_700_000_000 });
    expect(same.apiKey(KEY)).toBe(token);
    expect(other.apiKey(KEY)).not.toBe(token);
    await expect(
      jwtVerify(token, await importJWK({ kty: 'OKP', crv: 'Ed25519', x: other.edgeKey.x }, 'EdDSA')),
    ).rejects.toThrow();
  });

  it('each secret derived from the master key differs from the others', () => {
    expect(same.tcpSecret(KEY.id)).toBe(secrets.tcpSecret(KEY.id));
    expect(secrets.tcpSecret(KEY.id)).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(secrets.adminToken).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const all = [secrets, other].flatMap((one) => [
      one.tcpSecret(KEY.id),
      one.tcpSecret('key_b' as KeyId),
      one.adminToken,
      one.edgeKey.x,
      one.edgeKey.kid,
    ]);
    expect(new Set(all).size).toBe(all.length);
  });

  it('only the own admin token and own sessions are accepted', () => {
    expect(secrets.isAdminToken(secrets.adminToken)).toBe(true);
    for (const wrong of ['', 'x', other.adminToken, `${secrets.adminToken}x`, secrets.adminToken.slice(1)])
      expect(secrets.isAdminToken(wrong)).toBe(false);
    const session = secrets.session(1000);
    expect(secrets.isSession(session, 999)).toBe(true);
    expect(secrets.isSession(session, 1000)).toBe(false);
    for (const wrong of ['', '1000', session.replace('1000', '9999'), other.session(1000), `${session}x`])
      expect(secrets.isSession(wrong, 0)).toBe(false);
  });
});

import { describe, expect, it } from 'vitest';
import { matchRoute, protocolOf } from './routes.ts';

const HASH = 'a'.repeat(64);

describe('matchRoute', () => {
  it.each([
    ['GET', '/connection-info', 'prisma7', 'connection-info'],
    ['POST', '/query', 'prisma7', 'query'],
    ['POST', '/invalidate', 'prisma7', 'invalidate'],
    ['POST', '/transaction/start', 'prisma7', 'transaction-start'],
    ['POST', '/transaction/0123456789abcdef/query', 'prisma7', 'transaction-query'],
    ['POST', '/transaction/0123456789abcdef/commit', 'prisma7', 'transaction-commit'],
    ['POST', '/transaction/0123456789abcdef/rollback', 'prisma7', 'transaction-rollback'],
    ['POST', `/6.19.0/${HASH}/graphql`, 'prisma6', 'query'],
    ['PUT', `/6.19.0/${HASH}/schema`, 'prisma6', 'schema'],
    ['POST', `/6.19.0/${HASH}/transaction/start`, 'prisma6', 'transaction-start'],
    ['POST', `/6.19.0/${HASH}/itx/0123456789abcdef/graphql`, 'prisma6', 'transaction-query'],
    ['POST', `/6.19.0/${HASH}/itx/0123456789abcdef/commit`, 'prisma6', 'transaction-commit'],
    ['POST', `/6.19.0/${HASH}/itx/0123456789abcdef/rollback`, 'prisma6', 'transaction-rollback'],
    ['POST', `/6.20.0-integration.1/${HASH}/graphql`, 'prisma6', 'query'],
  ])('%s %s', (method, path, protocol, name) => {
    expect(matchRoute(method, path)).toMatchObject({ protocol, name, method });
    expect(protocolOf(path)).toBe(protocol);
  });

  it.each([
    '/',
    '/queries',
    '/query/',
    '/graphql',
    '/6.19.0/graphql',
    `/6.19.0/${HASH}/graphql/more`,
    '//query',
    '/transaction//query',
    `/6.19.0/${HASH}/itx/a/b/commit`,
  ])('knows nothing at %s', (path) => {
    expect(() => matchRoute('POST', path)).toThrow(expect.objectContaining({ code: 'route_unknown' }));
  });

  it.each([
    ['GET', '/query', 'POST'],
    ['HEAD', '/connection-info', 'GET'],
    ['OPTIONS', '/query', 'POST'],
    ['POST', `/6.19.0/${HASH}/schema`, 'PUT'],
  ])('refuses %s %s and says what is taken', (method, path, allow) => {
    expect(() => matchRoute(method, path)).toThrow(
      expect.objectContaining({ code: 'method_not_allowed', meta: { allow } }),
    );
  });
});

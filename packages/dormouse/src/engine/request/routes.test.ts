import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DormouseError } from '../../base/index.ts';
import { routeOf } from './routes.ts';

const HASH = 'a'.repeat(64);
const SIX = `/6.19.0/${HASH}`;
const at = { version: '6.19.0', schemaHash: HASH };

describe('routes', () => {
  it.each([
    ['GET', '/connection-info', { to: 'connection-info' }],
    ['POST', '/query', { to: 'query' }],
    ['POST', '/transaction/start', { to: 'transaction-start' }],
    ['POST', '/transaction/x1/query', { to: 'transaction-query', transactionId: 'x1' }],
    ['POST', '/transaction/x1/commit', { to: 'transaction-commit', transactionId: 'x1' }],
    ['POST', '/transaction/x1/rollback', { to: 'transaction-rollback', transactionId: 'x1' }],
    ['PUT', `${SIX}/schema`, { to: 'schema', ...at }],
    ['POST', `${SIX}/graphql`, { to: 'graphql', ...at }],
    ['POST', `${SIX}/transaction/start`, { to: 'itx-start', ...at }],
    ['POST', `${SIX}/itx/x1/graphql`, { to: 'itx-graphql', transactionId: 'x1', ...at }],
    ['POST', `${SIX}/itx/x1/commit`, { to: 'itx-commit', transactionId: 'x1', ...at }],
    ['POST', `${SIX}/itx/x1/rollback`, { to: 'itx-rollback', transactionId: 'x1', ...at }],
  ])('%s %s', (method, path, route) => {
    expect(routeOf(method, path)).toEqual(route);
    expect(() => routeOf('DELETE', path)).toThrow(expect.objectContaining({ code: 'method_not_allowed' }));
  });

  it('of any other path are unknown', () => {
    for (const path of [
      '/',
      '',
      '/queryx',
      '/transaction/a/b/query',
      `/6 9/${HASH}/graphql`,
      `/6/${'A'.repeat(64)}/graphql`,
      `${SIX}/itx//commit`,
    ]) {
      expect(() => routeOf('POST', path), path).toThrow(expect.objectContaining({ code: 'route_unknown' }));
    }
    fc.assert(
      fc.property(fc.string(), fc.webPath(), (method, path) => {
        try {
          routeOf(method, path);
        } catch (error) {
          expect(error).toBeInstanceOf(DormouseError);
        }
      }),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DormouseError } from '../errors.ts';
import { isQueryRoute, parseRoute, protocolOf } from './routes.ts';

const HASH = 'a'.repeat(64);
const SIX = `/6.19.0/${HASH}`;
const seven = { protocol: 'prisma7' };
const six = { protocol: 'prisma6', version: '6.19.0', schemaHash: HASH };
const transactionId = '0123456789abcdef';

describe('parseRoute', () => {
  it.each([
    ['GET', '/connection-info', { ...seven, name: 'connection-info' }],
    ['POST', '/query', { ...seven, name: 'query' }],
    ['POST', '/invalidate', { ...seven, name: 'invalidate' }],
    ['POST', '/transaction/start', { ...seven, name: 'transaction-start' }],
    ['POST', `/transaction/${transactionId}/query`, { ...seven, name: 'transaction-query', transactionId }],
    ['POST', `/transaction/${transactionId}/commit`, { ...seven, name: 'transaction-commit', transactionId }],
    ['POST', `/transaction/${transactionId}/rollback`, { ...seven, name: 'transaction-rollback', transactionId }],
    ['POST', '/transaction/start/query', { ...seven, name: 'transaction-query', transactionId: 'start' }],
    ['PUT', `${SIX}/schema`, { ...six, name: 'schema' }],
    ['POST', `${SIX}/graphql`, { ...six, name: 'query' }],
    ['POST', `${SIX}/transaction/start`, { ...six, name: 'transaction-start' }],
    ['POST', `${SIX}/itx/${transactionId}/graphql`, { ...six, name: 'transaction-query', transactionId }],
    ['POST', `${SIX}/itx/${transactionId}/commit`, { ...six, name: 'transaction-commit', transactionId }],
    ['POST', `${SIX}/itx/${transactionId}/rollback`, { ...six, name: 'transaction-rollback', transactionId }],
    ['POST', `/6.20.0-integration.1/${HASH}/graphql`, { ...six, name: 'query', version: '6.20.0-integration.1' }],
  ])('%s %s is a route', (method, path, route) => {
    expect(parseRoute(method, path)).toEqual(route);
    expect(protocolOf(path)).toBe(route.protocol);
    expect(isQueryRoute(parseRoute(method, path))).toBe(route.name.endsWith('query'));
    // Every path takes one method, and the refusal of any other names it.
    expect(() => parseRoute('DELETE', path)).toThrow(
      expect.objectContaining({ code: 'method_not_allowed', meta: { allow: method } }),
    );
  });

  it.each([
    ['GET', '/query', 'POST'],
    ['HEAD', '/connection-info', 'GET'],
    ['OPTIONS', '/query', 'POST'],
    ['POST', `${SIX}/schema`, 'PUT'],
  ])('%s %s is refused with the method that the path takes', (method, path, allow) => {
    expect(() => parseRoute(method, path)).toThrow(
      expect.objectContaining({ code: 'method_not_allowed', meta: { allow } }),
    );
  });

  it.each([
    '',
    '/',
    '/queries',
    '/queryx',
    '/query/',
    '/graphql',
    '//query',
    '/transaction//query',
    '/transaction/a/b/query',
    `/transaction/${'a'.repeat(65)}/query`,
    '/6.19.0/graphql',
    `/6 9/${HASH}/graphql`,
    `/6/${'A'.repeat(64)}/graphql`,
    `${SIX}/graphql/more`,
    `${SIX}/itx//commit`,
    `${SIX}/itx/a/b/commit`,
    `${SIX}/itx/${'a'.repeat(65)}/commit`,
  ])('there is no route at the path "%s"', (path) => {
    expect(() => parseRoute('POST', path)).toThrow(expect.objectContaining({ code: 'route_unknown' }));
  });

  it('parseRoute returns a route or throws a DormouseError, whatever the method and path are', () => {
    fc.assert(
      fc.property(fc.string(), fc.webPath(), (method, path) => {
        try {
          parseRoute(method, path);
        } catch (error) {
          expect(error).toBeInstanceOf(DormouseError);
        }
      }),
    );
  });
});

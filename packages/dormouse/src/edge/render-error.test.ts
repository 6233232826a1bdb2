import { describe, expect, it } from 'vitest';
import { DormouseError, ERRORS, type ErrorCode } from '../base/index.ts';
import { renderError } from './render-error.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

/**
 * What Prisma Client 6.19 makes of a reply that is not 2xx, by the rules of its data proxy engine: the error code, and
 * whether the client repeats the request.
 */
function asPrisma6(status: number, text: string): { code: string; repeats: boolean; message?: string } {
  const body = JSON.parse(text) as Record<string, unknown>;
  if ('is_panic' in body && 'message' in body && 'error_code' in body) {
    return { code: String(body.error_code), repeats: false, message: String(body.message) };
  }
  if ('EngineNotStarted' in body) return { code: 'P5005', repeats: true };
  if (status === 401 || status === 403) return { code: 'P5007', repeats: false };
  if (status === 404) return { code: 'P5003', repeats: false };
  if (status === 429) return { code: 'P5008', repeats: true };
  if (status === 504) return { code: 'P5009', repeats: false };
  return status >= 500 ? { code: 'P5006', repeats: true } : { code: 'P5000', repeats: false };
}

describe('renderError', () => {
  it.each(CODES)('the error %s reaches both clients with the codes of the table', (code) => {
    const error = new DormouseError(code, { meta: { detail: 1 } });
    const seven = renderError(error, 'prisma7');
    const body = JSON.parse(String(seven.body));
    expect(seven.status).toBe(ERRORS[code].status);
    expect(seven.headers['prisma-error-code']).toBe(ERRORS[code].prisma7);
    expect(body).toEqual({
      code: ERRORS[code].prisma7,
      message: error.message,
      error: error.message,
      meta: { reason: code, detail: 1 },
    });
    const six = renderError(error, 'prisma6');
    expect(six.status).toBe(ERRORS[code].status);
    expect(asPrisma6(six.status, String(six.body)).code).toBe(ERRORS[code].prisma6);
    // Applications that use Accelerate look for this code, in the body of either form and in the message that the
    // client shows.
    if (code !== 'schema_missing') {
      expect(JSON.parse(String(six.body)).code).toBe(ERRORS[code].prisma7);
      const { message } = asPrisma6(six.status, String(six.body));
      if (ERRORS[code].kind === 'limit' && ERRORS[code].prisma7 !== 'P2028') {
        expect(message ?? String(six.body)).toContain(`"code":"${ERRORS[code].prisma7}"`);
      }
    }
    // The message is part of the text that the client shows.
    if (code !== 'schema_missing') expect(String(six.body)).toContain(JSON.stringify(error.message).slice(1, -1));
  });

  it.each(CODES.filter((code) => ERRORS[code].retry === 'never'))(
    'Prisma 6 does not repeat a request that failed with %s, which would fail again',
    (code) => {
      const { status, body } = renderError(new DormouseError(code), 'prisma6');
      if (ERRORS[code].prisma6 !== 'P5008') expect(asPrisma6(status, String(body)).repeats).toBe(false);
    },
  );

  it('Prisma 6 does not repeat a write that may have taken place', () => {
    for (const code of ['database_crashed', 'database_stopped', 'internal', 'query_timeout'] as const) {
      const { status, body } = renderError(new DormouseError(code), 'prisma6');
      expect(asPrisma6(status, String(body)).repeats, code).toBe(false);
    }
  });

  it('a reply says after how many seconds to try again, and which method a route takes', () => {
    expect(renderError(new DormouseError('queue_full'), 'prisma7').headers['retry-after']).toBe('1');
    expect(renderError(new DormouseError('wake_timeout'), 'prisma6').headers['retry-after']).toBe('1');
    expect(renderError(new DormouseError('key_invalid'), 'prisma7').headers['retry-after']).toBeUndefined();
    expect(
      renderError(new DormouseError('method_not_allowed', { meta: { allow: 'POST' } }), 'prisma7').headers.allow,
    ).toBe('POST');
  });

  it('a reply shows nothing of the cause of its error', () => {
    const error = new DormouseError('internal', { cause: new Error('secret path /root') });
    expect(String(renderError(error, 'prisma7').body) + String(renderError(error, 'prisma6').body)).not.toContain(
      'secret',
    );
  });
});

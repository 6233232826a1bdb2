import type { DormouseError, MinimalReply, Protocol } from '../base/index.ts';

/** Seconds after which a refused client may come back: waiting queues and wakes clear within one. */
const RETRY_AFTER_SECONDS = '1';

/**
 * An error as the client of `protocol` understands it: the one place where a `DormouseError` becomes an HTTP reply of
 * Accelerate.
 *
 * Prisma 7 takes code, message and meta from the body of any reply that is not 2xx. Prisma 6 takes its class of error
 * from the status and repeats P5006 and P5008 by itself, up to three times; it shows the body as JSON in its message. A
 * body `{is_panic, message, error_code}` becomes a known request error of that code, which it never repeats. In either
 * form the body has Accelerate's code (P6xxx): applications look for it in the message.
 */
export function renderError(error: DormouseError, protocol: Protocol): MinimalReply {
  const { row } = error;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  const { status } = row;
  if (status === 429 || status === 503) headers['retry-after'] = RETRY_AFTER_SECONDS;
  if (error.code === 'method_not_allowed' && typeof error.meta?.allow === 'string') headers.allow = error.meta.allow;
  if (protocol === 'prisma6') {
    headers['prisma-error-code'] = row.prisma6;
    return { status, headers, body: JSON.stringify(prisma6Body(error)) };
  }
  headers['prisma-error-code'] = row.prisma7;
  const message = error.publicMessage;
  // Both `error` and `message`: the client reads the first, Accelerate's own replies had the second.
  const body = { code: row.prisma7, message, error: message, meta: { reason: error.code, ...error.meta } };
  return { status, headers, body: JSON.stringify(body) };
}

function prisma6Body(error: DormouseError): unknown {
  const { row, publicMessage: message } = error;
  if (error.code === 'schema_missing') return { EngineNotStarted: { reason: 'SchemaMissing' } };
  const body = { code: row.prisma7, message, meta: { reason: error.code, ...error.meta } };
  // P5006 is repeated by the client: where a repeat is useless or might write twice, say it in the form that is not.
  if (row.prisma6.startsWith('P5') && !(row.prisma6 === 'P5006' && row.retry === 'never')) {
    return row.status === 400 ? { InvalidRequestError: { reason: message }, ...body } : body;
  }
  // Of this form the client shows nothing but the message.
  const shown = row.prisma6.startsWith('P6') ? `${message} ${JSON.stringify({ code: row.prisma7 })}` : message;
  return { ...body, message: shown, is_panic: false, error_code: row.prisma6 };
}

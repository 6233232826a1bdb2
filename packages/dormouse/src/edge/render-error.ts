import type { DormouseError, MinimalReply, Protocol } from '../base/index.ts';

/** Seconds after which a refused client may try again: queues and wakes take about one second. */
const RETRY_AFTER_SECONDS = '1';

/**
 * Writes an error in the form that the client of `protocol` understands. This is the only place where a `DormouseError`
 * becomes an HTTP reply of Accelerate.
 *
 * Prisma 7 takes code, message and meta from the body of any reply that is not 2xx. Prisma 6 takes the class of the
 * error from the status, shows the body as JSON in its message, and repeats requests that failed with P5006 or P5008 up
 * to three times. From a body `{is_panic, message, error_code}` Prisma 6 makes a known request error with that code,
 * and never repeats the request. In either form the body has Accelerate's code (P6xxx), because applications look for
 * that code in the message.
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
  // The client reads `error`; the replies of Prisma Accelerate itself have `message`.
  const body = { code: row.prisma7, message, error: message, meta: { reason: error.code, ...error.meta } };
  return { status, headers, body: JSON.stringify(body) };
}

function prisma6Body(error: DormouseError): unknown {
  const { row, publicMessage: message } = error;
  if (error.code === 'schema_missing') return { EngineNotStarted: { reason: 'SchemaMissing' } };
  const body = { code: row.prisma7, message, meta: { reason: error.code, ...error.meta } };
  // The client repeats P5006. Where a repeat is useless or might write twice, the other form prevents the repeat.
  if (row.prisma6.startsWith('P5') && !(row.prisma6 === 'P5006' && row.retry === 'never')) {
    return row.status === 400 ? { InvalidRequestError: { reason: message }, ...body } : body;
  }
  // Of the form with `error_code` the client shows only the message.
  const shown = row.prisma6.startsWith('P6') ? `${message} ${JSON.stringify({ code: row.prisma7 })}` : message;
  return { ...body, message: shown, is_panic: false, error_code: row.prisma6 };
}

/** `traceparent` of W3C Trace Context, version 00: trace, span and flags in lower-case hexadecimal. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]([0-9a-f])$/;
const NO_ID = /^0+$/;

/**
 * The comment after the SQL of a Prisma 6 client that traces, by which a trace is found in Postgres' own logs. Empty
 * for a trace that is not sampled: no one would look for it, and its id would make each SQL text unlike all others.
 * Empty, as with the engine of Prisma 6, for a header that is not of version 00, that has an id of zeros, or that came
 * twice.
 */
export function traceComment(header: string | undefined): string {
  const [, trace, span, flags] = TRACEPARENT.exec(header ?? '') ?? [];
  if (trace === undefined || span === undefined || flags === undefined) return '';
  if (NO_ID.test(trace) || NO_ID.test(span)) return '';
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
  return isSampled ? ` /* traceparent='${header}' */` : '';
}

const COMMENT = / \/\* traceparent='[^']*' \*\/$/;

/** The SQL without the comment that `traceComment` has added. */
export function withoutTrace(sql: string): string {
  return sql.endsWith("' */") ? sql.replace(COMMENT, '') : sql;
}

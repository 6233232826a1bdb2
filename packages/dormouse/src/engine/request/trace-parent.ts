/** `traceparent` of W3C Trace Context, version 00: trace, span and flags in lower-case hexadecimal. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]([0-9a-f])$/;
const NO_ID = /^0+$/;

/**
 * What stands behind the SQL of a client of Prisma 6 that traces, so that it finds its trace in Postgres' own logs; ''
 * for a trace that is not sampled, which nobody would look for, and whose number would make each text unlike all before
 * it. A header that is none of version 00, that has an id of zeros, or that came twice, says nothing: so does the
 * engine of Prisma 6.
 */
export function traceComment(header: string | undefined): string {
  const [, trace, span, flags] = TRACEPARENT.exec(header ?? '') ?? [];
  if (trace === undefined || span === undefined || flags === undefined) return '';
  if (NO_ID.test(trace) || NO_ID.test(span)) return '';
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1;
  return isSampled ? ` /* traceparent='${header}' */` : '';
}

const COMMENT = / \/\* traceparent='[^']*' \*\/$/;

/** SQL without that comment. */
export function withoutTrace(sql: string): string {
  return sql.endsWith("' */") ? sql.replace(COMMENT, '') : sql;
}

import type { ServerResponse } from 'node:http';

/** Durable Streams 8.1: cursors count intervals of 20 s since 2024-10-09. */
const CURSOR_INTERVAL_MS = 20_000;
const CURSOR_ORIGIN_MS = Date.UTC(2024, 9, 9);

/** Writes the head of a reply with the fields of Durable Streams. */
export function writeStreamHead(
  response: ServerResponse,
  status: number,
  fields: { readonly offset: string; readonly upToDate?: boolean; readonly cursor?: string },
): void {
  const headers: Record<string, string> = { 'stream-next-offset': fields.offset, 'cache-control': 'no-store' };
  if (status !== 204 && status !== 304) headers['content-type'] = 'application/json';
  if (fields.upToDate === true) headers['stream-up-to-date'] = 'true';
  if (fields.cursor !== undefined) headers['stream-cursor'] = fields.cursor;
  response.writeHead(status, headers);
}

/**
 * The cache cursor that a live reply gives: never the one that the reader sent, so that no cache answers the reader's
 * next request with the reply it already has.
 */
export function cacheCursorAfter(given: string | null, nowMs: number): string {
  const interval = Math.floor((nowMs - CURSOR_ORIGIN_MS) / CURSOR_INTERVAL_MS);
  const last = given !== null && /^\d{1,15}$/.test(given) ? Number(given) : -1;
  return String(last >= interval ? last + 1 : interval);
}

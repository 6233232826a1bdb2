import { DormouseError } from '../../base/index.ts';
import type { RequestContent } from './request-content.ts';

/** Bounds that a client may lower for one request, and never raise. Milliseconds and bytes. */
export interface ClientLimits {
  readonly queryMs: number;
  readonly transactionMs: number;
  readonly replyBytesMax: number;
}

const DURATION =
  /^P(?:(\d+(?:[.,]\d+)?)W)?(?:(\d+(?:[.,]\d+)?)D)?(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?$/i;
/** Milliseconds of the units in {@link DURATION}, in the same order. */
const DURATION_UNITS_MS = [604_800_000, 86_400_000, 3_600_000, 60_000, 1000];
const SIZE = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$/;
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/**
 * The limits of one request: the platform's, lowered by the request's headers. Throws `request_invalid` for a header
 * that cannot be read.
 */
export function limitsOf(request: Pick<RequestContent, 'header'>, limits: ClientLimits): ClientLimits {
  const query = request.header('x-query-timeout');
  const transaction = request.header('x-max-transaction-timeout');
  const reply = request.header('x-max-response-size');
  if (query === undefined && transaction === undefined && reply === undefined) return limits;
  return {
    queryMs: lower(limits.queryMs, query, 'x-query-timeout', parseDurationMs),
    transactionMs: lower(limits.transactionMs, transaction, 'x-max-transaction-timeout', parseDurationMs),
    replyBytesMax: lower(limits.replyBytesMax, reply, 'x-max-response-size', parseSizeBytes),
  };
}

function lower(
  limit: number,
  text: string | undefined,
  name: string,
  parse: (text: string) => number | undefined,
): number {
  if (text === undefined) return limit;
  const wanted = parse(text.trim());
  if (wanted === undefined) throw new DormouseError('request_invalid', { message: `The header ${name} is malformed.` });
  return Math.min(limit, wanted);
}

/** Milliseconds of an ISO 8601 duration (of weeks and shorter units) or of a plain number of milliseconds. */
export function parseDurationMs(text: string): number | undefined {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  if (text.length > 64) return undefined;
  const parts = DURATION.exec(text)?.slice(1);
  if (parts === undefined || parts.every((part) => part === undefined)) return undefined;
  return parts.reduce(
    (sum, part, index) => sum + Number((part ?? '0').replace(',', '.')) * (DURATION_UNITS_MS[index] ?? 0),
    0,
  );
}

/** Bytes of a number with an optional unit such as `MB` or `MiB`. */
export function parseSizeBytes(text: string): number | undefined {
  const [, amount, unit] = SIZE.exec(text.slice(0, 64)) ?? [];
  if (amount === undefined) return undefined;
  return Math.floor(Number(amount) * (SIZE_UNITS[unit ?? 'B'] ?? 1));
}

import { LARGE_BODY_BYTES, type MinimalReply, type Protocol } from '../base/index.ts';

// The operations that only read. Replies to raw queries are never kept, because these may write; nor are replies to an
// operation that is missing here.
const READS: ReadonlySet<unknown> = new Set([
  'findUnique',
  'findUniqueOrThrow',
  'findFirst',
  'findFirstOrThrow',
  'findMany',
  'count',
  'aggregate',
  'groupBy',
]);

/**
 * Tells whether the body of a query asks for reads only, outside a transaction. The extension sends `cache-control`
 * with writes too, so the body decides. The reply to a malformed body is not kept: the engine reports the mistake.
 */
export function asksForReads(protocol: Protocol, body: Uint8Array): boolean {
  if (body.byteLength > LARGE_BODY_BYTES) return beginsAsRead(protocol, body);
  let request: unknown;
  try {
    request = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return false;
  }
  if (typeof request !== 'object' || request === null) return false;
  const { operation, action, batch, transaction } = request as Record<string, unknown>;
  if (protocol === 'prisma7') return READS.has(operation);
  if (transaction !== undefined) return false;
  if (batch === undefined) return READS.has(action);
  return (
    Array.isArray(batch) &&
    batch.length > 0 &&
    batch.every((query) => READS.has((query as { action?: unknown } | null)?.action))
  );
}

/** The beginning of a body as the clients write it: the operation stands before any data of the tenant. */
const BEGINNINGS: Readonly<Record<Protocol, RegExp>> = {
  prisma6: /^\{(?:"modelName":"\w+",)?"action":"(\w+)",/,
  prisma7: /^\{(?:"model":"\w+",)?"operation":"(\w+)",/,
};
/**
 * Members that could change the operation, wherever in the body they stand. A string cannot contain such a match,
 * because quotes in strings are escaped.
 */
const OTHERS: Readonly<Record<Protocol, RegExp>> = {
  prisma6: /"(?:action|batch|transaction)":/,
  prisma7: /"operation":/,
};
/** More than a model's and an operation's name take. */
const BEGINNING_BYTES = 512;

/**
 * Tells the same of a large body, which would take too long to parse: its beginning names the operation, and no later
 * member may name another one. If a column has the name of such a member, or the client writes the body in another
 * form, the reply is not kept.
 */
function beginsAsRead(protocol: Protocol, body: Uint8Array): boolean {
  const decoder = new TextDecoder();
  const beginning = BEGINNINGS[protocol].exec(decoder.decode(body.subarray(0, BEGINNING_BYTES)));
  if (beginning === null || !READS.has(beginning[1])) return false;
  return !OTHERS[protocol].test(decoder.decode(body.subarray(beginning[0].length)));
}

/** Tells whether a reply may be kept: its status is 2xx, and neither it nor a part of its batch has `errors`. */
export function isKeepable(reply: MinimalReply): boolean {
  if (reply.status < 200 || reply.status >= 300) return false;
  const text = typeof reply.body === 'string' ? reply.body : new TextDecoder().decode(reply.body);
  // Nearly every reply ends here. A row may hold the word too, so where it appears the reply is read properly.
  if (!text.includes('"errors"')) return true;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || 'errors' in parsed) return false;
    const { batchResult } = parsed as { batchResult?: unknown };
    return (
      !Array.isArray(batchResult) ||
      batchResult.every((part) => typeof part === 'object' && part !== null && !('errors' in part))
    );
  } catch {
    return false;
  }
}

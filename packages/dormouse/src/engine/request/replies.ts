import { DormouseError, type MinimalReply } from '../../base/index.ts';

const JSON_TYPE = 'application/json';

/** A JSON reply. Throws `reply_too_large` when its text has more than `bytesMax` bytes. */
export function jsonReply(status: number, value: unknown, bytesMax: number = Number.POSITIVE_INFINITY): MinimalReply {
  const body = jsonText(value);
  if (tooLong(body, bytesMax)) throw new DormouseError('reply_too_large');
  return { status, headers: { 'content-type': JSON_TYPE }, body };
}

/** A reply whose JSON text is written already. Throws `reply_too_large` when it has more than `bytesMax` bytes. */
export function writtenReply(body: string | Uint8Array, bytesMax: number): MinimalReply {
  if ((typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength) > bytesMax)
    throw new DormouseError('reply_too_large');
  return { status: 200, headers: { 'content-type': JSON_TYPE }, body };
}

/** Adds members at the end of a JSON object that is written already. */
export function writtenWith(body: string | Uint8Array, members: object): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return Buffer.concat([bytes.subarray(0, -1), Buffer.from(`,${jsonText(members).slice(1)}`)]);
}

/** A UTF-16 unit takes at most three bytes of UTF-8, so that the bytes of most replies need not be counted. */
function tooLong(text: string, bytesMax: number): boolean {
  return text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax;
}

/** A value as JSON. Throws `reply_too_large`. */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // A string of V8 has at most 512 MiB.
    if (error instanceof RangeError) throw new DormouseError('reply_too_large', { cause: error });
    throw error;
  }
}

import { newRequestId, type RandomBytes, type RequestId } from '../base/index.ts';

/** Ids whose random bytes are drawn at once: a draw costs 5 µs however short, an eighth of a cached reply. */
const IDS_A_DRAW = 256;
const ID_BYTES = 8;

/** Gives the ids of requests; the same as {@link newRequestId}, drawn by the hundred. */
export function createRequestIds(random: RandomBytes): () => RequestId {
  let pool: Uint8Array = new Uint8Array(0);
  let at = 0;
  const next: RandomBytes = (length) => {
    const bytes = pool.subarray(at, at + length);
    at += length;
    return bytes;
  };
  return () => {
    if (at + ID_BYTES > pool.byteLength) {
      pool = random(IDS_A_DRAW * ID_BYTES);
      at = 0;
    }
    return newRequestId(next);
  };
}

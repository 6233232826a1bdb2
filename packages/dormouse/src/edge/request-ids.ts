import { newRequestIds, type RandomBytes, type RequestId } from '../base/index.ts';

/** Ids per draw: a draw costs 5 µs whatever its length, an eighth of the time of a cached reply. */
const IDS_A_DRAW = 256;

/** Returns a function that gives ids like `newRequestId`, but draws the random bytes for many ids at once. */
export function createRequestIds(random: RandomBytes): () => RequestId {
  let drawn: RequestId[] = [];
  return () => {
    if (drawn.length === 0) drawn = newRequestIds(random, IDS_A_DRAW);
    return drawn.pop() as RequestId;
  };
}

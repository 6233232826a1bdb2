import type { Clock } from '../base/index.ts';

/** Gives the present as an HTTP date, which has seconds: it is written once a second. */
export function createHttpDate(clock: Clock): () => string {
  let second = Number.NaN;
  let text = '';
  return () => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}

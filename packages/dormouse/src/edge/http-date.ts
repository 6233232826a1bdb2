import type { Clock } from '../base/index.ts';

/** Returns a function that gives the present time as an HTTP date. The text is written once per second. */
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

import { percentile } from './load.ts';

/** Does `total` things, `atOnce` at a time, and says how long one took. */
export async function each(
  total: number,
  atOnce: number,
  work: (at: number) => Promise<void>,
): Promise<{ readonly p50: number; readonly p99: number }> {
  const took: number[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(atOnce, total) }, async () => {
      while (next < total) {
        const at = next++;
        const startedMs = performance.now();
        await work(at);
        took.push(performance.now() - startedMs);
      }
    }),
  );
  took.sort((a, b) => a - b);
  return { p50: percentile(took, 0.5), p99: percentile(took, 0.99) };
}

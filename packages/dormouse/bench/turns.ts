import { percentile } from './load.ts';

/** Does `total` turns, `concurrency` at a time, and says how long they took and what CPU time this process spent. */
export async function runTurns(
  total: number,
  concurrency: number,
  work: (turn: number) => Promise<void>,
): Promise<Record<string, number>> {
  const latencies = new Float64Array(total);
  const before = process.cpuUsage();
  const start = performance.now();
  let turn = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (turn < total) {
        const mine = turn++;
        const startedMs = performance.now();
        await work(mine);
        latencies[mine] = performance.now() - startedMs;
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(before);
  latencies.sort();
  return {
    seconds,
    cpuMs: (used.user + used.system) / 1000,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}

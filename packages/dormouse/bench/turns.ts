import { percentile } from './load.ts';

/**
 * Does turns for some seconds, `concurrency` at a time, and says how many they were and what CPU time this process
 * spent.
 */
export async function runTurns(
  seconds: number,
  concurrency: number,
  work: (turn: number) => Promise<void>,
): Promise<Record<string, number>> {
  const latencies: number[] = [];
  const before = process.cpuUsage();
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  let turn = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let nowMs = startedMs; nowMs < endMs; ) {
        const turnStartedMs = nowMs;
        await work(turn++);
        nowMs = performance.now();
        latencies.push(nowMs - turnStartedMs);
      }
    }),
  );
  const ranSeconds = (performance.now() - startedMs) / 1000;
  const used = process.cpuUsage(before);
  const sorted = Float64Array.from(latencies).sort();
  return {
    rate: sorted.length / ranSeconds,
    cpuUs: (used.user + used.system) / sorted.length,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
  };
}

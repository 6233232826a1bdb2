import { load, percentile, type RecordedRequest } from './load.ts';
import { startPeer } from './peer-process.ts';
import { QUERIES } from './queries.ts';
import { compare, ownCpuMs, type Peer, show, table } from './rounds.ts';
import { openStage } from './stage.ts';

/** Different parameters a query, so that nothing is answered twice in a row. */
const VARIANTS = 100;
const TOTAL = 4000;
const CONNECTIONS = [1, 16, 64];

/** An uncached query over HTTP beside the vendor's executor and beside a client in the app's own process. */
export async function query(): Promise<string> {
  const stage = await openStage(['--suspend-after', 'never']);
  const vendor = await startPeer('vendor', [stage.directUrl]);
  const inProcess = await startPeer('in-process', [stage.directUrl]);
  try {
    const rows: string[][] = [];
    for (const [name, run] of Object.entries(QUERIES)) {
      const calls = Array.from({ length: VARIANTS }, (_, turn) => (client: unknown) => run(client, turn));
      const seven = await stage.record(7, calls);
      const six = await stage.record(6, calls);
      for (const connections of CONNECTIONS) {
        const overHttp = (peer: string, port: number, pid: number, requests: readonly RecordedRequest[]): Peer => ({
          name: peer,
          async run() {
            const before = ownCpuMs(pid);
            const result = await load({ host: '127.0.0.1', port, requests, connections, total: TOTAL });
            if (result.failures > 0) throw new Error(`${peer}: ${result.failures} replies were errors`);
            return {
              rate: TOTAL / result.seconds,
              cpuUs: ((ownCpuMs(pid) - before) * 1000) / TOTAL,
              p50: percentile(result.latencies, 0.5),
              p99: percentile(result.latencies, 0.99),
            };
          },
        });
        const platformPid = stage.platform.child.pid as number;
        const figures = await compare([
          overHttp('Dormouse, Prisma 7', stage.port, platformPid, seven),
          overHttp('Dormouse, Prisma 6', stage.port, platformPid, six),
          overHttp('@prisma/query-plan-executor', vendor.ready.port as number, vendor.pid, seven),
          {
            name: 'in-process client, adapter-pg',
            async run() {
              const { seconds, cpuMs } = await inProcess.ask({ name, total: TOTAL, concurrency: connections });
              return { rate: TOTAL / (seconds as number), cpuUs: ((cpuMs as number) * 1000) / TOTAL };
            },
          },
        ]);
        for (const [peer, one] of figures) {
          rows.push([
            name,
            String(connections),
            peer,
            show(one('rate'), 0),
            show(one('cpuUs'), 0),
            peer.startsWith('in-process') ? '–' : `${show(one('p50'))} / ${show(one('p99'))}`,
          ]);
        }
      }
    }
    return table(['query', 'connections', 'server', 'queries/s', 'its CPU, µs a query', 'p50 / p99, ms'], rows);
  } finally {
    await vendor.stop();
    await inProcess.stop();
    await stage.stop();
  }
}

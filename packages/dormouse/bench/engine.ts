import { WORKLOADS, type Workload } from './engine-queries.ts';
import { DRIVER, EXECUTOR, IN_PROCESS, JSON_QUERIES, type Measured, PLANS, targetTable } from './engine-targets.ts';
import { echoOf, unitsOf } from './engine-units.ts';
import { type BenchFlags, UsageError } from './flags.ts';
import { load, percentile, type Units } from './load.ts';
import { type PeerProcess, startPeer } from './peer-process.ts';
import { compare, ownCpuMs, type Peer, show, table } from './rounds.ts';
import { openStage, type Stage } from './stage.ts';

const CONNECTIONS = [1, 16, 64];
const ROUNDS = 5;
/** One run of one server. All workloads, connections, servers and rounds take about 25 minutes with it. */
const SECONDS = 1.5;

interface Servers {
  readonly stage: Stage;
  readonly executor: PeerProcess;
  readonly inProcess: PeerProcess;
  readonly driver: PeerProcess;
  readonly endToEnd: PeerProcess;
}

/**
 * Every kind of query over HTTP by both protocols, beside the vendor's executor, a client in the app's own process, the
 * bare driver, and a server that only echoes; the stock client end to end beside them. Then the ratios that are
 * claimed.
 */
export async function engine(flags: BenchFlags): Promise<string> {
  const only = flags.list('only');
  const workloads = WORKLOADS.filter(({ name }) => only?.some((part) => name.includes(part.trim())) ?? true);
  if (workloads.length === 0)
    throw new UsageError(`--only takes parts of: ${WORKLOADS.map(({ name }) => name).join('; ')}.`);
  const stage = await openStage(['--suspend-after', 'never']);
  const servers: Servers = {
    stage,
    executor: await startPeer('vendor', [stage.directUrl]),
    inProcess: await startPeer('in-process', [stage.directUrl]),
    driver: await startPeer('driver', [stage.directUrl]),
    endToEnd: await startPeer('in-process', [stage.database.prismaUrl]),
  };
  try {
    const rows: string[][] = [];
    const measured: Measured[] = [];
    for (const workload of workloads) {
      for (const [connections, figures] of await compareAll(servers, workload, flags)) {
        measured.push({
          workload: workload.name,
          connections,
          of: (server, number) => (figures.get(server) as (name: string) => ReturnType<Measured['of']>)(number),
        });
        for (const [server, one] of figures) {
          rows.push([
            workload.name,
            String(connections),
            server,
            show(one('rate'), 0),
            show(one('cpuUs'), 0),
            `${show(one('p50'))} / ${show(one('p99'))}`,
          ]);
        }
      }
      console.error(`measured: ${workload.name}`);
    }
    const head = ['query', 'connections', 'server', 'per second', 'its CPU, µs each', 'p50 / p99, ms'];
    return `${table(head, rows)}\n\n${targetTable(measured)}`;
  } finally {
    for (const peer of [servers.executor, servers.inProcess, servers.driver, servers.endToEnd]) await peer.stop();
    await stage.stop();
  }
}

/** One workload by every server, a comparison a number of connections. */
async function compareAll(
  { stage, executor, inProcess, driver, endToEnd }: Servers,
  workload: Workload,
  flags: BenchFlags,
): Promise<[number, Awaited<ReturnType<typeof compare>>][]> {
  const seconds = flags('seconds', SECONDS);
  const seven = await unitsOf(stage, 7, workload);
  const six = await unitsOf(stage, 6, workload);
  const echo = await echoOf(stage, seven);
  const platformPid = stage.platform.child.pid as number;
  const all: [number, Awaited<ReturnType<typeof compare>>][] = [];
  try {
    for (const connections of flags.numbers('connections', CONNECTIONS)) {
      const overHttp = (name: string, port: number, pid: number, units: Units): Peer => ({
        name,
        async run() {
          const beforeMs = ownCpuMs(pid);
          const result = await load({ host: '127.0.0.1', port, units, connections, seconds });
          if (result.failures > 0) throw new Error(`${name}: ${result.failures} replies were errors`);
          return {
            rate: result.done / result.seconds,
            cpuUs: ((ownCpuMs(pid) - beforeMs) * 1000) / result.done,
            p50: percentile(result.latencies, 0.5),
            p99: percentile(result.latencies, 0.99),
          };
        },
      });
      const byOrder = (name: string, peer: PeerProcess): Peer => ({
        name,
        run: () => peer.ask({ name: workload.name, seconds, concurrency: connections }),
      });
      const peers = [
        overHttp(PLANS, stage.port, platformPid, seven),
        overHttp(JSON_QUERIES, stage.port, platformPid, six),
        overHttp(EXECUTOR, executor.ready.port as number, executor.pid, seven),
        byOrder(IN_PROCESS, inProcess),
        byOrder(DRIVER, driver),
        byOrder('client 7 end to end over Dormouse', endToEnd),
        ...(echo === undefined ? [] : [overHttp('node:http echo', echo.ready.port as number, echo.pid, seven)]),
      ];
      all.push([connections, await compare(peers, flags('rounds', ROUNDS))]);
    }
  } finally {
    await echo?.stop();
  }
  return all;
}

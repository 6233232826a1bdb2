import { WORKLOADS, type Workload } from './engine-queries.ts';
import { load, percentile, type RecordedRequest, record, type Unit } from './load.ts';
import { type PeerProcess, startPeer } from './peer-process.ts';
import { compare, type Peer, show, table, threadsCpuMs } from './rounds.ts';
import { openStage, type Stage } from './stage.ts';

/** Different parameters a query, so that nothing is answered twice in a row. */
const VARIANTS = 100;
/** Queries a run; a unit of several counts as that many. */
const TOTAL = 4000;
const CONNECTIONS = [1, 16, 64];
const ROUNDS = 5;

/**
 * Every kind of query over HTTP by both protocols, beside the vendor's executor, a client in the app's own process, the bare
 * driver, and a server that only echoes. Some workloads, connections or rounds only: `ENGINE_WORKLOADS='include, join;create' ENGINE_CONNECTIONS=16 ENGINE_ROUNDS=3`.
 */
export async function engine(): Promise<string> {
  const only = process.env.ENGINE_WORKLOADS?.split(';');
  const connectionCounts = process.env.ENGINE_CONNECTIONS?.split(',').map(Number) ?? CONNECTIONS;
  const rounds = Number(process.env.ENGINE_ROUNDS ?? ROUNDS);
  const stage = await openStage(['--suspend-after', 'never']);
  const vendor = await startPeer('vendor', [stage.directUrl]);
  const inProcess = await startPeer('in-process', [stage.directUrl]);
  const driver = await startPeer('driver', [stage.directUrl]);
  const endToEnd = await startPeer('in-process', [stage.database.prismaUrl]);
  const echoes: PeerProcess[] = [];
  try {
    const rows: string[][] = [];
    for (const workload of WORKLOADS.filter(({ name }) => only?.includes(name) ?? true)) {
      const seven = await unitsOf(stage, 7, workload);
      const six = await unitsOf(stage, 6, workload);
      const echo = await echoOf(stage, seven);
      if (echo !== undefined) echoes.push(echo);
      const total = Math.ceil(TOTAL / workload.calls.length);
      for (const connections of connectionCounts) {
        const overHttp = (name: string, port: number, pid: number, requests: () => readonly Unit[]): Peer => ({
          name,
          async run() {
            const before = threadsCpuMs(pid);
            const result = await load({ host: '127.0.0.1', port, requests: requests(), connections, total });
            if (result.failures > 0) throw new Error(`${name}: ${result.failures} replies were errors`);
            return {
              rate: total / result.seconds,
              cpuUs: ((threadsCpuMs(pid) - before) * 1000) / total,
              p50: percentile(result.latencies, 0.5),
              p99: percentile(result.latencies, 0.99),
            };
          },
        });
        const byOrder = (name: string, peer: PeerProcess): Peer => ({
          name,
          async run() {
            const { seconds, cpuMs, p50, p99 } = (await peer.ask({
              name: workload.name,
              total,
              concurrency: connections,
            })) as Record<'seconds' | 'cpuMs' | 'p50' | 'p99', number>;
            return { rate: total / seconds, cpuUs: (cpuMs * 1000) / total, p50, p99 };
          },
        });
        const platformPid = stage.platform.child.pid as number;
        const figures = await compare(
          [
            overHttp('Dormouse, plan protocol (7)', stage.port, platformPid, seven),
            overHttp('Dormouse, JSON protocol (6)', stage.port, platformPid, six),
            overHttp('@prisma/query-plan-executor', vendor.ready.port as number, vendor.pid, seven),
            byOrder('client 7 in process, adapter-pg', inProcess),
            byOrder('pg, named statements', driver),
            byOrder('client 7 end to end over Dormouse', endToEnd),
            ...(echo === undefined ? [] : [overHttp('node:http echo', echo.ready.port as number, echo.pid, seven)]),
          ],
          rounds,
        );
        for (const [peer, one] of figures) {
          rows.push([
            workload.name,
            String(connections),
            peer,
            show(one('rate'), 0),
            show(one('cpuUs'), 0),
            `${show(one('p50'))} / ${show(one('p99'))}`,
          ]);
        }
      }
    }
    return table(['query', 'connections', 'server', 'per second', 'its CPU, µs each', 'p50 / p99, ms'], rows);
  } finally {
    for (const peer of [vendor, inProcess, driver, endToEnd, ...echoes]) await peer.stop();
    await stage.stop();
  }
}

/** What the stock client sends for a workload, ready to be sent again in each run. */
async function unitsOf(stage: Stage, version: 6 | 7, workload: Workload): Promise<() => readonly Unit[]> {
  const turns = workload.name === 'create' ? 1 : VARIANTS;
  const calls = Array.from({ length: turns }, (_, turn) =>
    workload.calls.map((call) => (client: unknown) => call(client, turn)),
  );
  const recorded = await stage.record(version, calls.flat());
  const size = workload.calls.length;
  const units = Array.from({ length: turns }, (_, turn) => recorded.slice(turn * size, (turn + 1) * size));
  if (workload.name === 'create') return () => creates(units[0]?.[0] as RecordedRequest);
  const ready = workload.inTransaction === true ? units.map((unit) => inTransaction(unit, version)) : units;
  return () => ready;
}

let created = 0;

/** One recorded create as often as a run sends it, each with a new key of the same length. */
function creates(request: RecordedRequest): Unit[] {
  const text = request.toString('latin1');
  const known = /org 0\.\d+/.exec(text)?.[0];
  if (known === undefined) throw new Error('the create has no key');
  return Array.from({ length: TOTAL }, () => {
    const key = `org ${String(created++).padStart(known.length - 4, '0')}`;
    return [Buffer.from(text.replace(known, key), 'latin1')];
  });
}

function parts(request: RecordedRequest): { path: string; headers: Record<string, string>; body: string } {
  const text = request.toString('utf8');
  const at = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, at).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(': ');
    const name = line.slice(0, colon);
    if (name !== 'host' && name !== 'content-length') headers[name] = line.slice(colon + 2);
  }
  return { path: first.split(' ')[1] ?? '', headers, body: text.slice(at + 4) };
}

/** Start, the recorded queries, commit: the id is in the first reply. */
function inTransaction(requests: readonly RecordedRequest[], version: 6 | 7): Unit {
  const { path, headers } = parts(requests[0] as RecordedRequest);
  const base = version === 7 ? '' : path.replace(/\/graphql$/, '');
  const idOf = (reply: string): string => /"id":"([^"]+)"/.exec(reply)?.[1] ?? '';
  const under = (id: string, what: string): string =>
    version === 7 ? `/transaction/${id}/${what}` : `${base}/itx/${id}/${what === 'query' ? 'graphql' : what}`;
  const options = version === 7 ? '{"timeout":5000,"maxWait":5000}' : '{"timeout":5000,"max_wait":5000}';
  return [
    record('POST', `${base}/transaction/start`, headers, options),
    ...requests.map(
      (request) => (reply: string) => record('POST', under(idOf(reply), 'query'), headers, parts(request).body),
    ),
    (reply) => record('POST', under(idOf(reply), 'commit'), headers, '{}'),
  ];
}

/** A server that gives the platform's own reply to the first request, for workloads of one request. */
async function echoOf(stage: Stage, units: () => readonly Unit[]): Promise<PeerProcess | undefined> {
  const [first] = units();
  const [step] = first ?? [];
  if (first?.length !== 1 || !(step instanceof Buffer)) return undefined;
  const { path, headers, body } = parts(step);
  const reply = await fetch(`${stage.platform.http}${path}`, { method: 'POST', headers, body });
  return startPeer('echo', [Buffer.from(await reply.arrayBuffer()).toString('base64')]);
}

import type { Workload } from './engine-queries.ts';
import { type RecordedRequest, record, type Unit, type Units } from './load.ts';
import { type PeerProcess, startPeer } from './peer-process.ts';
import { ROWS, type Stage } from './stage.ts';

/** Each query has other parameters than the one before, so that no reply can be repeated. */
const VARIANTS = Math.min(100, ROWS);

/** What the stock client sends for a workload, ready to be sent again in each run. */
export async function unitsOf(stage: Stage, version: 6 | 7, workload: Workload): Promise<Units> {
  const creates = workload.name === 'create';
  const turns = creates ? 1 : VARIANTS;
  const calls = Array.from({ length: turns }, (_, turn) =>
    workload.calls.map((call) => (client: unknown) => call(client, turn)),
  );
  const recorded = await stage.record(version, calls.flat());
  if (creates) return newKeys(recorded[0] as RecordedRequest);
  const size = workload.calls.length;
  const each = Array.from({ length: turns }, (_, turn) => recorded.slice(turn * size, (turn + 1) * size));
  const units = workload.inTransaction === true ? each.map((unit) => inTransaction(unit, version)) : each;
  return (turn) => units[turn % turns] as Unit;
}

let created = 0;

/** One recorded create, each time with a new key of the same length. */
function newKeys(request: RecordedRequest): Units {
  const text = request.toString('latin1');
  const known = /org 0\.\d+/.exec(text)?.[0];
  if (known === undefined) throw new Error('the create has no key');
  const [before = '', after = ''] = text.split(known);
  return () => [Buffer.from(`${before}org ${String(created++).padStart(known.length - 4, '0')}${after}`, 'latin1')];
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
  const bodies = requests.map((request) => parts(request).body);
  return [
    record('POST', `${base}/transaction/start`, headers, options),
    ...bodies.map((body) => (reply: string) => record('POST', under(idOf(reply), 'query'), headers, body)),
    (reply) => record('POST', under(idOf(reply), 'commit'), headers, '{}'),
  ];
}

/** A server that gives the platform's own reply to the first request, for workloads of one request. */
export async function echoOf(stage: Stage, units: Units): Promise<PeerProcess | undefined> {
  const first = units(0);
  const [step] = first;
  if (first.length !== 1 || !(step instanceof Buffer)) return undefined;
  const { path, headers, body } = parts(step);
  const reply = await fetch(`${stage.platform.http}${path}`, { method: 'POST', headers, body });
  if (!reply.ok) throw new Error(`the platform answered ${reply.status}: ${await reply.text()}`);
  return startPeer('echo', [Buffer.from(await reply.arrayBuffer()).toString('base64')]);
}

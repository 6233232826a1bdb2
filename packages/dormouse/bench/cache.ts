import type { BenchFlags } from './flags.ts';
import { inTurn, load, percentile } from './load.ts';
import { startPeer } from './peer-process.ts';
import { compare, ownCpuMs, type Peer, show, table } from './rounds.ts';
import { openStage } from './stage.ts';

const TOTAL = 10_000;

/** A cached reply beside a bare node:http server that answers the same bytes. */
export async function cache(flags: BenchFlags): Promise<string> {
  const stage = await openStage(['--suspend-after', 'never']);
  const [request] = await stage.record(7, [(prisma) => prisma.post.findMany({ take: 10, orderBy: { id: 'asc' } })]);
  const text = (request as Buffer).toString('latin1').replace(/cache-control: [^\r]*\r\n/i, '');
  const cached = Buffer.from(text.replace('\r\n', '\r\ncache-control: max-age=3600\r\n'), 'latin1');
  const body = (request as Buffer).subarray((request as Buffer).indexOf('\r\n\r\n') + 4);
  const reply = await fetch(`${stage.platform.http}/query`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stage.apiKey}`, 'cache-control': 'max-age=3600' },
    body: new Uint8Array(body),
  });
  const units = inTurn([cached]);
  const echo = await startPeer('echo', [Buffer.from(await reply.arrayBuffer()).toString('base64')]);
  try {
    const rows: string[][] = [];
    for (const connections of flags.numbers('connections', [1, 16, 64])) {
      const peer = (name: string, port: number, pid: number): Peer => ({
        name,
        async run() {
          const before = ownCpuMs(pid);
          const result = await load({ host: '127.0.0.1', port, units, connections, total: TOTAL });
          if (result.failures > 0) throw new Error(`${name}: ${result.failures} replies were errors`);
          return {
            rate: TOTAL / result.seconds,
            cpuUs: ((ownCpuMs(pid) - before) * 1000) / TOTAL,
            p50: percentile(result.latencies, 0.5),
            p99: percentile(result.latencies, 0.99),
          };
        },
      });
      const figures = await compare(
        [
          peer('Dormouse, cached', stage.port, stage.platform.child.pid as number),
          peer('bare node:http', echo.ready.port as number, echo.pid),
        ],
        flags('rounds', 5),
      );
      for (const [name, one] of figures) {
        rows.push([
          String(connections),
          name,
          show(one('rate'), 0),
          show(one('cpuUs'), 0),
          `${show(one('p50'))} / ${show(one('p99'))}`,
        ]);
      }
    }
    return table(['connections', 'server', 'replies/s', 'its CPU, µs a reply', 'p50 / p99, ms'], rows);
  } finally {
    await echo.stop();
    await stage.stop();
  }
}

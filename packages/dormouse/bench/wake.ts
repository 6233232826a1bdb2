import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { barePostgres } from './bare-postgres.ts';
import { compare, type Peer, show, table } from './rounds.ts';
import { openStage } from './stage.ts';

/** Wakes a round; a round's number is their median. */
const WAKES = 10;

/** From asleep to the first reply over HTTP, beside the bare floor: the same server without a platform. */
export async function wake(): Promise<string> {
  const stage = await openStage(['--suspend-after', 'never']);
  const bare = await barePostgres(join(stage.platform.data, 'template/18/pgdata'));
  const [request] = await stage.record(7, [(prisma) => prisma.post.findMany({ take: 10, orderBy: { id: 'asc' } })]);
  const socket = connect({ host: '127.0.0.1', port: stage.port, noDelay: true });
  const rest = (verb: 'suspend' | 'stop'): Promise<unknown> =>
    fetch(`${stage.platform.http}/api/databases/${stage.database.id}/${verb}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stage.platform.adminToken}` },
    }).then((reply) => {
      if (!reply.ok) throw new Error(`${verb}: ${reply.status}`);
      return reply.arrayBuffer();
    });
  try {
    const ours = (verb: 'suspend' | 'stop'): Peer => ({
      name: 'Dormouse, first HTTP reply',
      run: () =>
        median(async () => {
          await rest(verb);
          await sleep(20);
          return timed(() => roundTrip(socket, request as Buffer));
        }),
    });
    const thaw: Peer = {
      name: 'floor: SIGCONT, query on an open socket',
      async run() {
        const client = await bare.startAndQuery();
        const result = await median(async () => {
          bare.freeze();
          await sleep(20);
          return timed(async () => {
            bare.thaw();
            await client.query('SELECT 1');
          });
        });
        await client.end();
        await bare.stop();
        return result;
      },
    };
    const start: Peer = {
      name: 'floor: postgres, connect, first query',
      run: () =>
        median(async () => {
          let done = async (): Promise<void> => {};
          const ms = await timed(async () => {
            const client = await bare.startAndQuery();
            done = async () => {
              await client.end();
              await bare.stop();
            };
          });
          await done();
          return ms;
        }),
    };
    const rows: string[][] = [];
    for (const [from, peers] of [
      ['suspended', [ours('suspend'), thaw]],
      ['stopped', [ours('stop'), start]],
    ] as const) {
      for (const [name, figures] of await compare(peers)) rows.push([from, name, show(figures('ms'))]);
    }
    return table(['from', 'to', 'ms'], rows);
  } finally {
    socket.destroy();
    await bare.remove();
    await stage.stop();
  }
}

async function median(once: () => Promise<number>): Promise<Record<string, number>> {
  const values: number[] = [];
  for (let turn = 0; turn < WAKES; turn += 1) values.push(await once());
  return { ms: values.sort((a, b) => a - b)[Math.floor(WAKES / 2)] as number };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** One request and its reply on an open connection. */
function roundTrip(socket: Socket, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let pending = '';
    const onData = (chunk: Buffer): void => {
      pending += chunk.toString('latin1');
      const head = pending.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(pending)?.[1]);
      if (pending.length < head + 4 + length) return;
      socket.off('data', onData);
      if (pending.startsWith('HTTP/1.1 200')) resolve();
      else reject(new Error(pending));
    };
    socket.on('data', onData);
    socket.write(request);
  });
}

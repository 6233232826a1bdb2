import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type BarePostgres, barePostgres } from './bare-postgres.ts';
import type { BenchFlags } from './flags.ts';
import { percentile } from './load.ts';
import { call, exchange } from './requests.ts';
import { compare, type Peer, show, table } from './rounds.ts';
import { openStage, type Stage } from './stage.ts';
import { storms } from './wake-storms.ts';

/** Wakes per round; a round gives their median and their 99th percentile. */
const WAKES = 20;
const ROUNDS = 5;
/** How long a frozen server is left alone: the processor has gone to other work. */
const ASLEEP_MS = 20;

/** Time from asleep to the first reply, beside a bare server with the same data directory and settings. */
export async function wake(flags: BenchFlags): Promise<string> {
  const wakes = flags('wakes', WAKES);
  const rounds = flags('rounds', ROUNDS);
  const stage = await openStage(['--suspend-after', 'never', '--stop-after', 'never']);
  const bare = await barePostgres(join(stage.platform.data, 'template/18/pgdata'));
  const [request, raw] = await stage.record(7, [
    (prisma) => prisma.post.findMany({ take: 10, orderBy: { id: 'asc' } }),
    (prisma) => prisma.$queryRawUnsafe('SELECT 1 AS one'),
  ]);
  const socket = connect({ host: '127.0.0.1', port: stage.port, noDelay: true });
  const http = (): Promise<string> => exchange(socket, request as Buffer);
  try {
    const rows: string[][] = [];
    for (const [from, peers] of [
      ['suspended', [...ours(stage, 'suspend', http, wakes), thaw(bare, wakes)]],
      ['stopped', [...ours(stage, 'stop', http, wakes), start(bare, wakes)]],
      ['running', [awake(stage, http, wakes)]],
    ] as const) {
      for (const [name, figures] of await compare(peers, rounds)) {
        rows.push([from, name, show(figures('p50')), show(figures('p99'))]);
      }
    }
    const figures = table(['from', 'to the first reply', 'p50, ms', 'p99, ms'], rows);
    return `${figures}\n\n${await storms(stage, request as Buffer, raw as Buffer, flags)}`;
  } finally {
    socket.destroy();
    await bare.remove();
    await stage.stop();
  }
}

function ours(stage: Stage, verb: 'suspend' | 'stop', http: () => Promise<unknown>, wakes: number): Peer[] {
  const rest = (): Promise<unknown> => call(stage.platform, 'POST', `/databases/${stage.database.id}/${verb}`);
  const peers: Peer[] = [
    {
      name: 'Dormouse, a query over HTTP',
      run: () =>
        spread(wakes, async () => {
          await rest();
          await sleep(ASLEEP_MS);
          return timed(http);
        }),
    },
    {
      name: 'Dormouse, a new TCP connection and its query',
      run: () =>
        spread(wakes, async () => {
          await rest();
          await sleep(ASLEEP_MS);
          const client = new pg.Client({ connectionString: stage.database.postgresUrl });
          const ms = await timed(async () => {
            await client.connect();
            await client.query('SELECT 1');
          });
          await client.end();
          return ms;
        }),
    },
  ];
  // A session does not outlive a stop.
  if (verb === 'suspend') {
    peers.push({
      name: 'Dormouse, a query of a connected TCP session',
      async run() {
        const client = new pg.Client({ connectionString: stage.database.postgresUrl });
        await client.connect();
        const result = await spread(wakes, async () => {
          await rest();
          await sleep(ASLEEP_MS);
          return timed(() => client.query('SELECT 1'));
        });
        await client.end();
        return result;
      },
    });
  }
  return peers;
}

/** The cost of the path alone: the same query after the same pause, with no database asleep. */
function awake(stage: Stage, http: () => Promise<unknown>, wakes: number): Peer {
  return {
    name: 'Dormouse, a query over HTTP',
    async run() {
      await call(stage.platform, 'POST', `/databases/${stage.database.id}/wake`);
      return spread(wakes, async () => {
        await sleep(ASLEEP_MS);
        return timed(http);
      });
    },
  };
}

function thaw(bare: BarePostgres, wakes: number): Peer {
  return {
    name: 'floor: SIGCONT, a query on an open socket',
    async run() {
      const client = await bare.startAndQuery();
      const result = await spread(wakes, async () => {
        bare.freeze();
        await sleep(ASLEEP_MS);
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
}

function start(bare: BarePostgres, wakes: number): Peer {
  return {
    name: 'floor: postgres, connect, first query',
    run: () =>
      spread(wakes, async () => {
        let client: pg.Client | undefined;
        await sleep(ASLEEP_MS);
        const ms = await timed(async () => {
          client = await bare.startAndQuery();
        });
        await client?.end();
        await bare.stop();
        return ms;
      }),
  };
}

async function spread(wakes: number, once: () => Promise<number>): Promise<Record<string, number>> {
  const values: number[] = [];
  for (let turn = 0; turn < wakes; turn += 1) values.push(await once());
  values.sort((a, b) => a - b);
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

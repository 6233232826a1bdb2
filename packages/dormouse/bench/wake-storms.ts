import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseUrls } from '../test/support/platform.ts';
import { each } from './each.ts';
import type { BenchFlags } from './flags.ts';
import { percentile } from './load.ts';
import { apiKeyOf, call, exchange, forKey } from './requests.ts';
import { figure, show, table } from './rounds.ts';
import type { Stage } from './stage.ts';

const CLIENTS = 200;
const SLEEPERS = 100;
const STORM_ROUNDS = 3;
/** How many databases are created at the same time. */
const MAKERS = 4;
const ASLEEP_MS = 50;

/**
 * Many at once: clients of one sleeper with `request`, and sleepers with a client each and `raw`, which needs no table.
 */
export async function storms(stage: Stage, request: Buffer, raw: Buffer, flags: BenchFlags): Promise<string> {
  const clients = flags('clients', CLIENTS);
  const sleepers = flags('sleepers', SLEEPERS);
  const rounds = flags('storm-rounds', STORM_ROUNDS);
  const rows: string[][] = [];
  for (const verb of ['suspend', 'stop'] as const) {
    const from = verb === 'suspend' ? 'suspended' : 'stopped';
    const one = await storm(
      stage,
      [stage.database.id],
      Array.from({ length: clients }, () => request),
      verb,
      rounds,
    );
    rows.push([`${clients} clients of one that is ${from}`, ...one]);
  }
  const databases: DatabaseUrls[] = [];
  await each(sleepers, MAKERS, async (at) => {
    databases.push(await call<DatabaseUrls>(stage.platform, 'POST', '/databases', { name: `sleeper-${at}` }));
  });
  const requests = databases.map((database) => forKey(raw, stage.apiKey, apiKeyOf(database)));
  for (const verb of ['suspend', 'stop'] as const) {
    const from = verb === 'suspend' ? 'suspended' : 'stopped';
    const ids = databases.map(({ id }) => id);
    rows.push([`${sleepers} that are ${from}, a client each`, ...(await storm(stage, ids, requests, verb, rounds))]);
  }
  return table(['a storm', 'p50, ms', 'p99, ms', 'all, ms'], rows);
}

/** Sends all requests at once, each on a connection of its own. A request that fails ends the benchmark. */
async function storm(
  stage: Stage,
  ids: readonly string[],
  requests: readonly Buffer[],
  verb: 'suspend' | 'stop',
  rounds: number,
): Promise<string[]> {
  const sockets = await Promise.all(
    requests.map(
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect({ host: '127.0.0.1', port: stage.port, noDelay: true }, () => resolve(socket));
          socket.once('error', reject);
        }),
    ),
  );
  const seen = { p50: [] as number[], p99: [] as number[], all: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    await each(ids.length, MAKERS, async (at) => {
      const path = `/databases/${ids[at]}`;
      await call(stage.platform, 'POST', `${path}/wake`);
      await call(stage.platform, 'POST', `${path}/${verb}`);
    });
    await sleep(ASLEEP_MS);
    const start = performance.now();
    const ends = await Promise.all(
      requests.map(async (request, at) => {
        await exchange(sockets[at] as Socket, request);
        return performance.now() - start;
      }),
    );
    ends.sort((a, b) => a - b);
    seen.p50.push(percentile(ends, 0.5));
    seen.p99.push(percentile(ends, 0.99));
    seen.all.push(ends.at(-1) as number);
  }
  for (const socket of sockets) socket.destroy();
  return [seen.p50, seen.p99, seen.all].map((values) => show(figure(values), 1));
}

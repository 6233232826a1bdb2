import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseUrls, Platform } from '../test/support/platform.ts';
import { type Seeded, seeded } from '../test/support/seeded.ts';
import { each } from './each.ts';
import type { BenchFlags } from './flags.ts';
import { percentile } from './load.ts';
import { apiKeyOf, call, exchange, forKey } from './requests.ts';
import { figure, show, table, threadsCpuMs } from './rounds.ts';
import { openStage } from './stage.ts';

const DATABASES = 1000;
const MINUTES = 10;
const ACTIVE = 50;
const MAKERS = 4;
/** A visitor stays on a database for so long, with pauses between its queries, and goes to another one. */
const VISIT_MS = 2000;
const PAUSE_MS = 200;
const SUSPEND_AFTER_S = 2;
/** How long the platform is measured while all databases sleep. */
const QUIET_MS = 20_000;
/** How many sleepers' memory is read: a thousand would take a while. */
const SAMPLES = 20;
/** How many databases are visited at once for the first time. */
const FIRST_VISITS = 8;
const REST_MS_MAX = 120_000;

interface Sleeper {
  readonly id: string;
  readonly request: Buffer;
}

/**
 * Many databases on one machine: what they cost asleep, and how they wake under random access. Prints its table itself.
 */
export async function density(flags: BenchFlags): Promise<string> {
  const total = flags('databases', DATABASES);
  const stopAfterMinutes = flags('stop-after', 5);
  const stage = await openStage([
    ...['--suspend-after', `${SUSPEND_AFTER_S}s`],
    ...['--stop-after', `${stopAfterMinutes}m`],
    ...['--spares', '3'],
  ]);
  const { platform } = stage;
  try {
    const [raw] = await stage.record(7, [(prisma) => prisma.$queryRawUnsafe('SELECT 1 AS one')]);
    const made: DatabaseUrls[] = [];
    const creation = await each(total, MAKERS, async (at) => {
      made.push(await call<DatabaseUrls>(platform, 'POST', '/databases', { name: `sleeper-${at}` }));
    });
    const sleepers = made.map(
      (database): Sleeper => ({
        id: database.id,
        request: forKey(raw as Buffer, stage.apiKey, apiKeyOf(database)),
      }),
    );
    const first = await visitOnce(stage.port, sleepers);
    await rested(platform);
    const asleep = await whileAsleep(platform, sleepers);
    const visits = await visit(platform, stage.port, sleepers, flags);
    await each(sleepers.length, MAKERS, async (at) => {
      await call(platform, 'POST', `/databases/${(sleepers[at] as Sleeper).id}/stop`);
    });
    const onDisk = sleepers.map(({ id }) => diskMiB(join(platform.data, 'databases', id)));
    const rows: [string, string][] = [
      ['databases', String(total)],
      ['a creation, ms, p50 / p99', ms(creation)],
      ['the first query of a new one, ms, p50 / p99', ms(first)],
      ['platform, all asleep: memory (PSS), MiB', asleep.platformMiB.toFixed(0)],
      ['platform, all asleep: CPU, % of a core', asleep.cpuPercent.toFixed(2)],
      ['platform, all asleep: descriptors', String(asleep.descriptors)],
      ['a frozen database: memory (PSS), MiB', show(figure(asleep.sleeperMiB), 1)],
      ['a list of all over the API, ms', asleep.listMs.toFixed(1)],
      [`minutes of random access, ${visits.active} active`, visits.minutes.toFixed(1)],
      ['queries; failed', `${visits.queries}; ${visits.failures.length}`],
      ['queries that woke: number', String(visits.wakes.length)],
      ['queries that woke: ms, p50 / p99', quantiles(visits.wakes)],
      ['queries of an awake one: ms, p50 / p99', quantiles(visits.awake)],
      ['platform meanwhile: CPU, % of a core', visits.cpuPercent.toFixed(0)],
      ['disk, an empty one cleanly stopped, MiB', show(figure(onDisk), 1)],
    ];
    if (visits.failures.length > 0) rows.push(['the first failure', visits.failures[0]?.slice(0, 300) ?? '']);
    // Now: to remove a thousand takes minutes.
    console.log(table(['', ''], rows));
    return '';
  } finally {
    await stage.stop();
  }
}

const ms = (run: { readonly p50: number; readonly p99: number }): string =>
  `${run.p50.toFixed(0)} / ${run.p99.toFixed(0)}`;

function quantiles(values: number[]): string {
  values.sort((a, b) => a - b);
  return `${percentile(values, 0.5).toFixed(1)} / ${percentile(values, 0.99).toFixed(1)}`;
}

function open(port: number): Promise<ReturnType<typeof connect>> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function visitOnce(port: number, sleepers: readonly Sleeper[]): ReturnType<typeof each> {
  return each(sleepers.length, FIRST_VISITS, async (at) => {
    const socket = await open(port);
    await exchange(socket, (sleepers[at] as Sleeper).request);
    socket.destroy();
  });
}

/** Waits until no database is awake. */
async function rested(platform: Platform): Promise<void> {
  const untilMs = performance.now() + REST_MS_MAX;
  for (;;) {
    const { databases } = await call<{ databases: { name: string; state: string }[] }>(platform, 'GET', '/databases');
    const awake = databases.filter(({ state }) => state !== 'suspended' && state !== 'stopped');
    if (awake.length === 0) return;
    if (performance.now() > untilMs) throw new Error(`${awake.length} do not rest, one is ${awake[0]?.state}`);
    await sleep(500);
  }
}

interface Asleep {
  readonly platformMiB: number;
  readonly cpuPercent: number;
  readonly descriptors: number;
  readonly sleeperMiB: number[];
  readonly listMs: number;
}

async function whileAsleep(platform: Platform, sleepers: readonly Sleeper[]): Promise<Asleep> {
  const pid = platform.child.pid as number;
  const before = threadsCpuMs(pid);
  const startMs = performance.now();
  await sleep(QUIET_MS);
  const cpuPercent = (100 * (threadsCpuMs(pid) - before)) / (performance.now() - startMs);
  const sleeperMiB: number[] = [];
  const step = Math.max(1, Math.floor(sleepers.length / SAMPLES));
  for (let at = 0; at < sleepers.length; at += step) {
    const size = serverMiB(platform.data, (sleepers[at] as Sleeper).id);
    if (size !== undefined) sleeperMiB.push(size);
  }
  const listStartMs = performance.now();
  await call(platform, 'GET', '/databases');
  return {
    cpuPercent,
    sleeperMiB,
    platformMiB: pssMiB(pid),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    listMs: performance.now() - listStartMs,
  };
}

/** Proportional memory of a server's processes; undefined for one that is stopped. */
function serverMiB(data: string, id: string): number | undefined {
  let root: number;
  try {
    root = (JSON.parse(readFileSync(join(data, 'databases', id, 'process.json'), 'utf8')) as { pid: number }).pid;
  } catch {
    return undefined;
  }
  let sum = 0;
  for (let level = [root]; level.length > 0; level = level.flatMap(children)) {
    for (const pid of level) sum += pssMiB(pid);
  }
  return sum;
}

function children(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return text.split(' ').filter(Boolean).map(Number);
}

function pssMiB(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]) / 1024;
  } catch {
    // The process has ended, and its frozen parent has not reaped it yet.
    return 0;
  }
}

function diskMiB(directory: string): number {
  return Number(execFileSync('du', ['-sk', directory], { encoding: 'utf8' }).split('\t')[0]) / 1024;
}

interface Visits {
  readonly active: number;
  readonly minutes: number;
  queries: number;
  readonly failures: string[];
  /** Milliseconds of queries that found their database asleep, and of those that did not. */
  readonly wakes: number[];
  readonly awake: number[];
  cpuPercent: number;
}

/** Visitors that go from database to database at random, each with one open connection. */
async function visit(
  platform: Platform,
  port: number,
  sleepers: readonly Sleeper[],
  flags: BenchFlags,
): Promise<Visits> {
  const active = flags('active', ACTIVE);
  const minutes = flags('minutes', MINUTES);
  const random = seeded(flags('seed', 1));
  const pid = platform.child.pid as number;
  const before = threadsCpuMs(pid);
  const startMs = performance.now();
  const untilMs = startMs + minutes * 60_000;
  const visits: Visits = {
    active,
    minutes,
    queries: 0,
    failures: [],
    wakes: [],
    awake: [],
    cpuPercent: 0,
  };
  await Promise.all(
    Array.from({ length: active }, (_, number) =>
      visitor(port, sleepers, random.branch(String(number)), untilMs, visits),
    ),
  );
  visits.cpuPercent = (100 * (threadsCpuMs(pid) - before)) / (performance.now() - startMs);
  return visits;
}

async function visitor(
  port: number,
  sleepers: readonly Sleeper[],
  random: Seeded,
  untilMs: number,
  visits: Visits,
): Promise<void> {
  let socket = await open(port);
  // The visitors do not act together: the benchmark `wake` measures storms.
  await sleep(random.below(VISIT_MS));
  while (performance.now() < untilMs) {
    const { request } = random.pick(sleepers);
    for (const leaveMs = performance.now() + VISIT_MS; performance.now() < leaveMs; ) {
      visits.queries += 1;
      const startMs = performance.now();
      try {
        const reply = await exchange(socket, request);
        const woke = /^server-timing:[^\r]*\bwake;/im.test(reply);
        (woke ? visits.wakes : visits.awake).push(performance.now() - startMs);
      } catch (error) {
        visits.failures.push(String(error));
        socket.destroy();
        socket = await open(port);
      }
      await sleep(random.below(2 * PAUSE_MS));
    }
  }
  socket.destroy();
}

import { deepStrictEqual } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { rawPlan } from '../support/bare-engine.ts';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { api } from '../support/life-faults.ts';
import { plain } from '../support/plain.ts';
import type { Platform } from '../support/platform.ts';
import { startTargets, type Target } from '../support/target.ts';
import { until } from '../support/until.ts';
import { MOMENTS, vanishOverHttp, vanishOverTcp } from './vanishing.ts';

/** Databases fall asleep between two rounds; waiting for it must not take most of the time. */
const FLAGS = ['--suspend-after', '300ms', '--stop-after', '1500ms'];
/** A busy round; the wait for rest after it comes on top. */
const ROUND_MS = 3_000;
/**
 * How long leftovers of clients that are gone may need on a loaded machine: a session's last statement has 5 s by
 * itself.
 */
const QUIET_MS = 60_000;
/**
 * Descriptors that may be more than in the first rest: keep-alive connections of our own clients, a log that is open
 * just now.
 */
const DESCRIPTORS_MARGIN = 12;
/** Far above what garbage not yet collected explains, far below what a leak a request adds up to in a long run. */
const MEMORY_FACTOR = 1.5;
const MEMORY_MARGIN_BYTES = 200 * 2 ** 20;
const POSTS = 30;

export interface SoakReport {
  readonly rounds: number;
  /** Answers that were checked, by kind. */
  readonly answers: Readonly<Record<string, number>>;
  readonly vanished: number;
  readonly changes: number;
  /** At each rest, the warm-up first. */
  readonly residentBytes: readonly number[];
  readonly descriptors: readonly number[];
}

type Count = (kind: string) => void;
/** One step of a client; steps are repeated while a round lasts. */
type Step = () => Promise<void>;

/** What a step must find is compared where it is asked, so that a wrong answer names its question. */
function right(what: string, found: unknown, wanted: unknown): void {
  try {
    deepStrictEqual(plain(found), wanted);
  } catch (error) {
    throw new Error(`a wrong answer to ${what}: ${(error as Error).message}`);
  }
}

async function describe(platform: Platform, target: Target): Promise<Loose> {
  const reply = await api(platform, 'GET', `/databases/${target.database?.id}`);
  return reply.json();
}

/** Sends a plan as Prisma 7 does, without its client; the answer's data as text. */
async function rawQuery(prismaUrl: string, path: string, body: unknown): Promise<string> {
  const url = new URL(prismaUrl);
  const reply = await fetch(`http://${url.host}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${url.searchParams.get('api_key')}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  if (reply.status !== 200) throw new Error(`${path}: ${reply.status} ${text}`);
  return text;
}

/**
 * The clients of one database, as steps. Each client has rows of its own, so that it knows what every answer must be.
 */
async function clientsOf(target: Target, count: Count, random: () => number): Promise<readonly Step[]> {
  const { version, postgresUrl } = target;
  const { prismaUrl } = target.database as { prismaUrl: string };
  const prisma = target.open({ transactionOptions: { maxWait: 60_000, timeout: 60_000 } });
  await emptyTables(prisma);
  await prisma.user.create({ data: { id: 1, email: 'a@x', name: 'a' } });
  const posts = Array.from({ length: POSTS }, (_, i) => ({ id: i + 1, title: `title ${i + 1}`, views: i }));
  await prisma.post.createMany({ data: posts.map((post) => ({ ...post, authorId: 1 })) });
  await prisma.account.createMany({
    data: [1, 2, 3].map((id) => ({ id, owner: `o${id}`, balance: id === 2 ? 1_000_000 : 0 })),
  });
  const select = { id: true, title: true, views: true } as const;
  let counter = 0;
  let transfers = 0;
  let columns = 0;
  let asked = 0;

  const read = async (): Promise<void> => {
    const from = Math.floor(random() * POSTS);
    const found = await prisma.post.findMany({ where: { views: { gte: from } }, orderBy: { id: 'asc' }, select });
    right(`findMany from ${from} (${version})`, found, posts.slice(from));
    const [post] = posts.slice(from, from + 1) as [(typeof posts)[number]];
    const one = await prisma.post.findUnique({
      where: { id: post.id },
      include: { author: { select: { name: true } } },
    });
    right(
      `findUnique (${version})`,
      { title: one?.title, author: one?.author },
      { title: post.title, author: { name: 'a' } },
    );
    count('reads');
  };
  const write = async (): Promise<void> => {
    counter += 1;
    const updated = await prisma.account.update({ where: { id: 1 }, data: { balance: { increment: 1 } } });
    right(`update (${version})`, updated, { id: 1, owner: 'o1', balance: counter });
    count('writes');
  };
  const transact = async (): Promise<void> => {
    const back = random() < 0.3;
    const outcome = await prisma
      .$transaction(async (tx: Loose) => {
        await tx.account.update({ where: { id: 2 }, data: { balance: { decrement: 1 } } });
        await tx.account.update({ where: { id: 3 }, data: { balance: { increment: 1 } } });
        if (back) throw new Error('thought better of it');
        return 'done';
      })
      .catch((error: Error) => error.message);
    right(`a transaction (${version})`, outcome, back ? 'thought better of it' : 'done');
    if (!back) transfers += 1;
    const after = await prisma.account.findMany({ where: { id: { in: [2, 3] } }, orderBy: { id: 'asc' } });
    right(
      `the accounts (${version})`,
      after.map((row: Loose) => row.balance),
      [1_000_000 - transfers, transfers],
    );
    count('transactions');
  };
  const raw = async (): Promise<void> => {
    const n = Math.floor(random() * 1e6);
    const text = await rawQuery(
      prismaUrl,
      '/query',
      rawPlan(`select $1::int + 1 as n, '${'x'.repeat(n % 50)}' as x`, [n]),
    );
    right('a raw body', [text.includes(String(n + 1)), text.includes(`"${'x'.repeat(n % 50)}"`)], [true, true]);
    count('raw bodies');
  };
  const session = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: postgresUrl });
    await client.connect();
    try {
      for (let i = 0; i < 5; i++) {
        const { rows } = await client.query('select id, title, views from posts where id > $1 order by id', [i]);
        right('a session', rows, posts.slice(i));
        count('session queries');
      }
    } finally {
      await client.end();
    }
  };
  const change = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: postgresUrl });
    await client.connect();
    try {
      const name = `extra_${columns++}`;
      await client.query(`alter table posts add column ${name} int default 7`);
      const [row] = await prisma.$queryRawUnsafe('select * from posts where id = 1');
      right('a new column', row[name], 7);
      await client.query(`alter table posts drop column ${name}`);
      const [again] = await prisma.$queryRawUnsafe('select * from posts where id = 1');
      right('a column that is gone', name in again, false);
      count('changes');
    } finally {
      await client.end();
    }
  };
  const vanish = async (): Promise<void> => {
    asked += 1;
    const moment = MOMENTS[asked % MOMENTS.length] as (typeof MOMENTS)[number];
    const sql =
      moment === 'reply'
        ? "select i, repeat('x', 200) as x from generate_series(1, 5000) as i"
        : 'select 1 as one from pg_sleep(0.02)';
    await vanishOverHttp(prismaUrl, JSON.stringify(rawPlan(sql)), { moment, afterMs: Math.floor(random() * 30) });
    if (asked % 8 === 0) await vanishOverTcp(postgresUrl, asked % 16 === 0 ? sql : 'begin', Math.floor(random() * 30));
    // Begun and never heard of again: its own time ends it.
    if (asked % 20 === 0) await rawQuery(prismaUrl, '/transaction/start', { timeout: 500, maxWait: 60_000 });
    count('vanished');
  };
  return [read, read, write, transact, raw, session, change, vanish, vanish];
}

function descriptorsOf(platform: Platform): number {
  return readdirSync(`/proc/${platform.child.pid}/fd`).length;
}

function residentBytesOf(platform: Platform): number {
  const status = readFileSync(`/proc/${platform.child.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Waits until nothing of any client is left, and then until the databases rest as deep as wanted. */
async function restOf(platform: Platform, targets: readonly Target[], state: 'suspended' | 'stopped'): Promise<void> {
  let seen: unknown;
  const quiet = async (): Promise<boolean> => {
    const { health } = (await (await api(platform, 'GET', '/status')).json()) as Loose;
    const databases = await Promise.all(targets.map((target) => describe(platform, target)));
    seen = { postgres: health.postgres, databases: databases.map(({ state: is, instance }) => ({ is, instance })) };
    return (
      health.postgres.sessions === 0 &&
      health.postgres.connections === 0 &&
      databases.every(
        ({ state: is, instance }) =>
          // One that rests deeper than asked for rests.
          (is === state || is === 'stopped') &&
          instance.transactions === 0 &&
          Object.values(instance.pools as Record<string, Loose>).every(
            (pool) => pool.leased === 0 && pool.waiting === 0,
          ),
      )
    );
  };
  await until(quiet, { what: `nothing is left and all are ${state}`, withinMs: QUIET_MS }).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}

/**
 * Busy rounds of every kind of client, among them clients that vanish and tables that change, and rests between them,
 * for `ms` or a little longer. Throws for a wrong answer and for anything that is left behind.
 */
export async function soak(options: {
  readonly ms: number;
  readonly versions?: readonly ClientVersion[];
  /** 0 to 1. */
  readonly random: () => number;
  readonly onRest?: (report: SoakReport) => void;
}): Promise<SoakReport> {
  const { ms, random, versions = CLIENT_VERSIONS, onRest } = options;
  const all = await startTargets({ kind: 'platform', versions, flags: FLAGS });
  try {
    const targets = versions.map((version) => all.of(version));
    const platform = targets[0]?.platform as Platform;
    const answers: Record<string, number> = {};
    const count: Count = (kind) => {
      answers[kind] = (answers[kind] ?? 0) + 1;
    };
    const clients = (await Promise.all(targets.map((target) => clientsOf(target, count, random)))).flat();
    const residentBytes: number[] = [];
    const descriptors: number[] = [];
    const report = (): SoakReport => {
      const { vanished = 0, changes = 0, ...others } = answers;
      return { rounds: residentBytes.length, answers: others, vanished, changes, residentBytes, descriptors };
    };
    const endMs = performance.now() + ms;
    while (performance.now() < endMs || residentBytes.length < 3) {
      const roundEndMs = performance.now() + ROUND_MS;
      let failed = false;
      const rounds = clients.map(async (step) => {
        try {
          do await step();
          while (!failed && performance.now() < roundEndMs);
        } catch (error) {
          failed = true;
          throw error;
        }
      });
      await Promise.allSettled(rounds);
      await Promise.all(rounds);
      // The first rest is as deep as the last, since their descriptors are compared.
      await restOf(platform, targets, residentBytes.length % 2 === 0 ? 'stopped' : 'suspended');
      residentBytes.push(residentBytesOf(platform));
      descriptors.push(descriptorsOf(platform));
      onRest?.(report());
    }
    await restOf(platform, targets, 'stopped');
    const most = (descriptors[0] as number) + DESCRIPTORS_MARGIN;
    await until(() => descriptorsOf(platform) <= most, {
      what: `descriptors come back to ${descriptors[0]} (now ${descriptorsOf(platform)})`,
      withinMs: QUIET_MS,
    });
    const window = Math.max(1, Math.floor((residentBytes.length - 1) / 3));
    const early = median(residentBytes.slice(1, 1 + window));
    const late = median(residentBytes.slice(-window));
    if (late > early * MEMORY_FACTOR + MEMORY_MARGIN_BYTES) {
      throw new Error(`memory grows: ${early} bytes early, ${late} late, of ${residentBytes.join()}`);
    }
    return report();
  } finally {
    await all.stop();
  }
}

import { dirname } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareDataDirectory } from '../support/data-directory.ts';
import { type EventsOwner, startEventsOwner } from '../support/events-owner.ts';
import { processesOf } from '../support/reaper.mjs';
import { type Scratch, scratch } from '../support/scratch.ts';
import { numberFrom, type Seeded, seeded, seedFromEnvironment } from '../support/seeded.ts';
import { until } from '../support/until.ts';

// Serialized transactions while the process that captures, or Postgres, or both are killed, and while the server is
// frozen and stopped. DORMOUSE_SEED repeats the sequence of faults, DORMOUSE_ROUNDS lengthens it.
const SEED = seedFromEnvironment();
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 20);
const WRITERS = 3;

let home: Scratch;
let owner: EventsOwner;

beforeAll(async () => {
  console.log(`events fault test: DORMOUSE_SEED=${SEED} DORMOUSE_ROUNDS=${ROUNDS}`);
  home = scratch('events-kill');
  await prepareDataDirectory(`${home.path}/data`);
  owner = await startEventsOwner(`${home.path}/data`, true);
  await owner.ask('wake');
});
afterAll(async () => {
  await owner?.kill();
  home?.remove();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ host: dirname(owner.socket), user: 'owner', database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/**
 * Writes until told to end. Every transaction takes the next number from a counter whose row is locked until it
 * commits, so numbers are commit order, whatever the interleaving; some transactions write many rows, some are rolled
 * back.
 */
async function write(random: Seeded, state: { ended: boolean; committed: number }): Promise<void> {
  while (!state.ended) {
    let client: pg.Client | undefined;
    try {
      client = await connect();
      while (!state.ended) {
        await client.query('BEGIN');
        const { rows } = await client.query('UPDATE counter SET n = n + 1 RETURNING n');
        const lines = random.below(10) === 0 ? 200 : 1 + random.below(3);
        await client.query('INSERT INTO ledger SELECT $1, i FROM generate_series(1, $2) i', [rows[0].n, lines]);
        const undo = random.below(5) === 0;
        await client.query(undo ? 'ROLLBACK' : 'COMMIT');
        if (!undo) state.committed += 1;
      }
    } catch {
      // The server is gone or not back yet: the table shows in the end whether the last commit took place. As at a door
      // of the platform, a new client wakes the database.
      await owner.ask('wake').catch(() => new Promise((resolve) => setTimeout(resolve, 5)));
    } finally {
      await client?.end().catch(() => {});
    }
  }
}

interface Message {
  readonly type?: string;
  readonly value?: { readonly n: number; readonly i: number };
  readonly headers: { readonly operation?: string; readonly control?: string; readonly offset: string };
}

function rowsOf(messages: readonly Message[]): string[] {
  return messages.flatMap(({ type, value, headers }) => {
    if (headers.control !== undefined) return [`control ${headers.control}`];
    return type === 'public.ledger' && headers.operation === 'insert' ? [`${value?.n}.${value?.i}`] : [];
  });
}

/** Reads the whole log, page by page. */
async function readLog(): Promise<string[]> {
  const rows: string[] = [];
  let offset = '-1';
  for (;;) {
    const reply = await fetch(`${owner.http}/streams/all?offset=${offset}`);
    rows.push(...rowsOf((await reply.json()) as Message[]));
    offset = reply.headers.get('stream-next-offset') as string;
    if (reply.headers.get('stream-up-to-date') === 'true') return rows;
  }
}

/**
 * Reads as a named subscriber, by long-polls, and acknowledges only some of the events that it has handled. After each
 * fault it resumes by its name.
 */
async function subscribe(random: Seeded, state: { ended: boolean }, handled: string[]): Promise<void> {
  while (!state.ended) {
    try {
      const base = `${owner.http}/streams/tables/public/ledger`;
      const reply = await fetch(`${base}?name=reader&live=long-poll&offset=-1`, { signal: AbortSignal.timeout(2000) });
      if (reply.status !== 200) continue;
      const messages = (await reply.json()) as Message[];
      handled.push(...rowsOf(messages));
      const offset = messages.at(-1)?.headers.offset;
      if (offset !== undefined && random.below(4) > 0) {
        await fetch(`${base}/cursors/reader`, { method: 'POST', body: JSON.stringify({ offset }) });
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function killPostgres(): void {
  for (const pid of processesOf(home.path)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // The process has ended by itself.
    }
  }
}

/** Wakes the database. The owner sees a crash in its own time, so a wake that meets a dying server is repeated. */
async function wake(after: string): Promise<void> {
  await until(
    () =>
      owner.ask('wake').then(
        () => true,
        () => false,
      ),
    { what: `a wake after ${after}` },
  );
}

/** Runs statements in a session that is closed afterwards. */
async function run(...statements: string[]): Promise<void> {
  const client = await connect();
  for (const sql of statements) await client.query(sql);
  await client.end();
}

async function restartOwner(): Promise<void> {
  owner = await startEventsOwner(`${home.path}/data`, false);
}

const FAULTS: Readonly<Record<string, () => Promise<void>>> = {
  async 'owner killed'() {
    await owner.kill();
    await restartOwner();
  },
  async 'postgres killed'() {
    killPostgres();
  },
  async 'both killed'() {
    await owner.kill();
    killPostgres();
    await restartOwner();
  },
  async suspended() {
    await owner.ask('suspend').catch(() => {});
  },
  async stopped() {
    await owner.ask('stop').catch(() => {});
  },
  async 'owner killed while suspended'() {
    await owner.ask('suspend').catch(() => {});
    await owner.kill();
    await restartOwner();
  },
  async 'owner killed while it stops'() {
    const stopping = owner.ask('stop').catch(() => {});
    await owner.kill();
    await stopping;
    await restartOwner();
  },
};

test('every committed row is in the log once, in commit order, and reaches a named subscriber', async () => {
  const random = seeded(SEED);
  await run(
    'CREATE TABLE counter (n int PRIMARY KEY)',
    'CREATE TABLE ledger (n int, i int, PRIMARY KEY (n, i))',
    'INSERT INTO counter VALUES (0)',
  );

  const state = { ended: false, committed: 0 };
  const handled: string[] = [];
  const writers = Array.from({ length: WRITERS }, (_, i) => write(random.branch(`writer ${i}`), state));
  const reading = { ended: false };
  const subscriber = subscribe(random.branch('subscriber'), reading, handled);
  const names = Object.keys(FAULTS);
  const done: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = state.committed;
    const wanted = 1 + random.below(40);
    await until(() => state.committed >= before + wanted, { what: `commits after ${done.at(-1) ?? 'the start'}` });
    // Each kind of fault comes once before any comes twice.
    const name = names[round % names.length] as string;
    done.push(name);
    await FAULTS[name]?.();
    await wake(name);
  }
  state.ended = true;
  await wake('the last fault');
  await Promise.all(writers);

  const check = await connect();
  const { rows } = await check.query('SELECT n, i FROM ledger ORDER BY n, i');
  await check.end();
  const truth = rows.map(({ n, i }) => `${n}.${i}`);
  await until(() => owner.ask('drain'), { what: 'everything in the log' });
  const log = await readLog();
  expect(log.length).toBe(truth.length);
  expect(log).toEqual(truth);

  const last = truth.at(-1) as string;
  await until(() => handled.includes(last), { what: 'the last row at the subscriber' });
  reading.ended = true;
  await subscriber;
  // Delivery is at least once and without a gap: ordered by first arrival, the handled rows are exactly the committed
  // rows.
  expect([...new Set(handled)]).toEqual(truth);
  expect(truth.length).toBeGreaterThan(ROUNDS);
});

// The transaction takes longer to read than a stop, a freeze or a wake lasts here. Whatever is killed while capture
// reads it, a wake without a fault reads it to its end before the database rests.
test('a transaction whose capture was interrupted again and again is read to its end by the first wake without a fault', async () => {
  const random = seeded(SEED).branch('large transaction');
  const rows = 60_000;
  await run(
    'CREATE TABLE large (id int PRIMARY KEY, filler text)',
    `INSERT INTO large SELECT i, repeat('x', 100) FROM generate_series(1, ${rows}) i`,
  );
  for (const name of ['owner killed', 'both killed', 'postgres killed', 'owner killed while it stops']) {
    await new Promise((resolve) => setTimeout(resolve, random.below(300)));
    await FAULTS[name]?.();
    await wake(name);
  }
  await owner.ask('suspend');
  const seen = new Map<string, number>();
  let offset = '-1';
  for (;;) {
    const reply = await fetch(`${owner.http}/streams/tables/public/large?offset=${offset}`);
    for (const { key = '', headers } of (await reply.json()) as (Message & { key?: string })[]) {
      expect(headers.control).toBeUndefined();
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    offset = reply.headers.get('stream-next-offset') as string;
    if (reply.headers.get('stream-up-to-date') === 'true') break;
  }
  expect(seen.size).toBe(rows);
  expect([...seen.values()].every((times) => times === 1)).toBe(true);
});

import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import type { DatabaseUrls, Platform } from '../support/platform.ts';
import { postmasterPid } from '../support/server-processes.ts';
import { eventSplitter } from '../support/server-sent-events.ts';
import { startTargets, type Targets } from '../support/target.ts';
import { until } from '../support/until.ts';

// Databases that are suspended or stopped, crash, or lose their platform, under stock clients that know nothing of it.
let targets: Targets;
beforeAll(async () => {
  // The database is suspended soon but stopped only on request, so that its state does not depend on how fast the test
  // is.
  targets = await startTargets({ kind: 'platform', flags: ['--suspend-after', '300ms', '--stop-after', '1h'] });
});
afterAll(() => targets?.stop());

describe.each(CLIENT_VERSIONS)('a database at rest under the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  let platform: Platform;
  let database: DatabaseUrls;
  beforeAll(() => {
    const target = targets.of(version);
    platform = target.platform as Platform;
    database = target.database as DatabaseUrls;
    prisma = target.open({ transactionOptions: { maxWait: 20_000, timeout: 30_000 } });
  });
  beforeEach(async () => {
    await emptyTables(prisma);
    await prisma.account.create({ data: { id: 1, owner: 'a', balance: 1 } });
  });

  /**
   * The request goes over HTTP, because a command of the CLI takes longer than the delay before the database is
   * suspended.
   */
  const described = async (): Promise<{ state: string; instance: { generation: number } }> => {
    const reply = await fetch(`${platform.http}/api/databases/${database.id}`, {
      headers: { authorization: `Bearer ${platform.adminToken}` },
    });
    return (await reply.json()) as { state: string; instance: { generation: number } };
  };
  const state = async (): Promise<string> => (await described()).state;
  const force = async (action: 'suspend' | 'stop'): Promise<void> => {
    const reply = await fetch(`${platform.http}/api/databases/${database.id}/${action}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${platform.adminToken}` },
    });
    expect(reply.status, await reply.text()).toBe(200);
  };
  /** The pid of the database's server process, or undefined while the database is stopped. */
  const postmaster = (): number | undefined => postmasterPid(join(platform.data, 'databases', database.id));
  /** Kills all processes of the server at once. Returns whether there was a server. */
  const killPostgres = (): boolean => {
    const pid = postmaster();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    return pid !== undefined;
  };

  /** Kills the server, does `work`, and waits until the platform knows: its backends may outlive it for a moment. */
  const killUnder = async (work: () => Promise<unknown>): Promise<void> => {
    const before = (await described()).instance.generation;
    expect(killPostgres()).toBe(true);
    await work();
    await until(async () => (await described()).instance.generation > before, {
      what: 'the platform knows that the server is gone',
    });
  };

  it('a suspended or stopped database wakes for a query', async () => {
    await force('suspend');
    expect(await state()).toBe('suspended');
    expect(await prisma.account.findMany()).toEqual([{ id: 1, owner: 'a', balance: 1 }]);
    await force('stop');
    expect(await state()).toBe('stopped');
    expect(await prisma.account.update({ where: { id: 1 }, data: { balance: { increment: 1 } } })).toEqual({
      id: 1,
      owner: 'a',
      balance: 2,
    });
  });

  it('one wake serves many queries that arrive at once', async () => {
    for (const action of ['suspend', 'stop'] as const) {
      await force(action);
      const found = await Promise.all(
        Array.from({ length: 60 }, (_, id) => prisma.account.findFirst({ where: { id: { gte: -id } } })),
      );
      expect(found.every((row) => row?.id === 1)).toBe(true);
    }
  });

  it('an open transaction keeps its database awake beyond the delay for suspending', async () => {
    const result = await prisma.$transaction(async (tx: Loose) => {
      await tx.account.create({ data: { id: 2, owner: 'b' } });
      // More than twice the delay after which an idle database suspends.
      const [row] = await tx.$queryRaw`SELECT clock_timestamp()::text AS at, pg_sleep(0.7)::text`;
      expect(row.at).toBeDefined();
      const states = [await state(), await state()];
      await tx.account.create({ data: { id: 3, owner: 'c' } });
      return states;
    });
    expect(result).toEqual(['running', 'running']);
    expect(await prisma.account.count()).toBe(3);
  });

  it('a stop rolls back an open transaction, and its client gets an error that says so', async () => {
    const error = await prisma
      .$transaction(async (tx: Loose) => {
        await tx.account.create({ data: { id: 2, owner: 'b' } });
        await force('stop');
        await tx.account.create({ data: { id: 3, owner: 'c' } });
      })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect((error as Loose).code).toMatch(/^P(2028|6008|5\d\d\d|1017)$/);
    expect((await prisma.account.findMany()).map((row: Loose) => row.id)).toEqual([1]);
  });

  it('a database is started again after kill -9 of Postgres, whether it was running or suspended', async () => {
    // A query may meet the dying server; the next must not.
    const meet = (): Promise<unknown> => prisma.account.count().catch(() => {});
    await prisma.account.count();
    await killUnder(meet);
    expect(await prisma.account.count()).toBe(1);
    await prisma.account.create({ data: { id: 2, owner: 'b' } });
    await force('suspend');
    await killUnder(meet);
    expect(await prisma.account.count()).toBe(2);
  });

  it('a query during which Postgres is killed fails and does not hang', async () => {
    const dying = prisma.$queryRaw`SELECT pg_sleep(30)::text`.catch((error: unknown) => error);
    await until(
      async () => {
        const [row] =
          await prisma.$queryRaw`SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()`;
        return row.n > 0;
      },
      { what: 'the long query runs' },
    );
    expect(killPostgres()).toBe(true);
    const error = (await dying) as Loose;
    expect(error).toBeInstanceOf(Error);
    await prisma.account.count().catch(() => {});
    expect(await prisma.account.count()).toBe(1);
  });

  it('a database keeps every acknowledged write through suspend, stop and kill -9', async () => {
    const acknowledged: number[] = [];
    for (let round = 0; round < 12; round++) {
      const ids = Array.from({ length: 5 }, (_, index) => 1000 + round * 5 + index);
      const running = ids.map((id): Promise<unknown> => prisma.account.create({ data: { id, owner: `r${round}` } }));
      const writes = Promise.allSettled(running);
      if (round % 4 === 1) await force('suspend');
      if (round % 4 === 2) await force('stop');
      if (round % 4 === 3) {
        // The first write is done, so the server runs; the others are in flight.
        await Promise.any(running);
        expect(killPostgres()).toBe(true);
      }
      for (const [index, result] of (await writes).entries())
        if (result.status === 'fulfilled') acknowledged.push(ids[index] as number);
    }
    await prisma.account.count().catch(() => {});
    const rows = await prisma.account.findMany({ where: { id: { gte: 1000 } }, select: { id: true } });
    const kept = new Set(rows.map((row: Loose) => row.id));
    expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThan(30);
  });
});

describe('a database that no client uses', () => {
  let resting: Targets;
  beforeAll(async () => {
    resting = await startTargets({ kind: 'platform', flags: ['--suspend-after', '200ms', '--stop-after', '500ms'] });
  });
  afterAll(() => resting?.stop());

  it.each(CLIENT_VERSIONS)(
    'a database that no client uses is suspended and later stopped, and status commands do not wake it (Prisma %i)',
    async (version) => {
      const target = resting.of(version);
      const platform = target.platform as Platform;
      const { id, name } = target.database as DatabaseUrls;
      const prisma = target.open();
      const watched = await watchStates(platform, id);
      try {
        for (let round = 0; round < 2; round++) {
          expect(await prisma.account.count()).toBe(0);
          // States from before the query belong to an earlier round: the query may have met the database while it was
          // being stopped.
          watched.states.length = 0;
          await until(() => watched.states.slice(-3).join() === 'suspended,stopping,stopped', {
            what: 'the database goes to rest',
          });
          expect((await platform.cli('db', 'show', name)).code).toBe(0);
          expect((await platform.cli('db', 'list')).code).toBe(0);
          expect((await platform.cli('status')).code).toBe(0);
          expect(watched.states.at(-1)).toBe('stopped');
        }
      } finally {
        watched.stop();
      }
    },
  );
});

/** Collects the states of a database as the platform reports them, until it is stopped. */
async function watchStates(platform: Platform, id: string): Promise<{ readonly states: string[]; stop(): void }> {
  const cut = new AbortController();
  const reply = await fetch(`${platform.http}/api/events`, {
    headers: { authorization: `Bearer ${platform.adminToken}` },
    signal: cut.signal,
  });
  const states: string[] = [];
  const split = eventSplitter();
  const reading = (async () => {
    for await (const chunk of (reply.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
      for (const { event, data } of split(chunk)) {
        const told = JSON.parse(data) as { id: string; state: string };
        if (event === 'state' && told.id === id) states.push(told.state);
      }
    }
  })();
  reading.catch(() => {});
  return { states, stop: () => cut.abort() };
}

describe.each(CLIENT_VERSIONS)('a platform that goes and comes back under the stock client of Prisma %i', (version) => {
  it.each(['terminated', 'killed'])('a client goes on after its platform was %s and started again', async (how) => {
    const target = targets.of(version);
    const platform = target.platform as Platform;
    const prisma = target.open();
    await emptyTables(prisma);
    await prisma.account.create({ data: { id: 1, owner: 'before' } });
    if (how === 'terminated') expect(await platform.terminate()).toBe(0);
    else await platform.kill9();
    await expect(prisma.account.count()).rejects.toThrow();
    await platform.start();
    // The client and its URL are the same; the schema that it uploaded before is still known.
    expect(await prisma.account.findMany()).toEqual([{ id: 1, owner: 'before', balance: 0 }]);
    await prisma.account.create({ data: { id: 2, owner: 'after' } });
    expect(await prisma.account.count()).toBe(2);
  });
});

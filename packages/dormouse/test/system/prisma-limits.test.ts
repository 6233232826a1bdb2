import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawPlan, uploadOf } from '../support/bare-engine.ts';
import { CLIENT_VERSIONS, type ClientVersion, type Loose, schemaText } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import type { DatabaseUrls } from '../support/platform.ts';
import { startTargets, type Targets } from '../support/target.ts';
import { until } from '../support/until.ts';

// Every limit of the query path is set low. Each gives a clear error of its own, and the database goes on.
let targets: Targets;
beforeAll(async () => {
  targets = await startTargets({
    kind: 'platform',
    flags: [
      ...['--pool-connections', '3', '--pool-waiters', '4', '--transactions-max', '2', '--transaction-timeout', '3s'],
      ...['--query-timeout', '2s', '--reply-max', '64KiB', '--body-max', '128KiB', '--schemas-max', '2'],
    ],
  });
});
afterAll(() => targets?.stop());

describe.each(CLIENT_VERSIONS)('limits under the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  beforeAll(async () => {
    prisma = targets.of(version).open({ transactionOptions: { maxWait: 1_500, timeout: 60_000 } });
    await emptyTables(prisma);
    await prisma.account.create({ data: { id: 1, owner: 'a' } });
  });

  const code = (six: string, seven: string): { readonly code: string } => ({ code: version === 6 ? six : seven });
  const failure = async (promise: Promise<unknown>): Promise<Loose> => {
    const error = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    expect(await prisma.account.count()).toBe(1);
    return error;
  };

  it('a query that takes too long is refused and cancelled', async () => {
    expect(await failure(prisma.$queryRaw`SELECT pg_sleep(20)::text`)).toMatchObject(code('P6004', 'P6004'));
    // The statement does not go on in the background.
    expect(await running('pg_sleep(20)')).toBe(0);
  });

  it('the statement of a client that hangs up is cancelled, and its connection is given back', async () => {
    const { path, body } = await rawRequest(version, `SELECT pg_sleep(1.9)::text AS v${version}, 'hung up'`);
    const { prismaUrl } = targets.of(version).database as DatabaseUrls;
    const url = new URL(prismaUrl);
    const headers = { authorization: `Bearer ${url.searchParams.get('api_key')}` };
    // There are more such clients than connections and places to wait.
    for (let client = 0; client < 12; client++) {
      const hungUp = new AbortController();
      const asked = fetch(`http://${url.host}${path}`, { method: 'POST', headers, body, signal: hungUp.signal });
      await until(async () => (await running('hung up')) === 1, { what: 'its statement runs' });
      hungUp.abort();
      await expect(asked).rejects.toThrow();
      await until(async () => (await running('hung up')) === 0, { what: 'its statement is gone' });
    }
    expect(await Promise.all([1, 2, 3].map(() => prisma.account.count()))).toEqual([1, 1, 1]);
  });

  async function rawRequest(client: ClientVersion, sql: string): Promise<{ path: string; body: string }> {
    if (client === 7) return { path: '/query', body: JSON.stringify(rawPlan(sql)) };
    const { hash, base64 } = uploadOf(schemaText(6));
    const url = new URL((targets.of(6).database as DatabaseUrls).prismaUrl);
    const headers = { authorization: `Bearer ${url.searchParams.get('api_key')}` };
    await fetch(`http://${url.host}/6.19.3/${hash}/schema`, { method: 'PUT', headers, body: base64 });
    const query = { arguments: { query: sql, parameters: '[]' }, selection: {} };
    return { path: `/6.19.3/${hash}/graphql`, body: JSON.stringify({ action: 'queryRaw', query }) };
  }

  /** The number of running statements whose text contains `part`. */
  async function running(part: string): Promise<number> {
    const [row] = await prisma.$queryRaw`SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE position(${part} IN query) > 0 AND state = 'active' AND pid <> pg_backend_pid()`;
    return row.n;
  }

  it('a reply that is too large is refused', async () => {
    expect(await failure(prisma.$queryRaw`SELECT repeat('x', 100000) AS big`)).toMatchObject(code('P6009', 'P6009'));
    // There are so many rows that the query only ends within its time limit if the reply is stopped early.
    expect(
      await failure(prisma.$queryRaw`SELECT a FROM generate_series(1, 100000) AS a, generate_series(1, 100000) AS b`),
    ).toMatchObject(code('P6009', 'P6009'));
    expect(await running('generate_series(1, 100000)')).toBe(0);
  });

  it('a request body that is too large is refused', async () => {
    expect(await failure(prisma.account.create({ data: { id: 2, owner: 'x'.repeat(200_000) } }))).toMatchObject(
      code('P6005', 'P6005'),
    );
  });

  it('more simultaneous queries than connections and places to wait are refused', async () => {
    const asked = await Promise.allSettled(
      Array.from({ length: 30 }, () => prisma.$queryRaw`SELECT pg_sleep(0.5)::text`),
    );
    const refused = asked.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []));
    // Three run at a time and four wait. Prisma 6 retries by itself, three times within a second.
    expect(asked.length - refused.length).toBeGreaterThanOrEqual(7);
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(refused)).toEqual(new Set([code('P5008', 'P6003').code]));
    expect(await prisma.account.count()).toBe(1);
  });

  it('more simultaneous transactions than may be open are refused', async () => {
    let begun = 0;
    let free = (): void => {};
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    let bothBegun = (): void => {};
    const both = new Promise<void>((resolve) => {
      bothBegun = resolve;
    });
    const hold = (): Promise<unknown> =>
      prisma.$transaction(async () => {
        if (++begun === 2) bothBegun();
        await held;
      });
    const holders = [hold(), hold()];
    await both;
    expect(await failure(prisma.$transaction(async (tx: Loose) => tx.account.count()))).toMatchObject(
      code('P5008', 'P6003'),
    );
    free();
    await Promise.all(holders);
    expect(await prisma.$transaction(async (tx: Loose) => tx.account.count())).toBe(1);
  });

  it('a transaction that asks for more time than is allowed is refused', async () => {
    const error = await failure(
      prisma.$transaction(async (tx: Loose) => {
        await tx.account.update({ where: { id: 1 }, data: { owner: 'held' } });
        for (;;) await tx.$queryRaw`SELECT pg_sleep(0.2)::text`;
      }),
    );
    expect(error).toMatchObject({ code: 'P2028' });
    expect((await prisma.account.findUnique({ where: { id: 1 } })).owner).toBe('a');
  });

  it('transactions wait for each other when there are more than connections', async () => {
    // Two transactions may be open and there are three connections, so a query beside them still gets a connection.
    const sums = await prisma.$transaction(async (tx: Loose) => {
      await tx.account.count();
      return prisma.account.count();
    });
    expect(sums).toBe(1);
  });
});

it('when Prisma 6 uploads more schemas than are kept, the oldest make room or the newest is refused with a clear message', async () => {
  const { prismaUrl } = targets.of(6).database as DatabaseUrls;
  const url = new URL(prismaUrl);
  const base = `http://${url.host}`;
  const authorization = `Bearer ${url.searchParams.get('api_key')}`;
  const statuses: number[] = [];
  for (let index = 0; index < 4; index++) {
    const text = `datasource db {\n  provider = "postgresql"\n  url = env("X")\n}\nmodel M${index} {\n  id Int @id\n}\n`;
    const body = Buffer.from(text).toString('base64');
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(body));
    const reply = await fetch(`${base}/6.19.3/${Buffer.from(digest).toString('hex')}/schema`, {
      method: 'PUT',
      headers: { authorization },
      body,
    });
    statuses.push(reply.status);
    if (!reply.ok) expect(await reply.text()).toMatch(/schema/i);
  }
  // The suite's own schema is one of the two.
  expect(statuses[0]).toBe(200);
  expect(statuses.every((status) => status === 200 || status === 429)).toBe(true);
  expect(await targets.of(6).open().account.count()).toBe(1);
});

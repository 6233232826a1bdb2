import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose, requireOf } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import type { DatabaseUrls } from '../support/platform.ts';
import { runSql } from '../support/push-schema.ts';
import { clientOptions, type Target } from '../support/target.ts';
import { until } from '../support/until.ts';
import { failure, useTargets } from '../support/use-targets.ts';

// Features that only the platform offers: these suites have no vendor’s engine to be compared with.
const targets = useTargets({ kind: 'platform' });

describe.each(CLIENT_VERSIONS)('the stock Accelerate extension of Prisma %i', (version) => {
  let target: Target;
  let database: DatabaseUrls;
  let plain: Loose;
  let prisma: Loose;

  const extended = (options: Record<string, unknown> = {}): Loose =>
    target.open(options).$extends(requireOf(version)('@prisma/extension-accelerate').withAccelerate());

  beforeAll(async () => {
    target = targets.of(version);
    database = target.database as DatabaseUrls;
    plain = target.open();
    prisma = extended();
    // A view that counts how often it is read: the only way to see that a query did not reach the database.
    await runSql(
      target.postgresUrl,
      `CREATE SEQUENCE reads;
       CREATE OR REPLACE VIEW author_stats AS SELECT 1 AS author_id, nextval('reads')::int AS posts, 0 AS views`,
    );
  });
  beforeEach(async () => {
    await emptyTables(plain);
    await plain.account.createMany({ data: [1, 2].map((id) => ({ id, owner: `o${id}`, balance: 100 })) });
    await prisma.$accelerate.invalidateAll();
  });

  const balance = async (cacheStrategy?: object, client: Loose = prisma): Promise<[number, string]> => {
    const { data, info } = await client.account
      .findUnique({ where: { id: 1 }, ...(cacheStrategy ? { cacheStrategy } : {}) })
      .withAccelerateInfo();
    return [data.balance, info.cacheStatus];
  };
  const setBalance = (value: number): Promise<unknown> =>
    plain.account.update({ where: { id: 1 }, data: { balance: value } });

  it('accelerateInfo reports the status none without a strategy, and which server answered', async () => {
    const { data, info } = await prisma.account
      .findMany({ orderBy: { id: 'asc' }, select: { id: true } })
      .withAccelerateInfo();
    expect(data).toEqual([{ id: 1 }, { id: 2 }]);
    expect(info.cacheStatus).toBe('none');
    expect(info.region).toBe('local');
    expect(info.requestId).toMatch(/^[0-9a-f]{16}-local$/);
    expect(Math.abs(info.lastModified.getTime() - Date.now())).toBeLessThan(60_000);
  });

  it('a query is answered from the cache within ttl, and from the database again after it', async () => {
    expect(await balance({ ttl: 60 })).toEqual([100, 'miss']);
    await setBalance(200);
    expect(await balance({ ttl: 60 })).toEqual([100, 'ttl']);
    expect(await balance()).toEqual([200, 'none']);
    // Another strategy may have another entry or the same; a reply is never older than its strategy allows.
    expect(await balance({ ttl: 1, tags: ['short'] })).toEqual([expect.any(Number), expect.any(String)]);
    await setBalance(300);
    const [value] = await until(
      async () => {
        const answer = await balance({ ttl: 1, tags: ['short'] });
        return answer[0] === 300 && answer;
      },
      { what: 'the new value after ttl' },
    );
    expect(value).toBe(300);
  });

  it('a stale reply is served within swr while one refresh runs in the background', async () => {
    expect(await balance({ swr: 60 })).toEqual([100, 'miss']);
    await setBalance(200);
    expect(await balance({ swr: 60 })).toEqual([100, 'swr']);
    await until(async () => (await balance({ swr: 60 }))[0] === 200, { what: 'the refresh behind' });
  });

  it('every kind of read is cached under its own arguments', async () => {
    const reads: readonly ((cacheStrategy: object) => Loose)[] = [
      (cacheStrategy) => prisma.account.findMany({ cacheStrategy }),
      (cacheStrategy) => prisma.account.findMany({ take: 1, cacheStrategy }),
      (cacheStrategy) => prisma.account.findFirst({ cacheStrategy }),
      (cacheStrategy) => prisma.account.findFirstOrThrow({ cacheStrategy }),
      (cacheStrategy) => prisma.account.findUnique({ where: { id: 2 }, cacheStrategy }),
      (cacheStrategy) => prisma.account.findUniqueOrThrow({ where: { id: 1 }, cacheStrategy }),
      (cacheStrategy) => prisma.account.count({ cacheStrategy }),
      (cacheStrategy) => prisma.account.aggregate({ _sum: { balance: true }, cacheStrategy }),
      (cacheStrategy) =>
        prisma.account.groupBy({ by: ['owner'], _sum: { balance: true }, orderBy: { owner: 'asc' }, cacheStrategy }),
      (cacheStrategy) => prisma.invoice.findMany({ cacheStrategy }),
    ];
    const strategy = { ttl: 60 };
    const first = [];
    for (const read of reads) first.push(await read(strategy).withAccelerateInfo());
    expect(first.map(({ info }) => info.cacheStatus)).toEqual(reads.map(() => 'miss'));
    await plain.account.updateMany({ data: { balance: 5 } });
    for (const [index, read] of reads.entries()) {
      const { data, info } = await read(strategy).withAccelerateInfo();
      expect([info.cacheStatus, data], `read ${index}`).toEqual(['ttl', first[index].data]);
    }
  });

  it('a query too large to be parsed on the main loop is cached like any other', async () => {
    const ids = Array.from({ length: 20_000 }, (_, id) => id);
    const read = async (cacheStrategy: object): Promise<[number[], string]> => {
      const { data, info } = await prisma.account
        .findMany({ where: { id: { in: ids } }, orderBy: { id: 'asc' }, cacheStrategy })
        .withAccelerateInfo();
      return [data.map((row: Loose) => row.balance), info.cacheStatus];
    };
    expect(await read({ ttl: 60 })).toEqual([[100, 100], 'miss']);
    await setBalance(200);
    expect(await read({ ttl: 60 })).toEqual([[100, 100], 'ttl']);
    expect(await read({ swr: 60, tags: ['large'] })).toEqual([[200, 100], 'miss']);
    await setBalance(300);
    expect(await read({ swr: 60, tags: ['large'] })).toEqual([[200, 100], 'swr']);
    await until(async () => (await read({ swr: 60, tags: ['large'] }))[0][0] === 300, { what: 'the refresh behind' });
  });

  it('simultaneous misses of one query ask the database once', async () => {
    const read = (cacheStrategy?: object): Loose =>
      prisma.authorStats.findMany({ ...(cacheStrategy ? { cacheStrategy } : {}) });
    const [{ posts: before }] = await read();
    const found = await Promise.all(Array.from({ length: 40 }, () => read({ ttl: 60 })));
    expect(new Set(found.map(([row]) => row.posts))).toEqual(new Set([before + 1]));
    const [{ posts: after }] = await read();
    expect(after).toBe(before + 2);
  });

  it('cached replies are invalidated by tag and all at once', async () => {
    const a = { ttl: 60, tags: ['a', 'shared'] };
    const b = { ttl: 60, tags: ['b', 'shared'] };
    const read = async (id: number, cacheStrategy: object): Promise<string> =>
      (await prisma.account.findUnique({ where: { id }, cacheStrategy }).withAccelerateInfo()).info.cacheStatus;
    expect([await read(1, a), await read(2, b), await read(1, a), await read(2, b)]).toEqual([
      'miss',
      'miss',
      'ttl',
      'ttl',
    ]);
    expect((await prisma.$accelerate.invalidate({ tags: ['a'] })).requestId).toMatch(/-local$/);
    expect([await read(1, a), await read(2, b)]).toEqual(['miss', 'ttl']);
    await prisma.$accelerate.invalidate({ tags: ['shared', 'unknown'] });
    expect([await read(1, a), await read(2, b)]).toEqual(['miss', 'miss']);
    await prisma.$accelerate.invalidateAll();
    expect([await read(1, a), await read(2, b)]).toEqual(['miss', 'miss']);
    await expect(prisma.$accelerate.invalidate({ tags: ['not a tag!'] })).rejects.toThrow(/Failed to invalidate.*tag/s);
  });

  it('writes, raw queries and queries in a transaction are never cached', async () => {
    const cacheStrategy = { ttl: 60 };
    const add = (client: Loose): Loose =>
      client.account.update({
        where: { id: 2 },
        data: { balance: { increment: 1 } },
        select: { balance: true },
        cacheStrategy,
      });
    expect([(await add(prisma)).balance, (await add(prisma)).balance]).toEqual([101, 102]);
    expect(await prisma.$queryRaw`SELECT balance FROM accounts WHERE id = ${2}`).toEqual([{ balance: 102 }]);
    await plain.account.update({ where: { id: 2 }, data: { balance: 7 } });
    expect(await prisma.$queryRaw`SELECT balance FROM accounts WHERE id = ${2}`).toEqual([{ balance: 7 }]);

    expect(await balance(cacheStrategy)).toEqual([100, 'miss']);
    await setBalance(1);
    await prisma.$transaction(async (tx: Loose) => {
      expect((await tx.account.findUnique({ where: { id: 1 }, cacheStrategy })).balance).toBe(1);
      await tx.account.update({ where: { id: 1 }, data: { balance: 2 } });
      expect((await tx.account.findUnique({ where: { id: 1 }, cacheStrategy })).balance).toBe(2);
    });
    // The client makes no transaction of a single query, so that query may be answered from the cache.
    const [inBatch] = await prisma.$transaction([
      prisma.account.findUnique({ where: { id: 1 }, cacheStrategy }),
      prisma.account.count({ cacheStrategy }),
    ]);
    expect(inBatch.balance).toBe(2);
    expect(await balance(cacheStrategy)).toEqual([100, 'ttl']);
  });

  it('a failure is never cached', async () => {
    const read = (): Promise<Loose> =>
      prisma.account.findUniqueOrThrow({ where: { id: 9 }, cacheStrategy: { ttl: 60 } });
    await expect(read()).rejects.toMatchObject({ code: 'P2025' });
    await plain.account.create({ data: { id: 9, owner: 'late' } });
    expect((await read()).owner).toBe('late');
  });

  it('batches of findUniques may be cached, and their replies stay correct', async () => {
    const read = (): Promise<Loose[]> =>
      Promise.all([1, 2, 3].map((id) => prisma.account.findUnique({ where: { id }, cacheStrategy: { ttl: 60 } })));
    const first = await read();
    expect(first.map((row) => row?.id)).toEqual([1, 2, undefined]);
    await plain.account.create({ data: { id: 3, owner: 'o3' } });
    expect((await read()).map((row) => row?.id).slice(0, 2)).toEqual([1, 2]);
    await prisma.$accelerate.invalidateAll();
    expect((await read()).map((row) => row?.id)).toEqual([1, 2, 3]);
  });

  it('two keys of different roles share no cache entry, and two keys of one role may', async () => {
    const platform = target.platform;
    if (platform === undefined) throw new Error('no platform');
    const reader = await platform.json<{ prismaUrl: string }>('key', 'create', database.name, '--role', 'reader');
    const readerClient = extended(clientOptions(version, reader.prismaUrl));
    expect(await balance({ ttl: 60 })).toEqual([100, 'miss']);
    await setBalance(3);
    expect(await balance({ ttl: 60 }, readerClient)).toEqual([3, 'miss']);
    expect(await balance({ ttl: 60 }, readerClient)).toEqual([3, 'ttl']);
    expect(await balance({ ttl: 60 })).toEqual([100, 'ttl']);
  });

  it('a bad cache strategy is refused with a clear message', async () => {
    for (const cacheStrategy of [
      { ttl: -1 },
      { ttl: 400 * 86_400 },
      { ttl: 60, tags: ['a', 'b', 'c', 'd', 'e', 'f'] },
      { ttl: 60, tags: ['a b'] },
    ]) {
      const error = await failure(prisma.account.count({ cacheStrategy }));
      expect(error.message).toMatch(/cacheStrategy|tag/);
    }
  });
});

describe.each(CLIENT_VERSIONS)('keys through the stock client of Prisma %i', (version) => {
  let target: Target;
  let database: DatabaseUrls;
  beforeAll(async () => {
    target = targets.of(version);
    database = target.database as DatabaseUrls;
    const prisma = target.open();
    await emptyTables(prisma);
    await prisma.account.create({ data: { id: 1, owner: 'a' } });
  });

  const withKey = (apiKey: string): Loose => {
    const url = new URL(database.prismaUrl);
    url.searchParams.set('api_key', apiKey);
    return target.open(clientOptions(version, url.href));
  };
  // Prisma 6 derives the error code from the HTTP status; Prisma 7 takes it from the body.
  const refused = version === 6 ? 'P5007' : 'P6002';
  const keyOf = (prismaUrl: string): string => new URL(prismaUrl).searchParams.get('api_key') ?? '';
  const create = (role: string): Promise<{ id: string; prismaUrl: string; apiKey: string }> => {
    if (target.platform === undefined) throw new Error('no platform');
    return target.platform.json('key', 'create', database.name, '--role', role);
  };

  it('keys that are garbage, altered or of another platform are refused', async () => {
    const key = keyOf(database.prismaUrl);
    const [header, claims, signature] = key.split('.') as [string, string, string];
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(claims, 'base64url').toString()), role: 'reader' }),
    ).toString('base64url');
    const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    for (const bad of [
      'garbage',
      'a.b.c',
      `${header}.${forged}.${signature}`,
      `${header}.${claims}.${flipped}`,
      `${header}.${claims}.`,
    ]) {
      expect(await failure(withKey(bad).account.count()), bad).toMatchObject({ code: refused });
    }
    expect(await withKey(key).account.count()).toBe(1);
  });

  it('a revoked key is refused at once, also in a transaction that it has open', async () => {
    const key = await create('owner');
    const prisma = withKey(key.apiKey);
    expect(await prisma.account.count()).toBe(1);
    await expect(
      prisma.$transaction(async (tx: Loose) => {
        await tx.account.create({ data: { id: 50, owner: 'never' } });
        const revoked = await target.platform?.cli('key', 'revoke', database.name, key.id);
        expect(revoked?.code, revoked?.stderr).toBe(0);
        await tx.account.count();
      }),
    ).rejects.toMatchObject({ code: refused });
    expect(await failure(prisma.account.count())).toMatchObject({ code: refused });
    expect(await withKey(keyOf(database.prismaUrl)).account.count()).toBe(1);
  });

  it('a reader’s key can read and cannot write', async () => {
    const prisma = withKey((await create('reader')).apiKey);
    expect(await prisma.account.findMany()).toEqual([{ id: 1, owner: 'a', balance: 0 }]);
    expect(await prisma.$queryRaw`SELECT current_user::text AS who`).toEqual([{ who: 'reader' }]);
    for (const write of [
      () => prisma.account.create({ data: { id: 2, owner: 'b' } }),
      () => prisma.account.update({ where: { id: 1 }, data: { owner: 'b' } }),
      () => prisma.account.deleteMany(),
    ]) {
      const error = await failure(write());
      expect(error).toMatchObject({ code: 'P1010' });
      expect(error.message).toMatch(/accounts/);
    }
    expect(await failure(prisma.$executeRaw`DELETE FROM accounts`)).toMatchObject({ code: 'P2010' });
    expect(await prisma.account.count()).toBe(1);
  });

  it('a reader’s key stays a reader’s, whatever its SQL is', async () => {
    const prisma = withKey((await create('reader')).apiKey);
    for (const sql of [
      'RESET ROLE',
      'RESET SESSION AUTHORIZATION',
      'SET ROLE owner',
      'SET SESSION AUTHORIZATION owner',
    ]) {
      await prisma.$executeRawUnsafe(sql).catch(() => {});
      expect(await failure(prisma.account.create({ data: { id: 3, owner: 'c' } })), sql).toMatchObject({
        code: 'P1010',
      });
    }
  });

  it('a writer’s key can write rows and cannot create tables', async () => {
    const prisma = withKey((await create('writer')).apiKey);
    expect((await prisma.account.create({ data: { id: 60, owner: 'w' } })).id).toBe(60);
    await prisma.account.delete({ where: { id: 60 } });
    expect(await failure(prisma.$executeRaw`CREATE TABLE mine (a int)`)).toMatchObject({ code: 'P2010' });
    expect(await failure(prisma.$executeRaw`DROP TABLE accounts`)).toMatchObject({ code: 'P2010' });
  });

  it('a key of one database gives no access to another', async () => {
    const other = targets.of(version === 6 ? 7 : 6).open();
    await emptyTables(other);
    expect(await other.account.count()).toBe(0);
    expect(await withKey(keyOf(database.prismaUrl)).account.count()).toBe(1);
  });
});

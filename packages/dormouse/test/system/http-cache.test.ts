import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose, requireOf } from '../support/clients.ts';
import { clientOptions, startTargets, type Target, type Targets } from '../support/target.ts';
import { until } from '../support/until.ts';

let targets: Targets;
beforeAll(async () => {
  // The cache belongs to Dormouse: there is no counterpart of the vendor to compare with.
  targets = await startTargets({ kind: 'platform' });
});
afterAll(() => targets?.stop());

describe.each(CLIENT_VERSIONS)('the cache before a real database, by Prisma Client %s', (version) => {
  let target: Target;
  let client: Loose;
  let name: string;
  const opened: Loose[] = [];

  /** Calls the management API as the CLI does. */
  const api = async (method: string, path: string, body?: unknown): Promise<Loose> => {
    const { http, adminToken } = target.platform ?? {};
    const reply = await fetch(`${http}/api/databases/${name}${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const value = await reply.json();
    expect(reply.ok, JSON.stringify(value)).toBe(true);
    return value;
  };
  const stateOf = async (): Promise<string> => (await api('GET', '')).state;
  const accelerated = (prismaUrl: string): Loose => {
    const { withAccelerate } = requireOf(version)('@prisma/extension-accelerate');
    const plain = new target.module.PrismaClient(clientOptions(version, prismaUrl));
    opened.push(plain);
    return plain.$extends(withAccelerate());
  };
  const names = async (
    by: Loose,
    strategy: Record<string, unknown> = { ttl: 3600, tags: ['users'] },
  ): Promise<{ status: string; names: string[] }> => {
    const { data, info } = await by.user
      .findMany({ select: { name: true }, orderBy: { id: 'asc' }, cacheStrategy: strategy })
      .withAccelerateInfo();
    return { status: info.cacheStatus, names: data.map((user: { name: string }) => user.name) };
  };

  beforeAll(() => {
    target = targets.of(version);
    name = target.database?.name ?? '';
    client = accelerated(target.database?.prismaUrl ?? '');
  });
  afterAll(async () => {
    for (const one of opened) await one.$disconnect();
  });
  beforeEach(async () => {
    await client.user.deleteMany();
    await client.user.create({ data: { email: 'ada@example.com', name: 'Ada' } });
    await client.$accelerate.invalidateAll();
  });

  it('a cached read is answered while the database is stopped, and does not wake it', async () => {
    expect(await names(client)).toEqual({ status: 'miss', names: ['Ada'] });
    await api('POST', '/stop');
    expect(await names(client)).toEqual({ status: 'ttl', names: ['Ada'] });
    expect(await stateOf()).toBe('stopped');
    // A query that is not cached wakes the database.
    expect(await client.user.count()).toBe(1);
    expect(await stateOf()).toBe('running');
  });

  it('the cache returns a kept reply until it is invalidated, by its tag or with all others', async () => {
    await names(client);
    await client.user.create({ data: { email: 'grace@example.com', name: 'Grace' } });
    expect((await names(client)).names).toEqual(['Ada']);
    await client.$accelerate.invalidate({ tags: ['others'] });
    expect((await names(client)).status).toBe('ttl');
    await client.$accelerate.invalidate({ tags: ['users'] });
    expect(await names(client)).toEqual({ status: 'miss', names: ['Ada', 'Grace'] });
    await client.user.deleteMany();
    await client.$accelerate.invalidateAll();
    expect(await names(client)).toEqual({ status: 'miss', names: [] });
  });

  it('the cache serves a stale reply and refreshes it once in the background', async () => {
    const strategy = { swr: 3600 };
    expect((await names(client, strategy)).status).toBe('miss');
    await client.user.updateMany({ data: { name: 'Lovelace' } });
    expect(await names(client, strategy)).toEqual({ status: 'swr', names: ['Ada'] });
    const fresh = await until(
      async () => {
        const seen = await names(client, strategy);
        return seen.names[0] === 'Lovelace' ? seen : undefined;
      },
      { what: 'the refresh' },
    );
    expect(fresh.status).toBe('swr');
  });

  it('the cache never shares a reply between roles, and never keeps the reply to a write, a raw query or a transaction', async () => {
    await names(client);
    const { prismaUrl } = await api('POST', '/keys', { role: 'reader' });
    const reader = accelerated(prismaUrl);
    expect((await names(reader)).status).toBe('miss');
    expect((await names(reader)).status).toBe('ttl');
    await expect(reader.user.create({ data: { email: 'x@example.com' } })).rejects.toThrow();
    const raw = (): Promise<Loose> => client.$queryRawUnsafe('SELECT count(*)::int AS users FROM users');
    expect(await raw()).toEqual([{ users: 1 }]);
    const seen = await client.$transaction(async (transaction: Loose) => {
      const before = await transaction.user.findMany({ cacheStrategy: { ttl: 3600 } });
      await transaction.user.create({ data: { email: 'in@example.com', name: 'In' } });
      const after = await transaction.user.findMany({ cacheStrategy: { ttl: 3600 } });
      return [before.length, after.length];
    });
    expect(seen).toEqual([1, 2]);
    expect(await raw()).toEqual([{ users: 2 }]);
  });

  it('a revoked key is refused although a reply to it is kept, and the request wakes no database', async () => {
    const { id, prismaUrl } = await api('POST', '/keys', { role: 'owner' });
    const other = accelerated(prismaUrl);
    await names(other);
    expect((await names(other)).status).toBe('ttl');
    await api('POST', '/stop');
    await api('DELETE', `/keys/${id}`);
    await expect(names(other)).rejects.toMatchObject({ code: version === 6 ? 'P5007' : 'P6002' });
    await expect(other.user.count()).rejects.toMatchObject({ code: version === 6 ? 'P5007' : 'P6002' });
    expect(await stateOf()).toBe('stopped');
  });

  it('every operation of a key is counted, cached ones included', async () => {
    const { id, prismaUrl } = await api('POST', '/keys', { role: 'reader', label: 'counted' });
    const counted = accelerated(prismaUrl);
    const strategy = { ttl: 3600, tags: ['counted'] };
    expect([await names(counted, strategy), await names(counted, strategy)].map(({ status }) => status)).toEqual([
      'miss',
      'ttl',
    ]);
    await counted.user.count();
    const { keys } = await api('GET', '/keys');
    expect(keys.find((key: { id: string }) => key.id === id).operationsToday).toBe(3);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { startTargets, type Targets, targetKind } from '../support/target.ts';

let targets: Targets;
beforeAll(async () => {
  targets = await startTargets();
});
afterAll(() => targets?.stop());

/** A promise and the function that resolves it, by which tests order concurrent work. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/**
 * Whether the target is the vendor's own Prisma 6 engine over a driver adapter, which behaves differently in some
 * cases.
 */
const throughAdapter = (version: ClientVersion): boolean => targetKind() === 'vendor' && version === 6;

describe.each(CLIENT_VERSIONS)('transactions through the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  let Prisma: Loose;
  beforeAll(() => {
    const target = targets.of(version);
    prisma = target.open({ transactionOptions: { maxWait: 10_000, timeout: 20_000 } });
    Prisma = target.module.Prisma;
  });
  beforeEach(async () => {
    await emptyTables(prisma);
    await prisma.account.createMany({ data: [1, 2].map((id) => ({ id, owner: `o${id}`, balance: 100 })) });
  });

  const balances = async (client: Loose = prisma): Promise<number[]> =>
    (await client.account.findMany({ orderBy: { id: 'asc' } })).map((row: Loose) => row.balance);
  const add = (client: Loose, id: number, amount: number): Promise<Loose> =>
    client.account.update({ where: { id }, data: { balance: { increment: amount } } });

  describe('in a batch', () => {
    it('a batch returns every result in order', async () => {
      const [first, many, count, raw, executed] = await prisma.$transaction([
        add(prisma, 1, -10),
        prisma.account.findMany({ orderBy: { id: 'asc' }, select: { balance: true } }),
        prisma.account.count(),
        prisma.$queryRaw`SELECT 1 AS one`,
        prisma.$executeRaw`UPDATE accounts SET owner = ${'x'}`,
      ]);
      expect(first).toEqual({ id: 1, owner: 'o1', balance: 90 });
      expect(many).toEqual([{ balance: 90 }, { balance: 100 }]);
      expect([count, raw, executed]).toEqual([2, [{ one: 1 }], 2]);
    });

    it('a batch is rolled back as a whole by one failure, and the error names the failing query', async () => {
      await expect(
        prisma.$transaction([
          add(prisma, 1, -10),
          prisma.account.create({ data: { id: 2, owner: 'again' } }),
          add(prisma, 2, 10),
        ]),
      ).rejects.toMatchObject({ code: 'P2002' });
      await expect(prisma.$transaction([add(prisma, 1, 5), add(prisma, 99, 5)])).rejects.toMatchObject({
        code: 'P2025',
      });
      expect(await balances()).toEqual([100, 100]);
    });

    it('a batch runs at the requested isolation level', async () => {
      for (const isolationLevel of ['ReadCommitted', 'RepeatableRead', 'Serializable', 'ReadUncommitted']) {
        const [[row]] = await prisma.$transaction(
          [prisma.$queryRaw`SELECT current_setting('transaction_isolation') AS level`, prisma.account.count()],
          { isolationLevel },
        );
        expect(row.level).toBe(isolationLevel.replace(/(.)([A-Z])/, '$1 $2').toLowerCase());
      }
    });

    it('a batch may be an empty list', async () => {
      expect(await prisma.$transaction([])).toEqual([]);
    });

    it('a batch keeps nulls and empty lists in their places', async () => {
      expect(
        await prisma.$transaction([
          prisma.account.findUnique({ where: { id: 99 } }),
          prisma.account.findFirst({ where: { id: 1 }, select: { id: true } }),
          prisma.account.findMany({ where: { id: 99 } }),
          prisma.account.updateMany({ where: { id: 99 }, data: { balance: 1 } }),
        ]),
      ).toEqual([null, { id: 1 }, [], { count: 0 }]);
    });
  });

  describe('interactive', () => {
    it('an interactive transaction sees its own writes, and others do not until it commits', async () => {
      const result = await prisma.$transaction(async (tx: Loose) => {
        await add(tx, 1, -30);
        await add(tx, 2, 30);
        expect(await balances(tx)).toEqual([70, 130]);
        expect(await balances()).toEqual([100, 100]);
        expect(await tx.$executeRaw`UPDATE accounts SET owner = 'raw' WHERE id = ${1}`).toBe(1);
        expect(await tx.$queryRaw`SELECT owner FROM accounts WHERE id = ${1}`).toEqual([{ owner: 'raw' }]);
        return 'done';
      });
      expect(result).toBe('done');
      expect(await balances()).toEqual([70, 130]);
    });

    it('an interactive transaction is rolled back by a throw, which reaches the caller unchanged', async () => {
      const mine = new Error('mine');
      await expect(
        prisma.$transaction(async (tx: Loose) => {
          await add(tx, 1, -30);
          throw mine;
        }),
      ).rejects.toBe(mine);
      expect(await balances()).toEqual([100, 100]);
    });

    it('an interactive transaction is rolled back by a failing query, also when the error is caught', async () => {
      await expect(
        prisma.$transaction(async (tx: Loose) => {
          await add(tx, 1, -30);
          await tx.account.create({ data: { id: 2, owner: 'again' } });
        }),
      ).rejects.toMatchObject({ code: 'P2002' });
      expect(await balances()).toEqual([100, 100]);
      await expect(
        prisma.$transaction(async (tx: Loose) => {
          await add(tx, 1, -30);
          await tx.account.create({ data: { id: 2, owner: 'again' } }).catch(() => {});
          await add(tx, 2, 30);
        }),
      ).rejects.toThrow(/aborted/);
      expect(await balances()).toEqual([100, 100]);
    });

    it('nested writes and batches of findUniques run inside an interactive transaction', async () => {
      await prisma.$transaction(async (tx: Loose) => {
        await tx.user.create({
          data: { email: 'a@example.com', posts: { create: { title: 't', categories: { create: { name: 'c' } } } } },
        });
        const found = await Promise.all(
          [1, 2, 99].map((id) => tx.account.findUnique({ where: { id }, select: { id: true } })),
        );
        expect(found).toEqual([{ id: 1 }, { id: 2 }, null]);
        expect(await tx.post.count()).toBe(1);
        expect(await prisma.post.count()).toBe(0);
      });
      expect(await prisma.post.count()).toBe(1);
    });

    it('an interactive transaction that takes too long ends with P2028 and leaves no changes', async () => {
      const client = targets.of(version).open();
      const error = await client
        .$transaction(
          async (tx: Loose) => {
            await add(tx, 1, -30);
            // Postgres works beyond the time limit: the next query of the transaction finds it closed.
            await tx.$queryRaw`SELECT pg_sleep(0.6)::text`;
            await add(tx, 2, 30);
          },
          { timeout: 300 },
        )
        .catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'P2028' });
      expect(error.message).toMatch(/300/);
      expect(await balances()).toEqual([100, 100]);
    });

    it('an interactive transaction reads as its isolation level requires', async () => {
      const started = gate();
      const changed = gate();
      const reading = prisma.$transaction(
        async (tx: Loose) => {
          const before = await balances(tx);
          started.open();
          await changed.opened;
          return [before, await balances(tx)];
        },
        { isolationLevel: Prisma.TransactionIsolationLevel.RepeatableRead },
      );
      await started.opened;
      await add(prisma, 1, 1);
      changed.open();
      expect(await reading).toEqual([
        [100, 100],
        [100, 100],
      ]);
    });

    it('a serialization conflict under Serializable fails with P2034, and a retry succeeds', async () => {
      const bothRead = [gate(), gate()] as const;
      const run = (index: 0 | 1): Promise<unknown> =>
        prisma.$transaction(
          async (tx: Loose) => {
            const sum = (await balances(tx)).reduce((a, b) => a + b, 0);
            bothRead[index].open();
            await Promise.all(bothRead.map((each) => each.opened));
            await tx.account.update({ where: { id: index + 1 }, data: { balance: sum } });
          },
          { isolationLevel: 'Serializable' },
        );
      const ended = await Promise.allSettled([run(0), run(1)]);
      const failed = ended.filter((each) => each.status === 'rejected');
      expect(failed).toHaveLength(1);
      expect((failed[0] as PromiseRejectedResult).reason).toMatchObject({
        // The vendor's executor has no error of its own for a conflict that is found only at the commit.
        code: targets.kind === 'vendor' && version === 7 ? 'P6000' : 'P2034',
      });
      await run(ended[0]?.status === 'rejected' ? 0 : 1);
    });

    it.skipIf(throughAdapter(version))('a deadlock ends one of two interactive transactions with P2034', async () => {
      const bothHold = [gate(), gate()] as const;
      const run = (index: 0 | 1): Promise<unknown> =>
        prisma.$transaction(async (tx: Loose) => {
          await add(tx, index + 1, 1);
          bothHold[index].open();
          await Promise.all(bothHold.map((each) => each.opened));
          await add(tx, 2 - index, 1);
        });
      const ended = await Promise.allSettled([run(0), run(1)]);
      expect(
        ended.filter((each) => each.status === 'rejected').map((each) => (each as PromiseRejectedResult).reason.code),
      ).toEqual(['P2034']);
      expect(await balances()).toEqual([101, 101]);
    });

    it('many simultaneous interactive transactions are kept apart', async () => {
      const sums = await Promise.all(
        Array.from({ length: 30 }, (_, index) =>
          prisma
            .$transaction(async (tx: Loose) => {
              await add(tx, 1, 1);
              await add(tx, 2, -1);
              if (index % 3 === 0) throw new Error('taken back');
              return (await balances(tx)).reduce((a, b) => a + b, 0);
            })
            .catch((error: Error) => error.message),
        ),
      );
      expect(sums.filter((each) => each === 'taken back')).toHaveLength(10);
      expect(sums.filter((each) => each === 200)).toHaveLength(20);
      expect(await balances()).toEqual([120, 80]);
    });

    it.skipIf(throughAdapter(version))(
      'an interactive transaction that cannot begin in time fails with P2028',
      async () => {
        // Holds every connection that the database gives its clients; the pools of all targets have ten.
        const all = Array.from({ length: 10 }, () => ({ begun: gate(), free: gate() }));
        const holders = all.map(({ begun, free }) =>
          prisma.$transaction(async (tx: Loose) => {
            await tx.$queryRaw`SELECT 1`;
            begun.open();
            await free.opened;
          }),
        );
        await Promise.all(all.map((each) => each.begun.opened));
        await expect(prisma.$transaction((tx: Loose) => tx.account.count(), { maxWait: 200 })).rejects.toMatchObject({
          code: 'P2028',
        });
        for (const each of all) each.free.open();
        await Promise.all(holders);
        expect(await prisma.account.count()).toBe(2);
      },
    );

    it('queries after the end of an interactive transaction fail with P2028', async () => {
      let kept: Loose;
      await prisma.$transaction(async (tx: Loose) => {
        kept = tx;
        await add(tx, 1, 1);
      });
      await expect(add(kept, 1, 1)).rejects.toMatchObject({ code: 'P2028' });
      expect(await balances()).toEqual([101, 100]);
    });
  });

  it('a client connects and disconnects, and queries connect again by themselves', async () => {
    const client = targets.of(version).open();
    await client.$connect();
    expect(await client.account.count()).toBe(2);
    await client.$disconnect();
    expect(await client.account.count()).toBe(2);
    await client.$disconnect();
  });
});

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { useBothTargets } from '../support/use-targets.ts';

// How an interactive transaction can end badly: code and words are those of the vendor's engine.
const { ours, theirs } = useBothTargets();

/** What a client shows, without what differs each time. */
async function failure(asked: Promise<unknown>): Promise<Loose> {
  try {
    return { value: await asked };
  } catch (thrown) {
    const { name, code, message, meta } = thrown as Loose;
    const plain = JSON.stringify({ name, code, message: String(message).trim(), meta: meta ?? null });
    return JSON.parse(plain.replace(/\b\d+ ms/g, 'N ms').replace(/"timeTaken":\d+/, '"timeTaken":0'));
  }
}

/** Tells from outside when a transaction has gone past its time: its row is free again. */
async function isOver(prisma: Loose): Promise<void> {
  await prisma.$queryRaw`SELECT id FROM accounts WHERE id = 1 FOR UPDATE`;
}

const update = (client: Loose): Promise<unknown> =>
  client.account.update({ where: { id: 1 }, data: { balance: { increment: 1 } } });

type Ending = (prisma: Loose) => Promise<unknown>;
const ENDINGS: Readonly<Record<string, Ending>> = {
  'a query after the commit': async (prisma) => {
    let kept: Loose;
    await prisma.$transaction(async (tx: Loose) => {
      kept = tx;
      await update(tx);
    });
    return update(kept);
  },
  'a query after a rollback': async (prisma) => {
    let kept: Loose;
    await prisma
      .$transaction(async (tx: Loose) => {
        kept = tx;
        await update(tx);
        throw new Error('mine');
      })
      .catch(() => {});
    return update(kept);
  },
  'a query after its time': (prisma) =>
    prisma.$transaction(
      async (tx: Loose) => {
        await update(tx);
        await isOver(prisma);
        return update(tx);
      },
      { timeout: 400, maxWait: 20_000 },
    ),
  'a commit after its time': (prisma) =>
    prisma.$transaction(
      async (tx: Loose) => {
        await update(tx);
        await isOver(prisma);
      },
      { timeout: 400, maxWait: 20_000 },
    ),
  'a throw after its time': (prisma) =>
    prisma.$transaction(
      async (tx: Loose) => {
        await update(tx);
        await isOver(prisma);
        throw new Error('mine');
      },
      { timeout: 400, maxWait: 20_000 },
    ),
  'a query after a failed one': (prisma) =>
    prisma.$transaction(async (tx: Loose) => {
      await tx.$executeRaw`SELECT nobody`.catch(() => {});
      return tx.account.count();
    }),
  'a level of isolation that is none': (prisma) =>
    prisma.$transaction(async (tx: Loose) => tx.account.count(), { isolationLevel: 'Chaos' }),
  'a batch with a level of isolation that is none': (prisma) =>
    prisma.$transaction([prisma.account.count()], { isolationLevel: 'Chaos' }),
  'a batch that fails': (prisma) =>
    prisma.$transaction([prisma.account.count(), prisma.account.create({ data: { id: 1, owner: 'again' } })]),
};

/** Where Prisma 6 drops `meta` of a reply that comes over HTTP. */
const META_DROPPED: readonly string[] = ['a commit after its time', 'a level of isolation that is none'];

describe.each(CLIENT_VERSIONS)('a transaction of Prisma %i', (version: ClientVersion) => {
  let our: Loose;
  let their: Loose;
  beforeAll(() => {
    our = ours.of(version).open({ errorFormat: 'minimal' });
    their = theirs.of(version).open({ errorFormat: 'minimal' });
  });
  beforeEach(async () => {
    for (const prisma of [our, their]) {
      await emptyTables(prisma);
      await prisma.account.create({ data: { id: 1, owner: 'a' } });
    }
  });

  it.each(Object.entries(ENDINGS))('%s', async (name, end) => {
    const [mine, expected] = [await failure(end(our)), await failure(end(their))];
    // The vendor's engine forgets a transaction soon after its end.
    if (/Transaction not found/.test(expected.message)) {
      expect(mine).toMatchObject({ code: expected.code, message: expect.stringMatching(/cannot be executed on a/) });
      return;
    }
    const dropped = version === 6 && META_DROPPED.includes(name);
    expect(mine).toEqual(dropped ? { ...expected, meta: null } : expected);
  });
});
